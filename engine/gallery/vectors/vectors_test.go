package vectors_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gatehouse/engine/gallery/vectors"
)

// The golden files were written by numpy: a dimension and its values, row by row.
func TestReadsWhatOthersWrote(t *testing.T) {
	floats := readAll[float32](t, golden(t, "small.fvecs"))
	if want := [][]float32{{1, -2.5, 0}, {3.0000002, float32(math.Inf(1)), 1e-45}}; !slices.EqualFunc(floats, want, slices.Equal[[]float32]) {
		t.Errorf("%v, want %v", floats, want)
	}
	numbers := readAll[int32](t, golden(t, "small.ivecs"))
	if want := [][]int32{{7, -1}, {math.MaxInt32, 0}, {1, 2}}; !slices.EqualFunc(numbers, want, slices.Equal[[]int32]) {
		t.Errorf("%v, want %v", numbers, want)
	}
}

func TestWritesWhatItReads(t *testing.T) {
	for _, name := range []string{"small.fvecs", "small.ivecs"} {
		b := golden(t, name)
		var again []byte
		if filepath.Ext(name) == ".fvecs" {
			again = writeAll(t, readAll[float32](t, b))
		} else {
			again = writeAll(t, readAll[int32](t, b))
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%s: %x, want %x", name, again, b)
		}
	}
}

func TestRefuses(t *testing.T) {
	whole := golden(t, "small.fvecs")
	uneven := slices.Clone(whole)
	uneven[16] = 2
	wide := slices.Concat([]byte{0x01, 0x04, 0, 0}, make([]byte, 4*1025)) // 1,025 values
	for _, k := range []struct {
		name string
		b    []byte
		size int // said; 0: as it is
		want error
	}{
		{"empty", nil, 0, vectors.ErrEmpty},
		{"no dimension", []byte{0, 0, 0, 0}, 0, vectors.ErrDimension},
		{"negative", []byte{0xff, 0xff, 0xff, 0xff}, 0, vectors.ErrDimension},
		{"too many", wide, 0, vectors.ErrDimension},
		{"text", []byte("0.1 0.2 0.3\n"), 0, vectors.ErrDimension},
		{"half a dimension", whole[:3], 0, vectors.ErrCut},
		{"cut", whole[:len(whole)-1], 0, vectors.ErrCut},
		{"shorter than it says", whole[:20], len(whole), vectors.ErrCut},
		{"uneven", uneven, 0, vectors.ErrUneven},
	} {
		size := max(k.size, len(k.b))
		r, err := vectors.NewReader[float32](bytes.NewReader(k.b), int64(size))
		for err == nil {
			err = r.Next(make([]float32, r.Dimension()))
		}
		if !errors.Is(err, k.want) {
			t.Errorf("%s: %v, want %v", k.name, err, k.want)
		}
	}
}

func TestRowsOfAnotherWidth(t *testing.T) {
	b := golden(t, "small.fvecs")
	r, err := vectors.NewReader[float32](bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Next(make([]float32, 4)); !errors.Is(err, vectors.ErrDimension) {
		t.Errorf("reading into four values: %v", err)
	}
	var out bytes.Buffer
	w, err := vectors.NewWriter[float32](&out, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]float32{1}); !errors.Is(err, vectors.ErrDimension) {
		t.Errorf("writing one value: %v", err)
	}
	if err := w.Flush(); err != nil || out.Len() > 0 {
		t.Errorf("%d bytes of a refused row were written, %v", out.Len(), err)
	}
	for _, d := range []int{0, -1, 1025} {
		if _, err := vectors.NewWriter[int32](io.Discard, d); !errors.Is(err, vectors.ErrDimension) {
			t.Errorf("%d values: %v", d, err)
		}
	}
}

// FuzzReader: whatever a file holds, reading it ends, with its rows or a typed
// error, and what was read is written as it was.
func FuzzReader(f *testing.F) {
	for _, name := range []string{"small.fvecs", "small.ivecs"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := vectors.NewReader[int32](bytes.NewReader(b), int64(len(b)))
		var rows [][]int32
		for err == nil {
			row := make([]int32, r.Dimension())
			if err = r.Next(row); err == nil {
				rows = append(rows, row)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if len(rows) != r.Len() || !bytes.Equal(writeAll(t, rows), b) {
				t.Errorf("%d rows of %d bytes, not the same when written", len(rows), len(b))
			}
		case !errors.Is(err, vectors.ErrEmpty) && !errors.Is(err, vectors.ErrDimension) && !errors.Is(err, vectors.ErrUneven) && !errors.Is(err, vectors.ErrCut):
			t.Errorf("error without a type: %v", err)
		}
	})
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readAll[T vectors.Number](t *testing.T, b []byte) [][]T {
	t.Helper()
	r, err := vectors.NewReader[T](bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]T
	for {
		row := make([]T, r.Dimension())
		switch err := r.Next(row); {
		case errors.Is(err, io.EOF):
			if len(all) != r.Len() {
				t.Fatalf("%d rows, Len says %d", len(all), r.Len())
			}
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, row)
	}
}

func writeAll[T vectors.Number](t *testing.T, rows [][]T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := vectors.NewWriter[T](&out, len(rows[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
