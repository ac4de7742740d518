package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"gatehouse/engine/gallery"
)

func (o *openSet) newGallery() (*gallery.Gallery, error) {
	return gallery.New(gallery.Config{Model: o.match.EmbeddingID, Dimension: o.pictures.Dim, Workers: runtime.GOMAXPROCS(0)})
}

// enrol the split's pictures under the numbers from 1.
func (o *openSet) enrol(g *gallery.Gallery, s *split) error {
	for i, t := range o.templates(s.enrolled) {
		if err := g.Enrol(uint64(i+1), t); err != nil {
			return fmt.Errorf("%s: %w", o.pictures.Names[s.enrolled[i]], err)
		}
	}
	return nil
}

// search for all probes of a split with both engines.
func (o *openSet) search(ctx context.Context, s *split) (*searched, error) {
	g, err := o.newGallery()
	if err != nil {
		return nil, err
	}
	defer g.Close()
	if err := o.enrol(g, s); err != nil {
		return nil, err
	}
	if err := g.BuildGraph(ctx, gallery.GraphConfig{}); err != nil {
		return nil, err
	}
	r := &searched{split: s}
	found, walked, err := o.both(ctx, g, r.probes())
	if err != nil {
		return nil, err
	}
	r.exact, r.graph = attempts(found, r.mates()), attempts(walked, r.mates())
	for i := range found {
		r.found = append(r.found, found[i].Number)
		if found[i].Number == walked[i].Number {
			r.same++
		}
	}
	return r, nil
}

// both engines' first candidates; number 0 where the graph found nobody.
func (o *openSet) both(ctx context.Context, g *gallery.Gallery, pictures []int) (exact, graph []gallery.Candidate, err error) {
	if exact, err = firsts(ctx, g, o.templates(pictures), gallery.Exact, nil); err == nil {
		graph, err = firsts(ctx, g, o.templates(pictures), gallery.Graph, nil)
	}
	return exact, graph, err
}

func firsts(ctx context.Context, g *gallery.Gallery, probes []gallery.Template, engine gallery.Engine, p *progress) ([]gallery.Candidate, error) {
	q := gallery.Query{K: 1, Min: -1, Engine: engine} // the most similar, however far
	all := make([]gallery.Candidate, 0, len(probes))
	for part := range slices.Chunk(probes, 64) {
		found, err := g.SearchBatch(ctx, part, q)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			all = append(all, append(f, gallery.Candidate{Similarity: -1})[0])
			if p != nil {
				p.step()
			}
		}
	}
	return all, nil
}

// attempts that the candidates are; the i-th of the mated should be number i+1.
func attempts(found []gallery.Candidate, mated int) []attempt {
	all := make([]attempt, len(found))
	for i, c := range found {
		all[i] = attempt{c.Similarity, i < mated && c.Number == uint64(i+1)}
	}
	return all
}

// searchCrowd searches for all pictures that any split searches for among more
// and more invented faces. The exact engine misses none, so the most similar of
// a gallery that holds real and invented ones is the more similar of the two
// that it gives for each alone: the crowd is searched once for all splits.
func (o *openSet) searchCrowd(ctx context.Context, sizes []int, done func(invented int, tops []float64)) error {
	g, err := o.newGallery()
	if err != nil {
		return err
	}
	defer g.Close()
	var pictures []int
	for _, s := range o.splits {
		pictures = append(pictures, s.probes()...)
	}
	slices.Sort(pictures)
	pictures = slices.Compact(pictures)
	probes := o.templates(pictures)
	tops := make([]float64, len(o.pictures.Names))
	for _, n := range sizes {
		if err := o.join(ctx, g, n, 0); err != nil {
			return err
		}
		p := &progress{w: o.progress, what: fmt.Sprintf("searched %s invented faces", sizeName(n)), total: len(probes), shown: time.Now()}
		found, err := firsts(ctx, g, probes, gallery.Exact, p)
		p.end()
		if err != nil {
			return err
		}
		for i, c := range found {
			tops[pictures[i]] = c.Similarity
		}
		done(n, tops)
	}
	return nil
}

// join enrols invented faces until there are n; their numbers begin after base.
func (o *openSet) join(ctx context.Context, g *gallery.Gallery, n, base int) error {
	p := &progress{w: o.progress, what: "invented faces", total: n, done: g.Len() - base, shown: time.Now()}
	rows := newRows(4096, o.pictures.Dim)
	for at := p.done; at < n; at += len(rows) {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows = rows[:min(len(rows), n-at)]
		o.crowd.invent(at, rows)
		for i, v := range rows {
			if err := g.Enrol(uint64(base+at+i+1), gallery.Template{Model: o.match.EmbeddingID, Vector: v}); err != nil {
				return err
			}
			p.step()
		}
	}
	p.end()
	return nil
}

// walked is what the graph found in a crowd, of what the exact engine found.
type walked struct {
	recall, recallMated float64
	exact, graph        []attempt
	enrolled, mates     int
}

// walkCrowd searches for the probes of the first split with both engines in a
// gallery that holds invented faces too.
func (o *openSet) walkCrowd(ctx context.Context, invented int) (*walked, error) {
	g, err := o.newGallery()
	if err != nil {
		return nil, err
	}
	defer g.Close()
	s := o.splits[0]
	if err := o.enrol(g, s.split); err != nil {
		return nil, err
	}
	if err := o.join(ctx, g, invented, len(s.enrolled)); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.progress, "building a graph of %d\n", g.Len())
	if err := g.BuildGraph(ctx, gallery.GraphConfig{}); err != nil {
		return nil, err
	}
	found, graph, err := o.both(ctx, g, s.probes())
	if err != nil {
		return nil, err
	}
	w := &walked{exact: attempts(found, s.mates()), graph: attempts(graph, s.mates()), enrolled: g.Len(), mates: s.mates()}
	for i := range found {
		if found[i].Number == graph[i].Number {
			w.recall += 1 / float64(len(found))
			if i < s.mates() {
				w.recallMated += 1 / float64(s.mates())
			}
		}
	}
	return w, nil
}

// alike are the pairs of people of whom a search for one named the other at the
// default threshold, and how many of them are more alike than half of the people
// are to themselves.
func (o *openSet) alike(threshold float64) (pairs, twins int) {
	var own []float64
	worst := map[[2]int]float64{}
	for _, s := range o.splits {
		for i, a := range s.exact {
			if i < s.mates() {
				if a.right {
					own = append(own, a.score)
				}
				continue
			}
			if a.score >= threshold {
				k := [2]int{o.division.person[s.strangers[i-s.mates()]], o.division.person[s.enrolled[s.found[i]-1]]}
				if k[0] > k[1] {
					k[0], k[1] = k[1], k[0]
				}
				worst[k] = math.Max(worst[k], a.score)
			}
		}
	}
	if len(own) == 0 {
		return len(worst), 0
	}
	half := median(own)
	for _, score := range worst {
		if score >= half {
			twins++
		}
	}
	return len(worst), twins
}
