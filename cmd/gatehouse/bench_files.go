package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"gatehouse/engine/gallery"
	"gatehouse/engine/gallery/vectors"
)

// eachVector calls do with each vector of a file, brought to unit length, after
// head with the file's dimension and rows. What it returns is the file's fault.
func eachVector(ctx context.Context, file string, head func(dimension, rows int) error, do func([]float32) error) error {
	return eachRow(ctx, file, head, func(i int, v []float32) error {
		var sum float64
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		length := math.Sqrt(sum)
		if !(length > 0) || math.IsInf(length, 0) {
			return fmt.Errorf("row %d (from 0) has no direction: its length is %g; take it out", i, length)
		}
		for j, x := range v {
			v[j] = float32(float64(x) / length)
		}
		return do(v)
	})
}

func eachRow[T vectors.Number](ctx context.Context, file string, head func(dimension, rows int) error, do func(int, []T) error) error {
	err := func() error {
		f, err := os.Open(file)
		if err != nil {
			return unopened(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return errors.New("it is no regular file; name an .fvecs or .ivecs file")
		}
		r, err := vectors.NewReader[T](f, st.Size())
		if err != nil {
			return err
		}
		if err := head(r.Dimension(), r.Len()); err != nil {
			return err
		}
		row := make([]T, r.Dimension())
		for i := 0; ; i++ {
			if i%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := r.Next(row); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := do(i, row); err != nil {
				return err
			}
		}
	}()
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, gallery.ErrMemory) {
		return err
	}
	return &inputError{file, err}
}

func unopened(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file; check the path")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("it may not be read by this user; give read permission or run as its owner")
	}
	return fmt.Errorf("it cannot be opened: %w", err)
}

// readTruth reads the right answers; each must name rows that there are.
func (b *galleryBench) readTruth(ctx context.Context) ([][]int32, error) {
	var truth [][]int32
	err := eachRow(ctx, b.truth, func(k, rows int) error {
		switch {
		case k < b.K:
			return fmt.Errorf("it has %d answers to a query; --k %d needs as many", k, b.K)
		case rows != b.Queries:
			return fmt.Errorf("it answers %d queries, %s has %d", rows, b.query, b.Queries)
		}
		return nil
	}, func(i int, row []int32) error {
		for _, n := range row {
			if int(n) >= b.Rows || n < -1 {
				return fmt.Errorf("row %d (from 0) names row %d of a base of %d", i, n, b.Rows)
			}
		}
		truth = append(truth, slices.Clone(row[:b.K]))
		return nil
	})
	return truth, err
}

func writeRows(out *wholeFile, rows [][]int32) error {
	w, err := vectors.NewWriter[int32](out, len(rows[0]))
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			return out.failed(err)
		}
	}
	if err := w.Flush(); err != nil {
		return out.failed(err)
	}
	return out.keep()
}

// wholeFile is a file that is there whole or not at all: it has its name once
// it is kept.
type wholeFile struct {
	io.Writer
	name      string
	temporary *os.File
}

func createWhole(name string) (*wholeFile, error) {
	w := &wholeFile{name: name}
	if st, err := os.Stat(name); err == nil && st.IsDir() { // known before the work, not after it
		return nil, w.failed(syscall.EISDIR)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".gatehouse-*")
	if err != nil {
		return nil, w.failed(err)
	}
	w.Writer, w.temporary = f, f
	return w, nil
}

// failed says why, without the temporary file's name.
func (w *wholeFile) failed(err error) error {
	var why syscall.Errno
	if errors.As(err, &why) {
		err = why
	}
	return fmt.Errorf("%s cannot be written: %w; give --out a file in an existing directory where this user may write and space is left", w.name, err)
}

func (w *wholeFile) keep() error {
	err := w.temporary.Chmod(0o644)
	if err = errors.Join(err, w.temporary.Close()); err == nil {
		err = os.Rename(w.temporary.Name(), w.name)
	}
	if err != nil {
		return w.failed(err)
	}
	w.temporary = nil
	return nil
}

// discard does nothing to a file that was kept.
func (w *wholeFile) discard() {
	if w.temporary != nil {
		w.temporary.Close()
		os.Remove(w.temporary.Name())
	}
}
