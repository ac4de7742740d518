package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gatehouse/engine/gallery"
)

// walker is another engine that walks a graph.
type walker struct {
	engine, name string
	curve        []reached
	opened       opened
}

func walkers() []*walker {
	return []*walker{
		{engine: "hnswlib", name: "hnswlib"},
		{engine: "faiss_hnsw", name: "FAISS HNSWFlat"},
		{engine: "usearch_f32", name: "usearch, float32"},
		{engine: "usearch_i8", name: "usearch, int8"},
	}
}

// targetRecall of the ten nearest, at which engines are compared.
const targetRecall = 0.95

// efforts that the curves are drawn with.
func efforts() []int { return []int{10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024} }

// graphRun compares graphs over one set.
type graphRun struct {
	*galleryRun
	*faceSet
	ours    *ours
	curve   []reached
	walkers []*walker
	table   *table
}

func (g *graphRun) name(what string, cores int) string {
	return "graph_" + what + "_" + sizeName(g.rows) + coresName(cores)
}

func (g *graphRun) figures() []figure {
	size := sizeName(g.rows)
	return []figure{info("graph_build_s_"+size, "s", 1), info("graph_vector_bytes_"+size, "B", 0), info("graph_recall1_default_"+size, "ratio", 4), info("graph_recall10_default_"+size, "ratio", 4)}
}

func (g *graphRun) duels(cores int) []figure {
	all := []figure{info(g.name("qps", cores), "per_s", 0)}
	for _, w := range g.walkers {
		over := info(g.name("over_"+w.engine, cores), "ratio", 2)
		if w.engine == "hnswlib" {
			over = goal(over.name, "ratio", 2, ">=", 1.5)
		}
		all = append(all, over, info(g.name("over_"+w.engine+"_top", cores), "ratio", 2))
	}
	return all
}

func (s *galleryRun) graph(ctx context.Context, rows int) error {
	f, err := s.faces(ctx, rows, faceDimension)
	if err != nil {
		return err
	}
	g := &graphRun{galleryRun: s, faceSet: f, walkers: walkers(), table: &table{
		title: fmt.Sprintf("Graphs over %s rows of %d dimensions for the nearest %d, %d links, %d in sight while building", sizeName(rows), faceDimension, neighbours, graphM, graphConstruction),
		head:  []string{"engine", "cores", "recall@10", "effort", "ours", "searches/s", "ours", "ours is faster by", "bytes a vector", "build, s"},
		note: fmt.Sprintf("At a recall of %.2f, and at the highest that both reach: between the two efforts on its sides, which were measured in\n"+
			"%d rounds in turns. All probes are given at once, as many searches at a time as cores. Recall is against numpy's float64\n"+
			"products. Built on %d cores; 'kept' is from an earlier run. Ours include float32 and int8 vectors; usearch's int8 has no float32,\n"+
			"and multiplies values by 127, which leaves few steps to those of unit vectors with many dimensions.", targetRecall, s.graphRounds(), builders())}}
	g.declare(g.figures()...)
	fmt.Fprintf(s.progress, "measuring: graph, %s rows\n", sizeName(rows))
	if err := confine(builders(), func() error { return g.prepare(ctx) }); err != nil {
		return err
	}
	defer g.ours.Close()
	g.table.add("gatehouse", "–", "–", "–", "–", "–", "–", "–", fmt.Sprintf("%.0f", g.ours.vectorBytes), fmt.Sprintf("%.0f", g.ours.buildS))
	for cores := 1; cores <= mostCores; cores++ {
		g.declare(g.duels(cores)...)
		if s.python == "" {
			s.skip(noPeer)
		} else if cores > runtime.NumCPU() {
			s.skip("one-core")
		} else if err := confine(cores, func() error { return g.compare(ctx, cores) }); err != nil {
			return err
		}
	}
	s.table(*g.table)
	return nil
}

// builders is the number of cores that build.
func builders() int { return min(mostCores, runtime.NumCPU()) }

func (s *galleryRun) graphRounds() int { return min(5, s.rounds()) }

