package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRecall(t *testing.T) {
	truth := [][]int32{{1, 2, 3, 4}, {5, 6, 7, 8}}
	for _, k := range []struct {
		found    [][]int32
		one, ten float64
	}{
		{truth, 1, 1},
		{[][]int32{{1, 3, 2, 9}, {6, 5, 7, 8}}, 0.5, 7.0 / 8},
		{[][]int32{{}, {9, 9, 9, 9}}, 0, 0},
		{[][]int32{{1, 2, 3, 4}}, 1, 1}, // of the probes that were asked for
	} {
		truth := truth[:len(k.found)]
		if one, ten := recall(k.found, truth); one != k.one || ten != k.ten {
			t.Errorf("%v: recall %g, %g, want %g, %g", k.found, one, ten, k.one, k.ten)
		}
	}
}

func TestBracket(t *testing.T) {
	curve := []reached{{16, 0.5, 0.4}, {32, 0.8, 0.7}, {64, 0.9, 0.9}, {128, 1, 0.99}}
	for _, k := range []struct {
		recall       float64
		below, above int
		ok           bool
	}{
		{0.95, 64, 128, true}, {0.9, 64, 64, true}, {0.3, 16, 16, true}, {0.41, 16, 32, true}, {0.99, 128, 128, true}, {0.995, 0, 0, false},
	} {
		below, above, ok := bracket(curve, k.recall)
		if below.effort != k.below || above.effort != k.above || ok != k.ok {
			t.Errorf("%g: %d, %d, %t, want %d, %d, %t", k.recall, below.effort, above.effort, ok, k.below, k.above, k.ok)
		}
	}
	if h := highest(curve); h != 0.99 {
		t.Errorf("highest %g", h)
	}
	if _, _, ok := bracket(nil, 0.5); ok {
		t.Error("a curve without points reaches something")
	}
}

func TestBetween(t *testing.T) {
	at := func(r float64) reached { return reached{at10: r} }
	for _, k := range []struct{ below, above, recall, rateBelow, rateAbove, want float64 }{
		{0.9, 0.99, 0.9, 1000, 500, 1000},
		{0.9, 0.99, 0.99, 1000, 500, 500},
		{0.9, 0.999, 0.99, 1000, 250, 500}, // half of the way in both logarithms
		{0.95, 0.95, 0.95, 700, 700, 700},
		{0.99, 1, 0.999, 1000, 250, 500}, // 1 counts as 0.9999
	} {
		if got := between(at(k.below), at(k.above), k.recall, k.rateBelow, k.rateAbove); math.Abs(got-k.want) > 1e-6 {
			t.Errorf("%+v: %g", k, got)
		}
	}
}

func TestFastestManner(t *testing.T) {
	one, two := manner{batch: 1}, manner{batch: 2}
	k := contest{theirs: []manner{one, two}}
	for want, times := range map[int]map[manner][]float64{
		1: {one: {3, 1, 1}, two: {2, 2, 2}}, 2: {one: {3, 3, 1}, two: {2, 2, 2}},
	} {
		if got := k.fastest(times); got != want {
			t.Errorf("batch %d, want %d", got, want)
		}
	}
}

func TestPlainReadingReadsAll(t *testing.T) {
	p, err := newPlain(8 * 1003)
	if err != nil {
		t.Fatal(err)
	}
	defer p.free()
	want := uint64(0)
	for _, w := range p.words {
		want += w
	}
	for cores := 1; cores <= 3; cores++ {
		if seconds, sum := p.read(cores); sum != want || seconds <= 0 {
			t.Errorf("%d cores: sum %d in %g s, want %d", cores, sum, seconds, want)
		}
	}
}

func TestSizeNames(t *testing.T) {
	for _, k := range []struct {
		rows, dimension int
		want            string
	}{{100_000, 704, "100k"}, {1_000_000, 704, "1m"}, {1234, 704, "1234"}, {100_000, 128, "128d_100k"}} {
		if got := setName(k.rows, k.dimension); got != k.want {
			t.Errorf("%d×%d is %q, want %q", k.rows, k.dimension, got, k.want)
		}
	}
}

