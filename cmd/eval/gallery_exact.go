package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"gatehouse/engine/gallery"
)

// contest is one way in which ours is compared with an engine.
type contest struct {
	name   string // of the figure
	batch  int    // probes in a call of ours
	theirs []manner
	goal   float64 // times as fast
}

// entrant is another engine of exact search, with its contests.
type entrant struct {
	engine, name string
	contests     []contest
}

// FAISS 1.15 takes matrix products where probes × dimensions in a call reach a
// threshold (distance_compute_blas_threshold, once a number of probes): this is
// its default, or the least that there is.
const (
	blasDefault = 128_000
	blasAlways  = 1
	batchOf     = 16
)

// entrants of exact search. Where there are two ways to ask another, the faster
// counts: FAISS's threads share probes, not rows, so that on two cores it gets
// two probes in a call as well.
func entrants(cores int) []entrant {
	alone := []manner{{batch: 1, blas: blasDefault}}
	if cores > 1 {
		alone = append(alone, manner{batch: cores, blas: blasDefault})
	}
	return []entrant{
		{"faiss_flat", "FAISS IndexFlatIP", []contest{
			{"faiss_flat", 1, alone, 4},
			{"faiss_flat16", batchOf, []manner{{batch: batchOf, blas: blasDefault}, {batch: batchOf, blas: blasAlways}}, 1.5}}},
		{"faiss_sq8", "FAISS QT_8bit", []contest{{"faiss_sq8", 1, alone, 2.5}}},
	}
}

func exactName(what string, rows, dimension, cores int) string {
	return "gallery_" + what + "_" + setName(rows, dimension) + coresName(cores)
}

// exactRun is exact search of one set on so many cores.
type exactRun struct {
	*galleryRun
	*faceSet
	ours  *ours
	cores int
	table *table
}

func (s *galleryRun) exact(ctx context.Context, rows, dimension int) error {
	f, err := s.faces(ctx, rows, dimension)
	if err != nil {
		return err
	}
	t := &table{title: fmt.Sprintf("Exact search of %s rows of %d dimensions for the nearest %d", sizeName(rows), dimension, neighbours),
		head: []string{"engine", "cores", "probes in a call", "ms a probe", "probes/s", "ours is faster by", "by CPU", "recall@1", "recall@10", "bytes a vector", "build, s"},
		note: fmt.Sprintf("Medians of %d rounds in turns, each engine confined to the same cores. Ours in a call of one probe cuts the rows over the\n"+
			"cores; FAISS cuts the probes, so on two cores it is also given two in a call, and the faster counts. Of its ways to search\n"+
			"for %d probes, without and with matrix products, the faster counts. Recall is against numpy's float64 products. Bytes are\n"+
			"what the process has grown by; ours include the float32 vectors, QT_8bit has none.\n"+
			"FAISS learns the ranges of QT_8bit from the first 50,000 rows.", s.rounds(), batchOf)}
	for cores := 1; cores <= mostCores; cores++ {
		e := &exactRun{galleryRun: s, faceSet: f, cores: cores, table: t}
		e.declare(e.figures()...)
		if cores > runtime.NumCPU() {
			s.skip("one-core")
			continue
		}
		fmt.Fprintf(s.progress, "measuring: exact, %s rows, %d dimensions, %d core(s)\n", sizeName(rows), dimension, cores)
		if err := confine(cores, func() error { return e.run(ctx) }); err != nil {
			return err
		}
	}
	s.table(*t)
	return nil
}

func (e *exactRun) name(what string) string { return exactName(what, e.rows, e.dimension, e.cores) }

func (e *exactRun) figures() []figure {
	all := []figure{info(e.name("ms_p50"), "ms", 2), info(e.name("ms_p99"), "ms", 2), info(e.name("qps"), "per_s", 0), info(e.name("qps16"), "per_s", 0), info(e.name("build_s"), "s", 2)}
	for _, other := range entrants(e.cores) {
		for _, c := range other.contests {
			all = append(all, goal(e.name("over_"+c.name), "ratio", 2, ">=", c.goal))
			if e.cores == 1 { // threads that wait for each other use the processor too
				all = append(all, info(e.name("over_"+c.name)+"_by_cpu", "ratio", 2))
			}
		}
	}
	if e.rows >= 1_000_000 { // fewer may lie in the cache
		all = append(all, goal(e.name("bandwidth"), "ratio", 2, ">=", 0.8))
	} else {
		all = append(all, info(e.name("bandwidth"), "ratio", 2))
	}
	set := setName(e.rows, e.dimension)
	switch {
	case e.last() && e.rows >= 1_000_000 && e.dimension == faceDimension: // a million are ready in under 5 s (gallery.md)
		all = append(all, goal("gallery_load_s_"+set, "s", 2, "<", 5))
	case e.last():
		all = append(all, info("gallery_load_s_"+set, "s", 2))
	}
	if e.cores > 1 { // the rest does not hang on the cores
		return all
	}
	most := float64(115*(e.dimension+4*e.dimension)) / 100 // int8 and float32, and 15 % beside them
	return append(all, goal("gallery_recall1_"+set, "ratio", 4, ">=", 1), goal("gallery_recall10_"+set, "ratio", 4, ">=", 1),
		goal("gallery_vector_bytes_"+set, "B", 0, "<=", most), goal("gallery_vector_rss_"+set, "B", 0, "<=", most))
}

