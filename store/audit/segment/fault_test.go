package segment

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

var errDead = errors.New("the process is dead")

// dying is a disk on which nothing happens any more after some steps: a crash.
type dying struct {
	steps, left int
	last        string
}

func (d *dying) step(name string) error {
	if d.left == 0 {
		return errDead
	}
	d.left--
	d.steps++
	d.last = name
	return nil
}

func (d *dying) create(path string) (output, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	return &dyingFile{f, d}, err
}

func (d *dying) rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (d *dying) remove(path string) error {
	if err := d.step("remove"); err != nil {
		return err
	}
	return os.Remove(path)
}

func (d *dying) syncDir(string) error { return d.step("sync of the folder") }

type dyingFile struct {
	*os.File
	d *dying
}

func (f *dyingFile) Write(b []byte) (int, error) {
	if err := f.d.step("write"); err != nil {
		if f.d.last == "write" { // it dies in the middle of this one
			f.d.last = ""
			f.File.Write(b[:len(b)/2])
		}
		return 0, err
	}
	return f.File.Write(b)
}

func (f *dyingFile) Sync() error { return f.d.step("sync") }

func (f *dyingFile) Close() error {
	f.File.Close()
	return f.d.step("close")
}

// Wherever a crash stops the writing, there is no segment or a whole one, and
// writing again works and leaves nothing else.
func TestCrash(t *testing.T) {
	t.Parallel()
	_, id := small()
	run := func(left int) *dying {
		s := OpenStore(t.TempDir())
		defer s.Close()
		d := &dying{left: left}
		s.files = d
		err := s.Write(id.origin, id.n, id.root, same)
		path, _ := s.Path(id.origin, id.n)
		switch _, there := os.Stat(path); {
		case err == nil:
			if there != nil {
				t.Errorf("%d steps: %v", left, there)
			}
		case !errors.Is(err, errDead):
			t.Errorf("%d steps: %v", left, err)
		case there == nil:
			if d.last != "rename" && d.last != "sync of the folder" {
				t.Errorf("%d steps, the last a %s: the file is there", left, d.last)
			}
			if err := s.Verify(id.origin, id.root, id.n); err != nil {
				t.Errorf("%d steps: %v", left, err)
			}
		}
		s.files = system{}
		if err := errors.Join(s.Write(id.origin, id.n, id.root, same), s.Verify(id.origin, id.root, id.n)); err != nil {
			t.Errorf("%d steps, then again: %v", left, err)
		}
		if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
			t.Errorf("%d steps: the folder holds %v, %v", left, names, err)
		}
		return d
	}
	all := run(1 << 20).steps
	if all < frames+5 {
		t.Fatalf("only %d steps", all)
	}
	for left := 0; left < all; left++ {
		if left < 6 || left > all-8 || left%64 == 0 {
			run(left)
		}
	}
}

// failing fails where it is told to.
type failing struct {
	system
	create_, write, sync, close, rename_, syncDir_ error
}

func (f *failing) create(path string) (output, error) {
	if f.create_ != nil {
		return nil, f.create_
	}
	out, err := f.system.create(path)
	return &failingFile{out, f}, err
}

func (f *failing) rename(from, to string) error {
	if f.rename_ != nil {
		return f.rename_
	}
	return f.system.rename(from, to)
}

func (f *failing) syncDir(path string) error {
	if f.syncDir_ != nil {
		return f.syncDir_
	}
	return f.system.syncDir(path)
}

type failingFile struct {
	output
	f *failing
}

func (o *failingFile) Write(b []byte) (int, error) {
	if o.f.write != nil {
		return 0, o.f.write
	}
	return o.output.Write(b)
}

func (o *failingFile) Sync() error { return errors.Join(o.output.Sync(), o.f.sync) }

func (o *failingFile) Close() error { return errors.Join(o.output.Close(), o.f.close) }

func TestFaults(t *testing.T) {
	t.Parallel()
	_, id := small()
	gone := errors.New("the source is gone")
	other := id
	other.root[0]++
	for what, c := range map[string]struct {
		failing failing
		id      identity
		leaves  Source
		want    error
		stays   bool
	}{
		"create":             {failing: failing{create_: syscall.ENOSPC}, want: syscall.ENOSPC},
		"write":              {failing: failing{write: syscall.ENOSPC}, want: syscall.ENOSPC},
		"sync":               {failing: failing{sync: syscall.EIO}, want: disk.ErrSync},
		"close":              {failing: failing{close: syscall.EIO}, want: syscall.EIO},
		"rename":             {failing: failing{rename_: syscall.EIO}, want: syscall.EIO},
		"sync of the folder": {failing: failing{syncDir_: disk.ErrSync}, want: disk.ErrSync, stays: true},
		"another root":       {id: other, want: ErrRoot},
		"no such segment":    {id: identity{origin: log1, n: -1}, want: ErrSegment},
		"no such log":        {id: identity{origin: "log"}, want: ErrSegment},
		"source": {leaves: func(seq int64) ([]byte, error) {
			if seq&(Leaves-1) == 300 {
				return nil, gone
			}
			return same(seq)
		}, want: gone},
		"a leaf too large": {leaves: func(seq int64) ([]byte, error) { return make([]byte, audit.MaxLeaf+1), nil }, want: audit.ErrLeafTooLarge},
	} {
		if c.id == (identity{}) {
			c.id = id
		}
		if c.leaves == nil {
			c.leaves = same
		}
		dir := t.TempDir()
		err := write(&c.failing, filepath.Join(dir, "00000003.seg"), c.id, c.leaves)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		names, err := os.ReadDir(dir)
		if err != nil || (len(names) == 1) != c.stays || len(names) > 1 {
			t.Errorf("%s: it left %v, %v", what, names, err)
		}
	}
}

// The largest leaves that can be: memory does not grow with the file. It runs
// beside no other test, for it counts what is allocated.
func TestLargestLeaves(t *testing.T) {
	big := []byte(strings.Repeat("a leaf of the greatest length. ", audit.MaxLeaf))[:audit.MaxLeaf]
	root := tlog.RecordHash(big)
	for range Height {
		root = tlog.NodeHash(root, root)
	}
	s := OpenStore(t.TempDir())
	defer s.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := s.Write(log1, 0, root, func(int64) ([]byte, error) { return big, nil }); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	used := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d MiB were allocated to write it", used)
	if used > 64 { // all that was allocated; what was held at once is less
		t.Errorf("%d MiB were allocated", used)
	}
	if b, err := s.Leaf(log1, root, 777); err != nil || !bytes.Equal(b, big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	n := 0
	if err := s.Scan(log1, root, 0, 0, 1000, func(_ int64, b []byte) error { n += len(b); return nil }); err != nil || n != 1000*audit.MaxLeaf {
		t.Errorf("%d bytes, %v", n, err)
	}
}