// prepare builds all graphs and draws their curves.
func (g *graphRun) prepare(ctx context.Context) (err error) {
	if g.ours, err = g.enrol(ctx, g.faceSet, builders()); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			g.ours.Close()
		}
	}()
	p := &progress{w: g.progress, what: "linked", total: g.rows, shown: time.Now()}
	begin := time.Now()
	if err := g.ours.BuildGraph(ctx, gallery.GraphConfig{M: graphM, Construction: graphConstruction, Progress: func(done, _ int) {
		for p.done < done { // it is told by one goroutine at a time
			p.step()
		}
	}}); err != nil {
		return err
	}
	g.ours.buildS += time.Since(begin).Seconds()
	stats := g.ours.Stats()
	size := sizeName(g.rows)
	g.measure("graph_build_s_"+size, g.ours.buildS)
	g.ours.vectorBytes = float64(stats.Bytes+stats.GraphSize) / float64(g.rows)
	g.measure("graph_vector_bytes_"+size, g.ours.vectorBytes)
	if at1, at10, ok := g.ours.GraphRecall(); ok {
		g.measure("graph_recall1_default_"+size, at1)
		g.measure("graph_recall10_default_"+size, at10)
	} else {
		g.leave("graph_recall1_default_"+size, "not-measured")
		g.leave("graph_recall10_default_"+size, "not-measured")
	}
	if g.python == "" {
		return nil
	}
	c, err := g.startChild(ctx, builders())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := g.learnTruth(c, g.faceSet); err != nil {
		return err
	}
	n := min(1000, len(g.truth))
	g.curve, err = draw(g.truth[:n], func(effort int) ([][]int32, error) {
		a, err := g.ours.walk(ctx, g.faceSet, 0, n, effort, builders())
		return a.IDs, err
	})
	for i := 0; i < len(g.walkers) && err == nil; i++ {
		w := g.walkers[i]
		if err = g.prepareOther(c, w, n); errors.Is(err, errPeer) && ctx.Err() == nil {
			fmt.Fprintf(g.progress, "%s is skipped: %v\n", w.name, err)
			w.curve, err = nil, nil
		}
	}
	return err
}

func (g *graphRun) prepareOther(c *child, w *walker, n int) (err error) {
	fmt.Fprintf(g.progress, "%s builds, or loads what it built\n", w.name)
	file, err := g.keep(w)
	if err != nil {
		return err
	}
	if w.opened, err = c.open(w.engine, g.faceSet, file); err != nil {
		return err
	}
	w.curve, err = draw(g.truth[:n], func(effort int) ([][]int32, error) {
		a, err := c.search(g.faceSet, 0, n, manner{batch: n, effort: effort}, true)
		return a.IDs, err
	})
	return err
}

// keep names the file of a built index. What was built by other packages or
// another script has another name, and is removed.
func (g *graphRun) keep(w *walker) (string, error) {
	by := sha256.Sum256([]byte(galleryScript + strings.Join(galleryPackages(), " ")))
	name := fmt.Sprintf("%s-%d-%d-%d-", w.engine, g.rows, graphM, graphConstruction)
	file := filepath.Join(g.faceSet.dir, fmt.Sprintf("%s%x.index", name, by[:4]))
	all, err := filepath.Glob(filepath.Join(g.faceSet.dir, name+"*"))
	for _, other := range all {
		if other != file {
			err = errors.Join(err, os.Remove(other))
		}
	}
	return file, err
}

// draw a curve, until more effort finds hardly more.
func draw(truth [][]int32, search func(effort int) ([][]int32, error)) (curve []reached, err error) {
	const enough = 0.995
	for _, effort := range efforts() {
		found, err := search(effort)
		if err != nil {
			return nil, err
		}
		at1, at10 := recall(found, truth)
		if curve = append(curve, reached{effort, at1, at10}); at10 >= enough {
			break
		}
	}
	return curve, nil
}

