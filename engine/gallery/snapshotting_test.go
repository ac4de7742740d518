package gallery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"gatehouse/engine/gallery"
)

// writer calls do before it takes the n-th write.
type writer struct {
	bytes.Buffer
	n, at int
	do    func() error
}

func (w *writer) Write(b []byte) (int, error) {
	if w.n++; w.n == w.at {
		if err := w.do(); err != nil {
			return 0, err
		}
	}
	return w.Buffer.Write(b)
}

// TestRemovedWhileASnapshotIsWritten: what is removed before its chunk was
// written is not in it, and the rest is; what is enrolled meanwhile is not: its number is
// above the index.
func TestRemovedWhileASnapshotIsWritten(t *testing.T) {
	for name, compact := range map[string]bool{"removed": false, "compacted and removed": true} {
		t.Run(name, func(t *testing.T) {
			const rows = 3000 // three chunks
			r := rand.New(rand.NewPCG(seed(t), 0))
			draw := kinds(1, 8)[1].make
			g := open(t, gallery.Config{Dimension: 8})
			vectors := map[uint64][]float32{}
			for n := uint64(1); n <= rows; n++ {
				vectors[n] = draw(r)
				enrol(t, g, n, vectors[n])
			}
			remove := func(n uint64) error {
				delete(vectors, n)
				return g.Remove(n)
			}
			w := &writer{at: 2, do: func() error { // the head is written, the first chunk is about to be
				var errs []error
				if compact {
					for n := uint64(1025); n < 2500; n++ {
						errs = append(errs, remove(n))
					}
					errs = append(errs, g.Compact())
				}
				return errors.Join(append(errs, remove(2600), remove(2999), g.Enrol(rows+1, template(draw(r))))...)
			}}
			if err := g.WriteSnapshot(t.Context(), w, rows); err != nil {
				t.Fatal(err)
			}
			again, _, err := read(t, g.Config, w.Bytes(), int64(w.Len()))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []uint64{2600, 2999} {
				if err := again.Remove(n); !errors.Is(err, gallery.ErrUnknown) {
					t.Errorf("template %d, removed before its chunk was written, is in the snapshot (%v)", n, err)
				}
			}
			for n, v := range vectors {
				if n%5 > 0 {
					continue
				}
				if got := search(t, again, v, gallery.Query{K: 1}); len(got) != 1 || got[0].Number != n {
					t.Fatalf("template %d is lost: %v", n, got)
				}
			}
			if there, _ := again.Holds(rows+1, nil); there {
				t.Error("a template above the index is in the snapshot")
			}
			if err := again.Enrol(rows, template(draw(r))); !errors.Is(err, gallery.ErrOrder) {
				t.Errorf("a number that was taken before: %v", err)
			}
		})
	}
}

// TestSnapshotOfAnEarlierIndex has no more than what was enrolled up to it, and
// goes on from there.
func TestSnapshotOfAnEarlierIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, 8)[1].make
	g := open(t, gallery.Config{Dimension: 8})
	for _, n := range []uint64{2, 4, 6} {
		enrol(t, g, n, draw(r))
	}
	for index, want := range map[uint64]struct {
		length int
		newest uint64
	}{0: {0, 0}, 1: {0, 1}, 2: {1, 2}, 5: {2, 5}, 6: {3, 6}, 9: {3, 6}} {
		b := snapshotOf(t, g, index)
		again, got, err := read(t, g.Config, b, int64(len(b)))
		if err != nil || got != index || again.Len() != want.length || again.Newest() != want.newest {
			t.Fatalf("index %d: %v, %v", index, again, err)
		}
		enrol(t, again, want.newest+1, draw(r))
	}
}

func TestSnapshotThatCannotBeWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, 8)[1].make
	g := open(t, gallery.Config{Dimension: 8})
	for n := range uint64(1500) {
		enrol(t, g, n+1, draw(r))
	}
	full := errors.New("disk is full")
	for at := 1; at <= 3; at++ {
		if err := g.WriteSnapshot(t.Context(), &writer{at: at, do: func() error { return full }}, 1500); !errors.Is(err, full) {
			t.Errorf("write %d fails: %v", at, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := g.WriteSnapshot(ctx, &writer{at: 2, do: func() error { cancel(); return nil }}, 1500); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it is written: %v", err)
	}
	b := snapshotOf(t, g, 1500)
	if again, _, err := gallery.ReadSnapshot(ctx, g.Config, bytes.NewReader(b), int64(len(b)), nil); !errors.Is(err, context.Canceled) || again != nil {
		t.Errorf("cancelled before it is read: %v", err)
	}
	if _, _, err := gallery.ReadSnapshot(t.Context(), g.Config, failing{bytes.NewReader(b)}, int64(len(b)), nil); !errors.Is(err, errUnread) {
		t.Errorf("a disk that cannot be read: %v", err)
	}
}

var errUnread = errors.New("disk cannot be read")

// failing reads the head and nothing else.
type failing struct{ io.ReaderAt }

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at > 100 || len(b) > 1000 {
		return 0, errUnread
	}
	return f.ReaderAt.ReadAt(b, at)
}
