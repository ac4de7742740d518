package siege

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/appliance/appliancetest/crash"
)

// healTime: a node looks for pictures that it lacks each minute, and what it
// says that it lacks is what it found then (cluster/replica).
const healTime = 75 * time.Second

// last checks of a cluster: its galleries, and what 'data check' says of each
// node once it is stopped, with every picture on every node.
func (j *judge) last(ctx context.Context) {
	j.Tell("the nodes are given %v to heal, and are then checked", healTime)
	if !pause(ctx, healTime) {
		return
	}
	away := slices.ContainsFunc(j.result.Violations, func(v Violation) bool { return v.What == Away })
	for i, c := range j.branch {
		if away { // told already
			break
		}
		switch r, err := c.VerifyGallery(ctx, ""); {
		case err != nil:
			j.found(Trouble, "the galleries of %s: %v", j.nodes[i].Name, err)
		case !r.Ok:
			j.found(Damage, "the galleries of %s: %+v", j.nodes[i].Name, *r)
		}
	}
	if err := j.end(); err != nil {
		j.found(Trouble, "%v", err)
	}
	for _, n := range j.nodes {
		r, err := crash.Program{Binary: j.Binary, Data: n.Host.Data()}.Check(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			j.found(Damage, "%s: %v", n.Name, err)
			continue
		}
		for _, f := range r.Findings {
			j.found(Damage, "%s: %+v", n.Name, f)
		}
	}
}

// searched looks for what must never be on a disk in plain: the bank's names
// for persons, its pictures and its keys. The machines are gone.
func (s *Siege) searched(t *stand) error {
	if t.cluster == nil || len(s.report.Rounds) == 0 {
		return nil
	}
	secrets := [][]byte{[]byte(s.canary), []byte(t.cluster.Admin), []byte(t.key)}
	var files []string
	for _, n := range t.nodes {
		files = append(files, filepath.Join(n.host.Dir(), "disk.img"), filepath.Join(t.dir, n.Name+".log"))
	}
	last := s.report.Rounds[len(s.report.Rounds)-1]
	for _, path := range files {
		n, at, err := search(path, secrets)
		if err != nil {
			return err
		}
		s.report.Scanned += n
		if at >= 0 {
			v := Violation{Plain, fmt.Sprintf("%s has what must not be there, at %d", path, at)}
			last.Violations = append(last.Violations, v)
			s.Tell("VIOLATION %v", v)
		}
	}
	return nil
}

// piece of a disk that is searched at a time.
const piece = 4 << 20

// search a file, holes left out. at is -1 where nothing is found.
func search(path string, secrets [][]byte) (read, at int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, -1, err
	}
	defer f.Close()
	longest := 0
	for _, s := range secrets {
		longest = max(longest, len(s))
	}
	buffer := make([]byte, piece+longest)
	for offset := int64(0); ; {
		offset, err = f.Seek(offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no more data
			return read, -1, nil
		}
		if err != nil {
			return read, -1, err
		}
		n, err := f.ReadAt(buffer, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return read, -1, err
		}
		for _, s := range secrets {
			if i := bytes.Index(buffer[:n], s); i >= 0 {
				return read, offset + int64(i), nil
			}
		}
		read += int64(n)
		offset += piece
	}
}
