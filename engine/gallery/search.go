package gallery

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Engine that a search uses.
type Engine string

const (
	// Exact compares all templates; it misses none.
	Exact Engine = "exact"
	// Graph walks a graph of near templates; it may miss some. BuildGraph first.
	Graph Engine = "graph"
)

// MaxK candidates of one search.
const MaxK = 1024

// Query says what a search is for.
type Query struct {
	K     int     // most candidates, 1 to MaxK
	Min   float64 // least similarity, -1 to 1
	Since uint64  // only templates with a number above
	// Skip templates, by their numbers; nil: none. Asked of the few rows that
	// may be candidates, by several goroutines.
	Skip   func(number uint64) bool
	Engine Engine // empty: Exact
	// Effort of the graph: how many of the nearest it keeps in sight, K to
	// 4,096; 0: DefaultEffort.
	Effort int
}

// Candidate is a template like the probe.
type Candidate struct {
	Number     uint64  `json:"number"`
	Similarity float64 `json:"similarity"` // cosine, -1 to 1
}

// found is what one probe came to.
type found = []Candidate

func (q *Query) check() error {
	switch {
	case q.K < 1 || q.K > MaxK:
		return fmt.Errorf("%w: k is %d, 1 to %d are possible", ErrQuery, q.K, MaxK)
	case !(q.Min >= -1 && q.Min <= 1):
		return fmt.Errorf("%w: the least similarity is %g, -1 to 1 are possible", ErrQuery, q.Min)
	case q.Engine != "" && q.Engine != Exact && q.Engine != Graph:
		return fmt.Errorf("%w: there is no engine %q, only %q and %q", ErrQuery, q.Engine, Exact, Graph)
	}
	return nil
}

// Search gives the K templates most like the probe, the most similar first;
// those equally similar in the order of their enrolment. The exact engine's
// answer is that of comparing all: with the same templates, always the same.
// Errors: ErrModel, ErrDimension, ErrNotUnit, ErrQuery, ErrClosed, ErrNoGraph,
// ctx's.
func (g *Gallery) Search(ctx context.Context, t Template, q Query) ([]Candidate, error) {
	all, err := g.SearchBatch(ctx, []Template{t}, q)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// SearchBatch searches for several probes at once, in fewer passes than one for
// each: one answer for each probe, in order.
func (g *Gallery) SearchBatch(ctx context.Context, templates []Template, q Query) ([][]Candidate, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	probes := make([]*probe, len(templates))
	for i, t := range templates {
		length, err := g.check(t)
		if err != nil {
			return nil, fmt.Errorf("probe %d: %w", i, err)
		}
		probes[i] = newProbe(g.shape, t.Vector, length)
	}
	if q.Engine == Graph {
		return g.searchGraph(ctx, probes, q)
	}
	out := make([][]Candidate, 0, len(probes))
	for part := range slices.Chunk(probes, passProbes) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s := &search{ctx: ctx, query: q, probes: part}
		if err := g.queue.run(s, g.pass); err != nil {
			return nil, err
		}
		out = append(out, s.found...)
	}
	return out, nil
}

// settle makes the answer of the hits that may belong to it: the exact
// similarity of each decides. It says whether one of them was removed meanwhile,
// so that another may belong in its place.
func settle(p *probe, q *Query, hits []hit) (best found, gone bool) {
	for _, h := range hits {
		similarity := dot(h.segment.row(int(h.row)), p.vector)
		number := h.segment.numbers[h.row]
		if q.Skip != nil && q.Skip(number) { // the exact engine has asked before
			continue
		}
		if !h.segment.alive(int(h.row)) {
			gone = true
			continue
		}
		// Templates are of length 1 but for rounding.
		if similarity = math.Max(-1, math.Min(1, similarity)); similarity >= q.Min {
			best = append(best, Candidate{number, similarity})
		}
	}
	slices.SortFunc(best, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Number, b.Number))
	})
	return best[:min(len(best), q.K)], gone
}
