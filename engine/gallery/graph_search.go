package gallery

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// searchGraph walks the graph for each probe, and compares all that was enrolled
// after it was built.
func (g *Gallery) searchGraph(ctx context.Context, probes []*probe, q Query) ([][]Candidate, error) {
	if q.Since > 0 {
		return nil, fmt.Errorf("%w: Since is for the exact engine", ErrQuery)
	}
	if q.Effort == 0 {
		q.Effort = max(DefaultEffort, q.K)
	}
	if q.Effort < q.K || q.Effort > maxEffort {
		return nil, fmt.Errorf("%w: the effort is %d, %d (k) to %d are possible", ErrQuery, q.Effort, q.K, maxEffort)
	}
	gr := g.holdGraph()
	if gr == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.closed {
			return nil, ErrClosed
		}
		return nil, ErrNoGraph
	}
	defer gr.release()
	out, err := gr.searchAll(ctx, probes, &q)
	if err != nil || !g.holdsAbove(gr.newest) {
		return out, err
	}
	q.Since = gr.newest
	at := 0
	for part := range slices.Chunk(probes, passProbes) {
		s := &search{ctx: ctx, query: q, probes: part}
		if err := g.queue.run(s, g.pass); err != nil {
			return nil, err
		}
		for _, f := range s.found {
			out[at] = merge(out[at], f, q.K)
			at++
		}
	}
	return out, nil
}

// holdsAbove says whether templates with numbers above one are enrolled.
func (g *Gallery) holdsAbove(number uint64) bool {
	v := g.enter()
	defer g.leave(v)
	for _, s := range slices.Backward(v.segments) {
		if n := s.len(); n > 0 {
			return s.numbers[n-1] > number
		}
	}
	return false
}

// merge two answers in the order of an answer: numbers of the second are above.
func merge(a, b found, k int) found {
	a = append(a, b...)
	slices.SortStableFunc(a, func(x, y Candidate) int { return cmp.Compare(y.Similarity, x.Similarity) })
	return a[:min(k, len(a))]
}

// searchAll has the probes searched for by up to Workers goroutines.
func (gr *graph) searchAll(ctx context.Context, probes []*probe, q *Query) ([]found, error) {
	out := make([]found, len(probes))
	var next atomic.Int64
	work := func() {
		w := gr.pool.Get().(*walker)
		defer gr.pool.Put(w)
		for i := int(next.Add(1)) - 1; i < len(probes) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			out[i] = w.search(probes[i], q)
		}
	}
	var group sync.WaitGroup
	for range min(gr.gallery.Workers, len(probes)) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
	return out, ctx.Err()
}

// search for one probe, again where a row of the answer was removed meanwhile.
func (w *walker) search(p *probe, q *Query) found {
	for {
		if !w.look(p, q, q.Effort) {
			w.all = true
			w.look(p, q, maxEffort)
			w.all = false
		}
		best, gone := settle(p, q, w.hits)
		if !gone {
			return best
		}
	}
}

// look collects the rows that may belong to the answer. It says whether K, or
// all that there are, were in sight.
func (w *walker) look(p *probe, q *Query, effort int) bool {
	w.hits, w.lows = w.hits[:0], w.lows[:0]
	entry := w.entry.Load()
	if entry == 0 {
		return true
	}
	a := p.aim()
	w.descend(&a, entry, 0)
	w.walk(&a, 0, effort)
	floor := lowest(q.Min)
	inSight := 0
	for _, n := range w.sight {
		id := n.id &^ walked
		row, s := w.at(id)
		if !s.alive(row) {
			continue
		}
		inSight++
		if q.Skip != nil && q.Skip(s.numbers[row]) {
			continue
		}
		// Half the width of the bounds; what float32 lost of the similarity
		// itself is far less than the slack in it.
		_, e := p.between(zero*a.sum, s.scales[row], s.fine[row])
		if least, full := w.lows.add(cut(n.similarity-e), q.K); full {
			floor = max(floor, least)
		}
		w.hits = append(w.hits, hit{s, uint32(row), n.similarity + e})
	}
	w.hits = slices.DeleteFunc(w.hits, func(h hit) bool { return h.high < floor })
	return inSight >= q.K || inSight == w.live()
}

// live counts the rows that were not removed.
func (gr *graph) live() int {
	n := gr.rows
	for i := range gr.blocks {
		b := &gr.blocks[i]
		n -= bits.OnesCount64(b.dead.Load() << (blockRows - b.rows))
	}
	return n
}