// last says that no more cores are used after these.
func (e *exactRun) last() bool { return e.cores == min(mostCores, runtime.NumCPU()) }

func (e *exactRun) run(ctx context.Context) (err error) {
	if e.ours, err = e.enrol(ctx, e.faceSet, e.cores); err != nil {
		return err
	}
	defer func() { e.ours.Close() }()
	at1, at10 := "–", "–"
	var c *child
	if e.python != "" {
		if c, err = e.startChild(ctx, e.cores); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		if e.truth == nil {
			if err := e.learnTruth(c, e.faceSet); err != nil {
				return err
			}
		}
		a, err := e.ours.search(ctx, e.faceSet, 0, len(e.truth), batchOf)
		if err != nil {
			return err
		}
		one, ten := recall(a.IDs, e.truth)
		at1, at10 = fmt.Sprintf("%.4f", one), fmt.Sprintf("%.4f", ten)
		if e.cores == 1 {
			e.measure("gallery_recall1_"+setName(e.rows, e.dimension), one)
			e.measure("gallery_recall10_"+setName(e.rows, e.dimension), ten)
		}
	}
	if err := e.alone(ctx, at1, at10); err != nil {
		return err
	}
	for _, other := range entrants(e.cores) {
		if c == nil {
			break
		}
		if err := e.meet(ctx, c, other); errors.Is(err, errPeer) && ctx.Err() == nil {
			fmt.Fprintf(e.progress, "%s is skipped: %v\n", other.name, err)
			for _, k := range other.contests {
				e.leave(e.name("over_"+k.name), "failed")
				if e.cores == 1 {
					e.leave(e.name("over_"+k.name)+"_by_cpu", "failed")
				}
			}
		} else if err != nil {
			return err
		}
	}
	if e.last() {
		if err := e.reload(ctx); err != nil {
			return err
		}
	}
	e.skip(noPeer)
	return nil
}

// singles is how many probes a round asks for, one by one: about as long for
// every size.
func (e *exactRun) singles() int { return min(100, max(16, 10_000_000/e.rows)) }

// turn of a round: which probes it asks for.
func (e *exactRun) turn(round, count int) int {
	return round * count % (probeCount - count + 1) / batchOf * batchOf
}

// alone measures ours, in turns with a plain reading of as many bytes.
func (e *exactRun) alone(ctx context.Context, at1, at10 string) error {
	size := sketchBytes(e.rows, e.dimension)
	memory, err := newPlain(size)
	if err != nil {
		return err
	}
	defer memory.free()
	var all, ones, many, shares []float64
	for round := range e.rounds() {
		var reads []float64
		for range 5 {
			t, _ := memory.read(e.cores)
			reads = append(reads, t)
		}
		n := e.singles()
		a, err := e.ours.search(ctx, e.faceSet, e.turn(round, n), n, 1)
		if err != nil {
			return err
		}
		b, err := e.ours.search(ctx, e.faceSet, e.turn(round, 2*batchOf), 2*batchOf, batchOf)
		if err != nil {
			return err
		}
		all = append(all, a.Seconds...)
		ones, many = append(ones, a.total()/float64(n)), append(many, b.total()/(2*batchOf))
		shares = append(shares, median(reads)/median(a.Seconds))
	}
	e.measure(e.name("ms_p50"), 1000*percentile(all, 50))
	e.measure(e.name("ms_p99"), 1000*percentile(all, 99))
	e.measure(e.name("qps"), 1/median(ones))
	e.measure(e.name("qps16"), 1/median(many))
	e.measure(e.name("build_s"), e.ours.buildS)
	e.measure(e.name("bandwidth"), median(shares))
	set := setName(e.rows, e.dimension)
	if e.cores == 1 {
		e.measure("gallery_vector_bytes_"+set, e.ours.vectorBytes)
		e.measure("gallery_vector_rss_"+set, e.ours.vectorRSS)
	}
	e.add("gatehouse", 1, median(ones), "", "", at1, at10, e.ours.vectorRSS, e.ours.buildS)
	e.add("gatehouse", batchOf, median(many), "", "", at1, at10, e.ours.vectorRSS, e.ours.buildS)
	fmt.Fprintf(e.out, "%s, %d core(s): a scan reads %.1f GB/s of its %.0f MB, %.2f of a plain reading.\n", set, e.cores, float64(size)/percentile(all, 50)/1e9, float64(size)/1e6, median(shares))
	return nil
}

