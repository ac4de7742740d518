package gallery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/engine/gallery"
)

// life of a template, in the order of one clock: a search that begins after
// enrolled and ends before removing finds it, one that begins after removed does
// not. 0: not yet.
type life struct{ enrolled, removing, removed atomic.Int64 }

// TestAllAtOnce has searchers, one who enrols, one who removes, one who compacts
// and one who writes snapshots, and explains every answer.
func TestAllAtOnce(t *testing.T) {
	for _, kernel := range gallery.Kernels() {
		t.Run(kernel, func(t *testing.T) { allAtOnce(t, kernel, 1500*time.Millisecond/time.Duration(len(gallery.Kernels()))) })
	}
}

func allAtOnce(t *testing.T, kernel string, period time.Duration) {
	const most, dimension = 12000, 24
	s := seed(t)
	r := rand.New(rand.NewPCG(s, 0))
	draw := kinds(1, dimension)[1].make
	vectors := make([][]float32, most+1)
	for i := range vectors {
		vectors[i] = draw(r)
	}
	g := open(t, gallery.Config{Dimension: dimension, Kernel: kernel, Workers: 2})
	lives := make([]life, most+1)
	var clock, newest, searches, removals, compactions atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), period)
	defer cancel()
	var group sync.WaitGroup
	// do repeats an action until the time is over.
	do := func(action func(r *rand.Rand) error) {
		own := rand.New(rand.NewPCG(s, r.Uint64()))
		group.Go(func() {
			for ctx.Err() == nil {
				if err := action(own); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	do(func(*rand.Rand) error { // enrols
		n := newest.Load() + 1
		if n > most {
			time.Sleep(time.Millisecond)
			return nil
		}
		err := g.Enrol(uint64(n), template(vectors[n]))
		lives[n].enrolled.Store(clock.Add(1))
		newest.Store(n)
		if n > 1500 {
			time.Sleep(50 * time.Microsecond)
		}
		return err
	})
	do(func(r *rand.Rand) error { // removes
		last := newest.Load()
		if last < 100 {
			return nil
		}
		n := 1 + r.Int64N(last)
		if r.IntN(2) == 0 {
			n = 1 + r.Int64N(min(last, 2000)) // so that the first segments have holes to close
		}
		if lives[n].removing.Load() != 0 {
			return nil
		}
		lives[n].removing.Store(clock.Add(1))
		err := g.Remove(uint64(n))
		lives[n].removed.Store(clock.Add(1))
		removals.Add(1)
		time.Sleep(20 * time.Microsecond)
		return err
	})
	do(func(*rand.Rand) error { // compacts
		before := g.Stats().Removed
		err := g.Compact()
		if g.Stats().Removed < before {
			compactions.Add(1)
		}
		time.Sleep(time.Millisecond)
		return err
	})
	do(func(*rand.Rand) error { // writes snapshots, and counts
		time.Sleep(5 * time.Millisecond)
		if n, s := g.Len(), g.Stats(); n < 0 || n > most || s.Templates < 0 {
			return fmt.Errorf("%d templates, %+v", n, s)
		}
		index := uint64(newest.Load())
		b := snapshotOf(t, g, index)
		again, _, err := gallery.ReadSnapshot(context.Background(), g.Config, bytes.NewReader(b), int64(len(b)), nil)
		if err != nil { // a row that was removed while it was copied would be no unit vector
			return err
		}
		defer again.Close()
		if n := again.Newest(); n != index {
			return fmt.Errorf("a snapshot of index %d ends at %d", index, n)
		}
		return nil
	})
	for range 3 {
		do(func(r *rand.Rand) error { // searches
			last := newest.Load()
			if last < 1 {
				return nil
			}
			probes, own := []gallery.Template{}, []int64{}
			for range 1 + r.IntN(5) {
				own = append(own, 1+r.Int64N(last))
				probes = append(probes, template(vectors[own[len(own)-1]]))
			}
			began := clock.Add(1)
			answers, err := g.SearchBatch(context.Background(), probes, gallery.Query{K: 1 + r.IntN(5), Min: 0})
			if err != nil {
				return err
			}
			ended := clock.Add(1)
			searches.Add(1)
			for i, found := range answers {
				if err := explain(found, own[i], probes[i].Vector, vectors, lives, began, ended); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Wait()
	var numbers []uint64
	g.Numbers(func(n uint64) bool { numbers = append(numbers, n); return true })
	if !slices.Equal(numbers, remaining(lives)) {
		t.Errorf("%d templates are left, want %d", len(numbers), len(remaining(lives)))
	}
	t.Logf("%d searches, %d enrolled, %d removed, %d compactions", searches.Load(), newest.Load(), removals.Load(), compactions.Load())
	if searches.Load() < 10 || newest.Load() < 100 || removals.Load() < 10 {
		t.Error("too little was done at once to show anything")
	}
}

// remaining are the templates that were enrolled and not removed.
func remaining(lives []life) (numbers []uint64) {
	for n := range lives {
		if lives[n].enrolled.Load() != 0 && lives[n].removing.Load() == 0 {
			numbers = append(numbers, uint64(n))
		}
	}
	return numbers
}

func explain(found []gallery.Candidate, own int64, probe []float32, vectors [][]float32, lives []life, began, ended int64) error {
	saw := false
	for i, c := range found {
		l := &lives[c.Number]
		if gone := l.removed.Load(); gone != 0 && gone < began {
			return fmt.Errorf("template %d was removed at %d, a search from %d to %d has it", c.Number, gone, began, ended)
		}
		if s := max(-1, min(1, dot(vectors[c.Number], probe))); s != c.Similarity {
			return fmt.Errorf("template %d: similarity %g, is %g", c.Number, c.Similarity, s)
		}
		if i > 0 && found[i-1].Similarity < c.Similarity {
			return fmt.Errorf("out of order: %v", found)
		}
		saw = saw || c.Number == uint64(own)
	}
	l := &lives[own]
	in, out := l.enrolled.Load(), l.removing.Load()
	if in != 0 && in < began && (out == 0 || out > ended) && !saw {
		return fmt.Errorf("template %d, enrolled at %d, removed at %d, is not in a search from %d to %d: %v", own, in, out, began, ended, found)
	}
	return nil
}

// TestSearchesTogether get the answers that they get alone.
func TestSearchesTogether(t *testing.T) {
	const rows, dimension, together = 5000, 96, 64
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, dimension)[0].make
	g := open(t, gallery.Config{Dimension: dimension, Workers: 2})
	for n := range uint64(rows) {
		enrol(t, g, n+1, draw(r))
	}
	probes, queries := make([][]gallery.Template, together), make([]gallery.Query, together)
	alone := make([][][]gallery.Candidate, together)
	for i := range probes {
		for range 1 + r.IntN(20) {
			probes[i] = append(probes[i], template(draw(r)))
		}
		queries[i] = gallery.Query{K: 1 + r.IntN(50), Min: r.Float64() - 0.5, Since: r.Uint64N(rows)}
		var err error
		if alone[i], err = g.SearchBatch(t.Context(), probes[i], queries[i]); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, together)
	var group sync.WaitGroup
	for i := range probes {
		group.Go(func() {
			found, err := g.SearchBatch(t.Context(), probes[i], queries[i])
			if err == nil && !slices.EqualFunc(found, alone[i], func(a, b []gallery.Candidate) bool { return differ(a, b) == "" }) {
				err = fmt.Errorf("search %d has another answer among others than alone", i)
			}
			errs[i] = err
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// TestCloseWhileSearching: every search has a right answer or ErrClosed.
func TestCloseWhileSearching(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, 32)[1].make
	for range 20 {
		g := open(t, gallery.Config{Dimension: 32, Workers: 2})
		var vectors [][]float32
		for n := range uint64(300) {
			vectors = append(vectors, draw(r))
			enrol(t, g, n+1, vectors[n])
		}
		errs := make([]error, 6)
		var group sync.WaitGroup
		var began atomic.Int64
		for i := range errs {
			group.Go(func() {
				for n := 0; errs[i] == nil; n++ {
					own := (37*n + i) % len(vectors)
					found, err := g.Search(t.Context(), template(vectors[own]), gallery.Query{K: 1})
					began.Add(1)
					switch {
					case errors.Is(err, gallery.ErrClosed):
						return
					case err != nil:
						errs[i] = err
					case len(found) != 1 || found[0].Number != uint64(own+1):
						errs[i] = fmt.Errorf("search for %d found %v", own+1, found)
					}
				}
			})
		}
		for began.Load() < 50 {
			time.Sleep(100 * time.Microsecond)
		}
		g.Close()
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
}
