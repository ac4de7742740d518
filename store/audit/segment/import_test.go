package segment_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/audit/segment"
)

// A segment that another node has made is kept once it is verified, and nothing
// else is.
func TestImport(t *testing.T) {
	t.Parallel()
	g, s := world(), store(t)
	whole, err := os.ReadFile(put(t, s, 0))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for what, b := range map[string][]byte{"cut off": whole[:len(whole)-7], "altered": flipped, "nothing": nil, "more": append(bytes.Clone(whole), 0)} {
		other := segment.OpenStore(t.TempDir())
		if err := other.Import(origin, 0, g.root(0), bytes.NewReader(b)); err == nil {
			t.Errorf("%s: it was kept", what)
		}
		path, err := other.Path(origin, 0)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
			t.Errorf("%s: it left %v, %v", what, left, err)
		}
	}
	other := segment.OpenStore(t.TempDir())
	t.Cleanup(func() { other.Close() })
	if err := other.Import(origin, 0, g.root(1), bytes.NewReader(whole)); !errors.Is(err, segment.ErrOther) {
		t.Errorf("another segment's root: %v", err)
	}
	raw, err := s.Raw(origin, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for range 2 { // again is no harm
		if _, err := raw.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := other.Import(origin, 0, g.root(0), raw); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []int64{0, 300, segment.Leaves - 1} {
		if leaf, err := other.Leaf(origin, g.root(0), seq); err != nil || !bytes.Equal(leaf, g.leaves[seq]) {
			t.Errorf("leaf %d: %v", seq, err)
		}
	}
}
