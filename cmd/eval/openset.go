package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
)

const (
	openSetSeed = 2026
	splits      = 10
	// sight of the crowd: of 20, 40, 80 and 160, with 40 invented faces are
	// among themselves about as alike as real ones, at each rate that is printed.
	sight = 40
	// graphCrowd is how many invented faces are in the graph: one of a
	// million takes longer to build than all else here.
	graphCrowd = 20_000
)

// crowdSizes are the numbers of invented faces that are added. The first is
// that of the real ones enrolled, for the comparison.
func crowdSizes(real int) []int { return []int{real, 10_000, 100_000, 1_000_000} }

func openSetFigures() []figure {
	return []figure{
		info("openset_mated_searches", "searches", 0), info("openset_nonmated_searches", "searches", 0),
		info("openset_fnir_fpir1_pct", "%", 2), info("openset_fnir_fpir01_pct", "%", 2),
		goal("openset_default_fpir_pct", "%", 2, "<=", 100*pack.DefaultFPIR), info("openset_default_fnir_pct", "%", 2),
		info("openset_graph_recall1", "ratio", 4), info("openset_graph_default_fnir_pct", "%", 2),
		info("openset_graph_recall1_mated_"+sizeName(graphCrowd), "ratio", 4), info("openset_graph_recall1_"+sizeName(graphCrowd), "ratio", 4),
		info("openset_1m_fnir_fpir1_pct", "%", 2), info("openset_1m_fnir_fpir01_pct", "%", 2),
		goal("openset_1m_default_fpir_pct", "%", 2, "<=", 100*pack.DefaultFPIR), info("openset_1m_default_fnir_pct", "%", 2),
	}
}

// openSet searches for people among many, of whom some are not enrolled.
type openSet struct {
	*report
	pictures *templates
	match    *pack.MatchCalibration
	division *division
	splits   []*searched
	crowd    *crowd
}

// searched is what the searches of a split came to, the mated ones first.
type searched struct {
	*split
	exact, graph []attempt
	found        []uint64 // numbers, by the exact engine
	same         int      // of the graph's first are the exact engine's
}

func (s *searched) mates() int { return len(s.mated) }

// probes of the split: pictures, the mated ones first.
func (s *searched) probes() []int { return slices.Concat(s.mated, s.strangers) }

// oneAmongMany measures open-set identification on LFW's aligned crops, then
// with invented faces added.
func (e *evaluation) oneAmongMany(ctx context.Context) error {
	begin := time.Now()
	t := e.crops
	o := &openSet{report: e.report, pictures: t, match: &e.engine.Pack().Calibration.Match, division: divide(t.Names, openSetSeed)}
	for n := range splits {
		s, err := o.search(ctx, o.division.split(openSetSeed, uint64(n)))
		if err != nil {
			return err
		}
		o.splits = append(o.splits, s)
	}
	var parts []int
	for _, m := range e.engine.Pack().Find(pack.FaceEmbed) {
		parts = append(parts, m.Dimensions)
	}
	fillers := o.vectors(o.division.fillers)
	o.crowd = newCrowd(openSetSeed, fillers, sight, parts)
	alone := o.sized(0, nil)
	all := []*size{alone}
	if err := o.searchCrowd(ctx, crowdSizes(alone.real), func(n int, tops []float64) { all = append(all, o.sized(n, tops)) }); err != nil {
		return err
	}
	walk, err := o.walkCrowd(ctx, graphCrowd)
	if err != nil {
		return err
	}
	o.publish(alone, all[len(all)-1], walk)
	o.atDefault(all)
	o.who()
	o.atOthers(alone, all[len(all)-1])
	o.atMeasured(all)
	o.engines(walk)
	o.compareCrowd(fillers, newCrowd(openSetSeed, fillers, len(fillers), parts), alone, all[1])
	fmt.Fprintf(e.progress, "one face among many took %.0f s\n", time.Since(begin).Seconds())
	return nil
}

func (o *openSet) template(picture int) gallery.Template {
	return gallery.Template{Model: o.match.EmbeddingID, Vector: o.pictures.of(picture)}
}

func (o *openSet) templates(pictures []int) []gallery.Template {
	all := make([]gallery.Template, len(pictures))
	for i, p := range pictures {
		all[i] = o.template(p)
	}
	return all
}

func (o *openSet) vectors(pictures []int) [][]float32 {
	all := make([][]float32, len(pictures))
	for i, p := range pictures {
		all[i] = o.pictures.of(p)
	}
	return all
}

// publish settles the figures.
func (o *openSet) publish(alone, million *size, walk *walked) {
	one := o.splits[0]
	o.measure("openset_mated_searches", float64(len(o.splits)*one.mates()))
	o.measure("openset_nonmated_searches", float64(len(o.splits)*len(one.strangers)))
	for prefix, z := range map[string]*size{"openset_": alone, "openset_1m_": million} {
		for name, of := range map[string]func(*rates) float64{
			"fnir_fpir1_pct": fnirAt1, "fnir_fpir01_pct": fnirAt01, "default_fpir_pct": promisedFPIR, "default_fnir_pct": promisedFNIR,
		} {
			o.measure(prefix+name, 100*meanOf(z.rates, of))
		}
	}
	same, asked, fnir := 0, 0, 0.0
	for _, s := range o.splits {
		same, asked = same+s.same, asked+len(s.graph)
		fnir += missed(s.graph[:s.mates()], alone.threshold) / float64(len(o.splits))
	}
	o.measure("openset_graph_recall1", float64(same)/float64(asked))
	o.measure("openset_graph_default_fnir_pct", 100*fnir)
	o.measure("openset_graph_recall1_mated_"+sizeName(graphCrowd), walk.recallMated)
	o.measure("openset_graph_recall1_"+sizeName(graphCrowd), walk.recall)
}
