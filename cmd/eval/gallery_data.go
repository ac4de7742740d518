package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"gatehouse/engine/gallery"
	"gatehouse/engine/gallery/vectors"
	"gatehouse/engine/specimen"
)

const (
	faceSeed = 7
	faceName = "faces" // the model that invented vectors go by
	// probeCount: every second probe is another picture of one who is enrolled,
	// the others are of nobody.
	probeCount = 2000
	// strangers begin with this person, beyond every gallery.
	strangers = 1 << 40
	// leastRows: fewer have no thousand persons to ask for.
	leastRows = 1000
)

// faceSet is invented templates in files, where others read them too. The base
// may hold more rows than count.
type faceSet struct {
	rows, dimension int
	dir             string
	base, queries   string
	probes          []gallery.Template
	truth           [][]int32 // of the first probes; nil: not known
}

// faces makes the vectors, or takes those of an earlier run.
func (s *galleryRun) faces(ctx context.Context, rows, dimension int) (*faceSet, error) {
	from := specimen.NewTemplates(faceSeed, dimension)
	dir := filepath.Join(s.dir, fmt.Sprintf("%d-%d", faceSeed, dimension))
	f := &faceSet{rows: rows, dimension: dimension, dir: dir, base: filepath.Join(dir, "base.fvecs"), queries: f1(dir, "queries", rows, "fvecs")}
	enrolled := func(i int) []float32 { return from.Template(uint64(i), 0) }
	if !sameRow(f.base, 0, enrolled) { // absent, or invented by other rules: so is all that was made of it
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if !sameRow(f.base, rows-1, enrolled) {
		if err := s.writeVectors(ctx, f.base, rows, dimension, enrolled); err != nil {
			return nil, err
		}
	}
	probe := func(i int) []float32 {
		if i%2 == 0 {
			return from.Template(uint64(i*rows/probeCount), 1)
		}
		return from.Template(uint64(strangers+i), 1)
	}
	if err := s.writeVectors(ctx, f.queries, probeCount, dimension, probe); err != nil {
		return nil, err
	}
	for i := range probeCount {
		f.probes = append(f.probes, gallery.Template{Model: faceName, Vector: probe(i)})
	}
	return f, nil
}

// f1 names a file about so many rows.
func f1(dir, what string, rows int, end string) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d.%s", what, rows, end))
}

// sameRow says whether a file holds what is made for this row.
func sameRow(file string, i int, made func(int) []float32) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	want := made(i)
	step := int64(4 + 4*len(want)) // a row begins with its dimension
	r, err := vectors.NewReader[float32](io.NewSectionReader(f, int64(i)*step, step), step)
	if err != nil || r.Dimension() != len(want) {
		return false
	}
	row := make([]float32, len(want))
	return r.Next(row) == nil && slices.Equal(row, want)
}

// writeVectors writes a file, whole or not at all.
func (s *galleryRun) writeVectors(ctx context.Context, file string, rows, dimension int, made func(int) []float32) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".vectors-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w, err := vectors.NewWriter[float32](f, dimension)
	if err != nil {
		return err
	}
	p := &progress{w: s.progress, what: "inventing vectors", total: rows}
	part := make([][]float32, 1024)
	for at := 0; at < rows; at += len(part) {
		if err := ctx.Err(); err != nil {
			return err
		}
		part = part[:min(len(part), rows-at)]
		var group sync.WaitGroup
		for core := range runtime.NumCPU() {
			group.Go(func() {
				for i := core; i < len(part); i += runtime.NumCPU() {
					part[i] = made(at + i)
				}
			})
		}
		group.Wait()
		for _, row := range part {
			if err := w.Write(row); err != nil {
				return err
			}
			p.step()
		}
	}
	p.end()
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// eachRow of the base, in order.
func (f *faceSet) eachRow(ctx context.Context, do func(i int, v []float32) error) error {
	file, err := os.Open(f.base)
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	r, err := vectors.NewReader[float32](file, st.Size())
	if err != nil {
		return fmt.Errorf("%s: %w; remove it", f.base, err)
	}
	row := make([]float32, r.Dimension())
	for i := range f.rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.Next(row); err != nil {
			return fmt.Errorf("%s: %w; remove it", f.base, err)
		}
		if err := do(i, row); err != nil {
			return err
		}
	}
	return nil
}

// recall of what was found: how often the nearest is the nearest, and how many
// of the ten nearest are among the ten.
func recall(found, truth [][]int32) (at1, at10 float64) {
	first, hits, all := 0, 0, 0
	for i, got := range found {
		if len(got) > 0 && got[0] == truth[i][0] {
			first++
		}
		all += len(truth[i])
		for _, n := range truth[i] {
			if slices.Contains(got, n) {
				hits++
			}
		}
	}
	return float64(first) / float64(max(1, len(found))), float64(hits) / float64(max(1, all))
}