// program writes a script that stands for another's Python.
func program(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+lines), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestChildThatFails(t *testing.T) {
	for _, k := range []struct{ lines, says string }{
		{`while read -r line; do echo '{"error": "MemoryError: 2 GB"}'; done`, "2 GB"},
		{`read -r line; exit 0`, "nothing more"},
		{`while read -r line; do echo '{"seconds": [1], "ids": []}'; done`, "1 calls and 0 answers to 4"},
	} {
		s := &galleryRun{report: &report{progress: &bytes.Buffer{}}, python: program(t, k.lines)}
		c, err := s.startChild(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.search(&faceSet{}, 0, 4, manner{batch: 2}, true)
		if !errors.Is(err, errPeer) || !strings.Contains(err.Error(), k.says) {
			t.Errorf("%s: %v", k.lines, err)
		}
		if err := c.close(); err != nil {
			t.Errorf("%s: %v", k.lines, err)
		}
	}
}

// Vectors of an earlier run are taken again, those of other rules are not.
func TestFaces(t *testing.T) {
	s := &galleryRun{report: &report{progress: &bytes.Buffer{}}, dir: t.TempDir()}
	f, err := s.faces(t.Context(), 2000, 8)
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.Stat(f.base)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.faces(t.Context(), 1000, 8) // a part of them
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(f.base); err != nil || !os.SameFile(st, made) {
		t.Errorf("they were made again: %v", err)
	}
	rows := 0
	if err := again.eachRow(t.Context(), func(int, []float32) error { rows++; return nil }); err != nil || rows != 1000 {
		t.Errorf("%d rows, %v", rows, err)
	}
	b, err := os.ReadFile(f.base)
	if err != nil {
		t.Fatal(err)
	}
	b[4] ^= 1 // a bit of the first value
	if err := os.WriteFile(f.base, b, 0o644); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(f.dir, "hnswlib.index")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err = s.faces(t.Context(), 1000, 8); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Error("an index over other vectors was kept")
	}
	// Every second probe is someone enrolled: their row is more like it than 0.4.
	var base [][]float32
	if err := f.eachRow(t.Context(), func(_ int, v []float32) error {
		base = append(base, slices.Clone(v))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	near := 0
	for i := 0; i < probeCount; i += 2 {
		var dot float64
		for j, x := range base[i*f.rows/probeCount] {
			dot += float64(x) * float64(f.probes[i].Vector[j])
		}
		if dot > 0.4 {
			near++
		}
	}
	if near < 700 {
		t.Errorf("%d of 1000 probes are like their row", near)
	}
}

// Without the other programs ours is measured, and the rest says so.
func TestGalleryWithoutPeers(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", "")
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"gallery", "--rows", "1000", "--quick"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for _, want := range []string{
		"cannot be had here (no-python3", "figure gallery_over_faiss_flat_1k_1core - ratio goal >= 4 skipped:no-peer", "figure gallery_recall1_1k - ratio goal >= 1 skipped:no-peer",
		"figure graph_over_hnswlib_1k_1core - ratio goal >= 1.5 skipped:no-peer", "figure gallery_vector_bytes_1k ", "figure graph_build_s_1k ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	for _, unwanted := range []string{"gallery_ms_p50_1k_1core -", "gallery_load_s_1k -"} {
		if strings.Contains(out.String(), unwanted) {
			t.Errorf("%q is in %s", unwanted, out.String())
		}
	}
}

func TestGalleryUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range []string{"gallery --only faces", "gallery --rows 10", "gallery --rows -1"} {
		var out, errOut bytes.Buffer
		if code := run(context.Background(), strings.Fields(args), &out, &errOut); code != 2 || errOut.Len() == 0 {
			t.Errorf("%s: exit code %d: %s", args, code, errOut.String())
		}
	}
	if _, err := os.Stat(buildDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was made")
	}
}
