package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	var done [100]atomic.Bool
	err := each(context.Background(), io.Discard, "test", len(done), 3, func(_ context.Context, i int) error {
		if done[i].Swap(true) {
			t.Errorf("%d was done twice", i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range done {
		if !done[i].Load() {
			t.Errorf("%d was not done", i)
		}
	}
	failure := errors.New("failure")
	if err := each(context.Background(), io.Discard, "test", 1000, 3, func(_ context.Context, i int) error {
		if i == 5 {
			return failure
		}
		return nil
	}); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
}

func TestTemplatesKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "eval", "t.gob")
	if got, err := readTemplates(file); got != nil || err != nil {
		t.Fatalf("absent: %v, %v", got, err)
	}
	want := &templates{Names: []string{"a", "b"}, Dim: 2, Vectors: []float32{1, 0, 0, 1}}
	if err := want.write(file); err != nil {
		t.Fatal(err)
	}
	got, err := readTemplates(file)
	if err != nil || !slices.Equal(got.Names, want.Names) || !slices.Equal(got.of(1), []float32{0, 1}) {
		t.Errorf("%v, %v", got, err)
	}
	broken := &templates{Names: []string{"a"}, Dim: 2, Vectors: []float32{1}}
	if err := broken.write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := readTemplates(file); err == nil {
		t.Error("templates that are not whole were taken")
	}
}

// One core is one core, whatever runs outside Go.
func TestConfine(t *testing.T) {
	ran := false
	if err := confine(1, func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("ran %v, %v", ran, err)
	}
	if err := confine(100000, func() error { return nil }); err == nil {
		t.Error("cores that are not there were given")
	}
}
