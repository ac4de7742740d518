package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/disk"
)

const (
	lastSignedHeader = "gatehouse/last-signed/1"
	// maxLastSigned bytes in the file: a line has at most 210, so that 75,000
	// logs fit, far more than the tenants of one cluster.
	maxLastSigned = 16 << 20
)

// lastSigned is the file with the head of each log that was signed last.
type lastSigned struct {
	path  string
	heads map[string]head
	// newest is the latest epoch signed of each log, by its origin without it.
	newest map[string]int64
}

func readLastSigned(path string) (lastSigned, error) {
	l := lastSigned{path: path, heads: map[string]head{}, newest: map[string]int64{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	} else if err != nil {
		return l, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLastSigned+1))
	if err != nil {
		return l, err
	}
	if err := l.parse(b); err != nil {
		return l, fmt.Errorf("%w: %s: put it back from this node's last good copy, or remove the node and join it anew", err, path)
	}
	return l, nil
}

// parse accepts exactly what encode writes.
func (l *lastSigned) parse(b []byte) error {
	if len(b) > maxLastSigned {
		return fmt.Errorf("%w: more than %d bytes", ErrLastSigned, maxLastSigned)
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != lastSignedHeader {
		return fmt.Errorf("%w: the first line is not %s", ErrLastSigned, lastSignedHeader)
	}
	for i, line := range lines[1:] {
		if strings.HasPrefix(line, "sha256 ") {
			break
		}
		f := strings.Split(line, " ")
		if len(f) != 3 {
			return fmt.Errorf("%w: line %d", ErrLastSigned, i+2)
		}
		size, sizeErr := strconv.ParseInt(f[1], 10, 64)
		root, rootErr := tlog.ParseHash(f[2])
		if sizeErr != nil || rootErr != nil || size < 0 || size > MaxSize || l.set(f[0], head{size, root}) != nil {
			return fmt.Errorf("%w: line %d", ErrLastSigned, i+2)
		}
	}
	if !bytes.Equal(encodeHeads(l.heads), b) {
		return fmt.Errorf("%w: its checksum or its form is wrong", ErrLastSigned)
	}
	return nil
}

func (l *lastSigned) set(origin string, h head) error {
	log, epoch, err := splitEpoch(origin)
	if err != nil {
		return err
	}
	l.heads[origin] = h
	l.newest[log] = max(l.newest[log], epoch)
	return nil
}

// write makes h the last signed of origin: in the file, then in memory.
func (l *lastSigned) write(origin string, h head) error {
	heads := maps.Clone(l.heads)
	heads[origin] = h
	b := encodeHeads(heads)
	if len(b) > maxLastSigned {
		return fmt.Errorf("%w: %d logs are more than it holds", ErrLastSigned, len(heads))
	}
	if err := disk.WriteFile(l.path, b, 0o600); err != nil {
		return fmt.Errorf("recording what is to be signed: %w", err)
	}
	return l.set(origin, h)
}

// laterEpoch is the origin of a later epoch of the same log that was signed.
func (l *lastSigned) laterEpoch(origin string) string {
	log, epoch, err := splitEpoch(origin)
	if newest := l.newest[log]; err == nil && newest > epoch {
		return fmt.Sprintf("%s/e%d", log, newest)
	}
	return ""
}

func splitEpoch(origin string) (log string, epoch int64, err error) {
	cluster, tenant, epoch, err := ParseOrigin(origin)
	return cluster + "/" + tenant, epoch, err
}

func encodeHeads(heads map[string]head) []byte {
	var b bytes.Buffer
	b.WriteString(lastSignedHeader + "\n")
	for _, origin := range slices.Sorted(maps.Keys(heads)) {
		fmt.Fprintf(&b, "%s %d %s\n", origin, heads[origin].size, heads[origin].root)
	}
	fmt.Fprintf(&b, "sha256 %x\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}