func (e *exactRun) add(name string, batch int, seconds float64, ratio, byCPU, at1, at10 string, bytes, build float64) {
	e.table.add(name, fmt.Sprint(e.cores), fmt.Sprint(batch), fmt.Sprintf("%.3f", 1000*seconds), fmt.Sprintf("%.0f", 1/seconds), ratio, byCPU, at1, at10, fmt.Sprintf("%.0f", bytes), fmt.Sprintf("%.1f", build))
}

// alike: ours searches for so many times as many probes in a round, to take about
// as long. A short turn may slip between those of other programs on the machine
// where a long one is interrupted.
const alike = 8

// meet compares ours with another, in turns.
func (e *exactRun) meet(ctx context.Context, c *child, other entrant) error {
	o, err := c.open(other.engine, e.faceSet, "")
	if err != nil {
		return err
	}
	at1, at10 := "–", "–"
	if e.cores == mostCores && e.dimension == faceDimension { // on fewer cores it finds the same, later
		n := min(len(e.truth), 40_000_000/e.rows)
		a, err := c.search(e.faceSet, 0, n, manner{batch: n, blas: blasDefault}, true)
		if err != nil {
			return err
		}
		one, ten := recall(a.IDs, e.truth)
		at1, at10 = fmt.Sprintf("%.4f", one), fmt.Sprintf("%.4f", ten)
	}
	for _, k := range other.contests {
		count := max(4, min(20, 2_000_000/e.rows)) // of theirs in a round: they take longer than ours
		if k.batch > 1 {
			count = k.batch
		}
		var times, ratios, byCPU []float64
		best := map[manner][]float64{}
		for round := range e.rounds() + 1 { // the first does not count
			first := e.turn(round, alike*count)
			their, theirCPU := 0.0, 0.0
			for _, m := range k.theirs {
				a, err := c.search(e.faceSet, first, count, m, false)
				if err != nil {
					return err
				}
				if t := a.total() / float64(count); their == 0 || t < their {
					their, theirCPU = t, a.CPU/float64(count)
				}
				if round > 0 {
					best[m] = append(best[m], a.total()/float64(count))
				}
			}
			time.Sleep(5 * time.Millisecond) // until their threads have gone to sleep
			n := alike * count
			a, err := e.ours.search(ctx, e.faceSet, first, n, k.batch)
			if err != nil {
				return err
			}
			if round > 0 {
				times, ratios, byCPU = append(times, their), append(ratios, their/(a.total()/float64(n))), append(byCPU, theirCPU/(a.CPU/float64(n)))
			}
		}
		e.measure(e.name("over_"+k.name), median(ratios))
		cpu := "–"
		if e.cores == 1 {
			cpu = fmt.Sprintf("%.2f", median(byCPU))
			e.measure(e.name("over_"+k.name)+"_by_cpu", median(byCPU))
		}
		e.add(other.name, k.fastest(best), median(times), fmt.Sprintf("%.2f", median(ratios)), cpu, at1, at10, o.VectorBytes, o.BuildS)
	}
	return nil
}

// fastest gives the batch of the manner with the least median time.
func (k *contest) fastest(times map[manner][]float64) int {
	best := k.theirs[0]
	for _, m := range k.theirs[1:] {
		if median(times[m]) < median(times[best]) {
			best = m
		}
	}
	return best.batch
}

// reload measures how soon a gallery is there from a snapshot that lies in the
// page cache.
func (e *exactRun) reload(ctx context.Context) (err error) {
	f, err := os.CreateTemp(e.faceSet.dir, "snapshot-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := e.ours.WriteSnapshot(ctx, w, uint64(e.rows)); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	e.ours.Close() // two would need twice the memory
	begin := time.Now()
	g, _, err := gallery.ReadSnapshot(ctx, gallery.Config{Model: faceName, Dimension: e.dimension, Workers: e.cores}, f, st.Size(), nil)
	if err != nil {
		return err
	}
	defer g.Close()
	took := time.Since(begin).Seconds()
	if g.Len() != e.rows {
		return fmt.Errorf("the snapshot gave %d templates of %d", g.Len(), e.rows)
	}
	e.measure("gallery_load_s_"+setName(e.rows, e.dimension), took)
	return nil
}
