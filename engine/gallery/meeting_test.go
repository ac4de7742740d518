package gallery_test

import (
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

// meeting is a context in which something happens when it is asked for the n-th
// time whether it has ended: a search asks before, during and after its pass.
type meeting struct {
	context.Context
	asked, at atomic.Int64
	do        func()
}

func (m *meeting) Err() error {
	if m.asked.Add(1) == m.at.Load() {
		m.do()
	}
	return m.Context.Err()
}

// moments is more often than a search of these tests asks.
const moments = 9

// TestSearchMeetsRemoval removes the best candidate in the middle of a search,
// alone or after its segment was replaced. A search that ends afterwards must
// not have it, and must have who comes in its place.
func TestSearchMeetsRemoval(t *testing.T) {
	const rows, dimension = 3500, 64
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, dimension)[1].make
	var vectors [][]float32
	for range rows {
		vectors = append(vectors, draw(r))
	}
	probe := vectors[500]
	best := func(n int) []gallery.Candidate {
		m := naive{}
		for i, v := range vectors {
			m.enrol(uint64(i+1), v)
		}
		return m.all(probe)[:n]
	}(400)
	for name, do := range map[string]func(g *gallery.Gallery) (removed []uint64, err error){
		"one": func(g *gallery.Gallery) ([]uint64, error) {
			return []uint64{best[0].Number}, g.Remove(best[0].Number)
		},
		"all that were found": func(g *gallery.Gallery) (removed []uint64, err error) {
			for _, c := range best[:20] {
				removed, err = append(removed, c.Number), errors.Join(err, g.Remove(c.Number))
			}
			return removed, err
		},
		"one after its segment was compacted": func(g *gallery.Gallery) (removed []uint64, err error) {
			for n := uint64(1); n < 450; n++ {
				if !slices.ContainsFunc(best[:20], func(c gallery.Candidate) bool { return c.Number == n }) {
					removed, err = append(removed, n), errors.Join(err, g.Remove(n))
				}
			}
			err = errors.Join(err, g.Compact(), g.Remove(best[0].Number))
			return append(removed, best[0].Number), err
		},
		"one and then compacted": func(g *gallery.Gallery) (removed []uint64, err error) {
			err = g.Remove(best[0].Number)
			removed = append(removed, best[0].Number)
			for n := uint64(1); n < 450; n++ {
				if !slices.ContainsFunc(best[:20], func(c gallery.Candidate) bool { return c.Number == n }) {
					removed, err = append(removed, n), errors.Join(err, g.Remove(n))
				}
			}
			return removed, errors.Join(err, g.Compact())
		},
	} {
		t.Run(name, func(t *testing.T) {
			for at := range int64(moments) {
				g := open(t, gallery.Config{Dimension: dimension, Workers: 1})
				for i, v := range vectors {
					enrol(t, g, uint64(i+1), v)
				}
				var removed []uint64
				var failed error
				ctx := &meeting{Context: t.Context(), do: func() { removed, failed = do(g) }}
				ctx.at.Store(at + 1)
				found, err := g.Search(ctx, template(probe), gallery.Query{K: 10, Min: -1})
				if err != nil || failed != nil {
					t.Fatal(err, failed)
				}
				var want []gallery.Candidate
				for _, c := range best {
					if !slices.Contains(removed, c.Number) && len(want) < 10 {
						want = append(want, c)
					}
				}
				if d := differ(found, want); d != "" {
					t.Errorf("removed when asked for the %d. time: %s", at+1, d)
				}
				g.Close()
			}
			// Else nothing happened in a search.
			if at := asked(t, vectors[:100], probe); at < 3 {
				t.Fatalf("a search asks %d times: nothing is met", at)
			}
		})
	}
}

// asked is how often a search asks its context.
func asked(t *testing.T, vectors [][]float32, probe []float32) int64 {
	t.Helper()
	g := open(t, gallery.Config{Dimension: len(probe), Workers: 1})
	for i, v := range vectors {
		enrol(t, g, uint64(i+1), v)
	}
	ctx := &meeting{Context: t.Context()}
	if _, err := g.Search(ctx, template(probe), gallery.Query{K: 1}); err != nil {
		t.Fatal(err)
	}
	return ctx.asked.Load()
}

