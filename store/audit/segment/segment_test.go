package segment_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
)

func TestLeavesAndHashes(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	for n := range int64(2) {
		path := put(t, s, n)
		if want := filepath.Join("audit", "ten_a", "e1", []string{"00000000.seg", "00000001.seg"}[n]); !strings.HasSuffix(path, want) {
			t.Errorf("%s does not end in %s", path, want)
		}
		if err := s.Verify(origin, g.root(n), n); err != nil {
			t.Error(err)
		}
		first := n << segment.Height
		for _, i := range []int64{0, 1, 255, 256, 257, 40_000, 65_279, 65_280, 65_535} {
			b, err := s.Leaf(origin, g.root(n), first+i)
			if err != nil || !bytes.Equal(b, g.leaves[first+i]) {
				t.Errorf("leaf %d: %.80q, %v", first+i, b, err)
			}
			for j := range b { // what was given out is the caller's
				b[j] = 0
			}
			if b, err := s.Leaf(origin, g.root(n), first+i); err != nil || !bytes.Equal(b, g.leaves[first+i]) {
				t.Errorf("leaf %d again: %.80q, %v", first+i, b, err)
			}
		}
		for level := range segment.Height {
			count := int64(segment.Leaves) >> level
			for _, i := range []int64{0, 1, count / 3, count - 1} {
				index := n*count + i
				h, err := s.Hash(origin, g.root(n), n, level, index)
				if want := g.hashes[tlog.StoredHashIndex(level, index)]; err != nil || h != want {
					t.Errorf("hash %d of level %d: %s instead of %s, %v", index, level, h, want, err)
				}
			}
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	put(t, s, 1)
	const first = segment.Leaves
	for _, r := range [][2]int64{{0, segment.Leaves}, {0, 0}, {0, 1}, {255, 257}, {300, 301}, {1000, 3000}, {65_535, 65_536}, {65_536, 65_536}} {
		next := first + r[0]
		err := s.Scan(origin, g.root(1), 1, first+r[0], first+r[1], func(seq int64, leaf []byte) error {
			if seq != next || !bytes.Equal(leaf, g.leaves[seq]) {
				t.Fatalf("%d instead of %d, or its bytes", seq, next)
			}
			next++
			return nil
		})
		if err != nil || next != first+r[1] {
			t.Errorf("%v ends before %d, %v", r, next, err)
		}
	}
	enough, calls := errors.New("enough"), 0
	if err := s.Scan(origin, g.root(1), 1, first, 2*first, func(int64, []byte) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestWhatCannotBe(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	put(t, s, 0)
	root := g.root(0)
	none := func(int64, []byte) error { t.Error("a leaf was given"); return nil }
	for what, err := range map[string]error{
		"a leaf before the first": second(s.Leaf(origin, root, -1)),
		"a leaf beyond any":       second(s.Leaf(origin, root, audit.MaxSize)),
		"another level":           second(s.Hash(origin, root, 0, segment.Height, 0)),
		"a level below":           second(s.Hash(origin, root, 0, -1, 0)),
		"a hash after":            second(s.Hash(origin, root, 0, 3, segment.Leaves>>3)),
		"a hash before":           second(s.Hash(origin, root, 0, 3, -1)),
		"no origin":               second(s.Leaf("clu_a/../e1", root, 0)),
		"a path out of the store": second(s.Path("clu_a/../e1", 0)),
		"a negative segment":      second(s.Path(origin, -1)),
		"a scan before":           s.Scan(origin, root, 0, -1, 1, none),
		"a scan after":            s.Scan(origin, root, 0, 1, segment.Leaves+1, none),
		"a scan backwards":        s.Scan(origin, root, 0, 2, 1, none),
		"a segment of no log":     s.Write("x", 0, root, g.source),
	} {
		if !errors.Is(err, segment.ErrSegment) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"leaf":   second(s.Leaf(origin, root, segment.Leaves)),
		"hash":   second(s.Hash(origin, root, 1, 0, segment.Leaves)),
		"verify": s.Verify(origin, root, 1),
		"log":    second(s.Leaf("clu_a/ten_b/e1", root, 0)),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of a segment that is not there: %v", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Leaf(origin, root, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestWriteKeepsAndReplaces(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	path := put(t, s, 0)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(filepath.Dir(path), ".00000007.seg.tmp")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	unread := func(int64) ([]byte, error) {
		t.Error("a whole segment was made again")
		return nil, errors.New("unread")
	}
	if err := s.Write(origin, 0, g.root(0), unread); err != nil {
		t.Error(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("a whole segment was replaced, %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}

	// Damaged while it is open: the reader says so, Write makes it again, and the
	// reader sees the new file.
	if _, err := s.Leaf(origin, g.root(0), 0); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 100), int64(len(whole))/2); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := s.Verify(origin, g.root(0), 0); !errors.Is(err, segment.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	put(t, s, 0)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("the file was not made again, %v", err)
	}
	if err := s.Scan(origin, g.root(0), 0, 0, segment.Leaves, func(int64, []byte) error { return nil }); err != nil {
		t.Error(err)
	}

	// A whole file of another root is evidence: it stays.
	if err := s.Write(origin, 0, g.root(1), unread); !errors.Is(err, segment.ErrOther) {
		t.Errorf("%v", err)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("it was overwritten, %v", err)
	}
	if _, err := s.Leaf(origin, g.root(1), 0); !errors.Is(err, segment.ErrOther) {
		t.Errorf("under another root: %v", err)
	}
	if _, err := s.Leaf(origin, g.root(0), 0); err != nil {
		t.Errorf("under its own root: %v", err)
	}
}

// A whole segment under a name that is not its own is not taken for another.
func TestForeign(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	path := put(t, s, 0)
	for what, at := range map[string]struct {
		origin string
		n      int64
	}{
		"another number":  {origin, 1},
		"another tenant":  {"clu_a/ten_b/e1", 0},
		"another cluster": {"clu_b/ten_a/e1", 0},
		"another epoch":   {"clu_a/ten_a/e2", 0},
	} {
		b := segment.OpenStore(filepath.Join(t.TempDir(), "b"))
		to, err := b.Path(at.origin, at.n)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Link(path, to)); err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(at.origin, g.root(0), at.n); !errors.Is(err, segment.ErrOther) || !strings.Contains(err.Error(), "segment 0 of "+origin) {
			t.Errorf("%s: %v", what, err)
		}
		if leaf, err := b.Leaf(at.origin, g.root(0), at.n<<segment.Height); !errors.Is(err, segment.ErrOther) || leaf != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