// compare rates on so many cores.
func (g *graphRun) compare(ctx context.Context, cores int) (err error) {
	c, err := g.startChild(ctx, cores)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for _, w := range g.walkers {
		if err := g.meet(ctx, c, w, cores); errors.Is(err, errPeer) && ctx.Err() == nil {
			fmt.Fprintf(g.progress, "%s is skipped: %v\n", w.name, err)
		} else if err != nil {
			return err
		}
	}
	g.skip("failed") // what has no figure by now
	return nil
}

// meet compares ours with another at two recalls, in turns.
func (g *graphRun) meet(ctx context.Context, c *child, w *walker, cores int) error {
	if w.curve == nil {
		return fmt.Errorf("%w before", errPeer)
	}
	file, err := g.keep(w)
	if err != nil {
		return err
	}
	o, err := c.open(w.engine, g.faceSet, file)
	if err != nil {
		return err
	}
	build := "kept"
	if w.opened.BuildS > 0 {
		build = fmt.Sprintf("%.0f", w.opened.BuildS)
	}
	for _, at := range []struct {
		figure string
		recall float64
	}{{"", targetRecall}, {"_top", min(highest(g.curve), highest(w.curve))}} {
		name := g.name("over_"+w.engine+at.figure, cores)
		d := &duel{recall: at.recall}
		if !d.choose(g.curve, w.curve) {
			g.leave(name, "recall-not-reached")
			continue
		}
		if err := g.fight(ctx, d, c, cores); err != nil {
			return err
		}
		g.measure(name, median(d.ratios))
		if w == g.walkers[0] && at.figure == "" {
			g.measure(g.name("qps", cores), median(d.ours.rates))
		}
		g.table.add(w.name, fmt.Sprint(cores), fmt.Sprintf("%.4f", at.recall), d.theirs.efforts(), d.ours.efforts(), fmt.Sprintf("%.0f", median(d.theirs.rates)),
			fmt.Sprintf("%.0f", median(d.ours.rates)), fmt.Sprintf("%.2f", median(d.ratios)), fmt.Sprintf("%.0f", o.VectorBytes), build)
	}
	return nil
}

// duel of ours and another at one recall.
type duel struct {
	recall       float64
	ours, theirs side
	ratios       []float64
}

// side is what one needs for the recall, and how fast it is with it.
type side struct {
	below, above reached
	rates        []float64 // per second, of each round
}

func (s *side) efforts() string {
	if s.below == s.above {
		return fmt.Sprint(s.above.effort)
	}
	return fmt.Sprintf("%d–%d", s.below.effort, s.above.effort)
}

func (d *duel) choose(ours, theirs []reached) (ok bool) {
	var both bool
	d.ours.below, d.ours.above, ok = bracket(ours, d.recall)
	d.theirs.below, d.theirs.above, both = bracket(theirs, d.recall)
	return ok && both
}

// round measures the rate at the recall.
func (s *side) round(recall float64, search func(effort int) (perSecond float64, err error)) (float64, error) {
	above, err := search(s.above.effort)
	if err != nil {
		return 0, err
	}
	below := above
	if s.below != s.above {
		if below, err = search(s.below.effort); err != nil {
			return 0, err
		}
	}
	return between(s.below, s.above, recall, below, above), nil
}

func (g *graphRun) fight(ctx context.Context, d *duel, c *child, cores int) error {
	const n = 400 // probes in a round
	for round := range g.graphRounds() + 1 {
		first := round * n % (probeCount - n + 1)
		their, err := d.theirs.round(d.recall, func(effort int) (float64, error) {
			a, err := c.search(g.faceSet, first, n, manner{batch: n, effort: effort}, false)
			return n / a.total(), err
		})
		if err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond) // until their threads have gone to sleep
		our, err := d.ours.round(d.recall, func(effort int) (float64, error) {
			a, err := g.ours.walk(ctx, g.faceSet, first, n, effort, cores)
			return n / a.total(), err
		})
		if err != nil {
			return err
		}
		if round > 0 { // the first does not count
			d.theirs.rates, d.ours.rates, d.ratios = append(d.theirs.rates, their), append(d.ours.rates, our), append(d.ratios, our/their)
		}
	}
	return nil
}