// TestSearchMeetsClose closes the gallery in the middle of a search, and while
// another waits for its pass. An empty answer would say that nobody is enrolled.
func TestSearchMeetsClose(t *testing.T) {
	const rows = 100
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, 16)[1].make
	for at := range int64(moments) {
		g := open(t, gallery.Config{Dimension: 16, Workers: 1})
		var vectors [][]float32
		for i := range rows {
			vectors = append(vectors, draw(r))
			enrol(t, g, uint64(i+1), vectors[i])
		}
		right := func(i int, found []gallery.Candidate, err error) error {
			if err != nil && !errors.Is(err, gallery.ErrClosed) {
				return fmt.Errorf("neither an answer nor ErrClosed: %w", err)
			}
			if err == nil && (len(found) == 0 || found[0].Number != uint64(i+1)) {
				return fmt.Errorf("closed when asked for the %d. time: search for %d found %v", at+1, i+1, found)
			}
			return nil
		}
		others := [5]error{}
		var group sync.WaitGroup
		ctx := &meeting{Context: t.Context(), do: func() {
			for i := range others {
				group.Go(func() {
					found, err := g.Search(t.Context(), template(vectors[i]), gallery.Query{K: 3})
					others[i] = right(i, found, err)
				})
			}
			time.Sleep(5 * time.Millisecond) // they wait for the pass under way
			closed := sync.WaitGroup{}
			closed.Go(g.Close)
			group.Go(closed.Wait)
			time.Sleep(5 * time.Millisecond) // Close may wait for this search, or not
		}}
		ctx.at.Store(at + 1)
		found, err := g.Search(ctx, template(vectors[50]), gallery.Query{K: 3})
		if err := right(50, found, err); err != nil {
			t.Error(err)
		}
		group.Wait()
		if err := errors.Join(others[:]...); err != nil {
			t.Error(err)
		}
	}
}

// TestCancelledSearchReturns, and those that share its pass are answered.
func TestCancelledSearchReturns(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, 16)[1].make
	g := open(t, gallery.Config{Dimension: 16, Workers: 1})
	var vectors [][]float32
	for i := range 3000 {
		vectors = append(vectors, draw(r))
		enrol(t, g, uint64(i+1), vectors[i])
	}
	before, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Search(before, template(vectors[0]), gallery.Query{K: 1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled before: %v", err)
	}
	// While a pass is held up, one that will be cancelled and three that will not
	// come to wait for the next.
	during, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := [4]error{}
	var group sync.WaitGroup
	holding := &meeting{Context: t.Context(), do: func() {
		for i := range errs {
			group.Go(func() {
				ctx := t.Context()
				if i == 1 {
					ctx = during
				}
				found, err := g.Search(ctx, template(vectors[i]), gallery.Query{K: 1})
				switch {
				case i == 1 && !errors.Is(err, context.Canceled):
					errs[i] = fmt.Errorf("the cancelled search gave %v, %w", found, err)
				case i != 1 && err != nil:
					errs[i] = fmt.Errorf("search %d was spoilt: %w", i, err)
				case i != 1 && found[0].Number != uint64(i+1):
					errs[i] = fmt.Errorf("search %d found %v", i, found)
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		cancel()
	}}
	holding.at.Store(2)
	if _, err := g.Search(holding, template(vectors[9]), gallery.Query{K: 1}); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	// One that is cancelled in its own pass goes over no further piece. It is asked
	// once before the pass, once a piece and once after.
	ctx, cancel := context.WithCancel(t.Context())
	alone := &meeting{Context: ctx, do: cancel}
	alone.at.Store(2)
	if _, err := g.Search(alone, template(vectors[0]), gallery.Query{K: 1}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled during: %v", err)
	}
}
