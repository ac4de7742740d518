package gallery

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// recallProbes: a recall of 0.99 is measured to about ±0.7 percent.
	recallProbes = 200
	recallK      = 10
	// recallCosine of a probe to its row: as two pictures of one person.
	recallCosine = 0.7
	// recallMix rows make the noise: it lies where faces lie, and is like none
	// of them.
	recallMix = 32
)

// GraphRecall is what the graph finds, at DefaultEffort, of what the exact engine
// finds: of the most similar template and of the ten most similar, measured when
// it was built, with probes about 0.7 similar to a template. Not ok: there is no
// graph, or none was measured.
func (g *Gallery) GraphRecall() (at1, at10 float64, ok bool) {
	if gr := g.graph.Load(); gr != nil {
		return gr.at1, gr.at10, gr.measured
	}
	return 0, 0, false
}

func (gr *graph) measure(ctx context.Context) error {
	g, q := gr.gallery, Query{K: recallK, Min: -1, Effort: DefaultEffort}
	probes := gr.probes()
	var first, of1, ten, of10 int
	for len(probes) > 0 {
		part := probes[:min(passProbes, len(probes))]
		probes = probes[len(part):]
		s := &search{ctx: ctx, query: q, probes: part}
		if err := g.queue.run(s, g.pass); err != nil {
			return err
		}
		got, err := gr.searchAll(ctx, part, &q)
		if err != nil {
			return err
		}
		for i, want := range s.found {
			want = slices.DeleteFunc(want, func(c Candidate) bool { return c.Number > gr.newest }) // enrolled meanwhile
			if len(want) > 0 && len(got[i]) > 0 && want[0].Number == got[i][0].Number {
				first++
			}
			of1 += min(1, len(want))
			of10 += len(want)
			for _, c := range want {
				if slices.ContainsFunc(got[i], func(f Candidate) bool { return f.Number == c.Number }) {
					ten++
				}
			}
		}
	}
	if of1 > 0 {
		gr.at1, gr.at10, gr.measured = float64(first)/float64(of1), float64(ten)/float64(of10), true
	}
	return nil
}

// probes like rows of the graph, always the same for the same rows.
func (gr *graph) probes() []*probe {
	var all []*probe
	slots := len(gr.above)
	r := rand.New(rand.NewPCG(recallProbes, uint64(slots)))
	n := min(recallProbes, slots)
	for i := range n {
		v := make([]float64, gr.gallery.dimension)
		for range recallMix {
			gr.mix(v, r.IntN(slots), float64(1-2*r.IntN(2)))
		}
		noise := length(v)
		if noise == 0 {
			continue
		}
		for j := range v {
			v[j] *= math.Sqrt(1-recallCosine*recallCosine) / noise
		}
		if !gr.mix(v, i*slots/n, recallCosine) {
			continue
		}
		size := length(v)
		unit := make([]float32, len(v))
		for j := range v {
			unit[j] = float32(v[j] / size)
		}
		if l, err := checkUnit(unit); err == nil {
			all = append(all, newProbe(gr.gallery.shape, unit, l))
		}
	}
	return all
}

// mix adds a multiple of a row, where there is one that was not removed.
func (gr *graph) mix(v []float64, id int, times float64) bool {
	b := &gr.blocks[id/blockRows]
	row := uint32(id % blockRows)
	if row >= b.rows || !b.alive(row) {
		return false
	}
	for j, x := range b.segment.row(b.first + int(row)) {
		v[j] += times * float64(x)
	}
	return true
}

func length(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x * x
	}
	return math.Sqrt(sum)
}
