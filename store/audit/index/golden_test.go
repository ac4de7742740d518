package index_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"gatehouse/store/audit/index"
)

var update = flag.Bool("update", false, "write what a new format's golden file must hold; that of a published one stays as it is")

// Format 1 is a promise: these leaves give these bytes, and these bytes find the
// leaves.
func TestGolden(t *testing.T) {
	t.Parallel()
	const golden, first, count = "testdata/format1.idx", 65_536, 300
	path, _ := write(t, build(t, first, count))
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, want) {
		t.Errorf("format 1 is written otherwise than in %s", golden)
	}
	x, err := index.ReadFile(golden, origin, first)
	if err != nil {
		t.Fatal(err)
	}
	for seq := int64(first); seq < first+count; seq++ {
		got, err := x.Find(index.Terms(leaf(seq)), 0, seq+1)
		if err != nil || !slices.Contains(got, seq) {
			t.Errorf("leaf %d: %v, %v", seq, got, err)
		}
	}
	at := leaf(first + 256).TSMono
	if from, to := x.Bounds(at, at); from != first+1 || to != first+count {
		t.Errorf("%d to %d", from, to)
	}
}
