package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/engine/gallery"
)

func benchGalleryCommand() command {
	return command{
		name: "bench gallery", args: "--base FILE --query FILE", summary: "measure the 1:N search on your own vectors",
		manual: `
Enrols the vectors of --base (.fvecs: a 32-bit dimension before each row of
32-bit floats), searches for each vector of --query, and prints how fast that
was. All are brought to unit length first, so that the similarity is the cosine.
It needs neither models nor a node.

--out writes what was found as .ivecs: for each query the --k rows of the base
most like it, counted from 0, the most similar first, -1 where there are fewer.
--truth names such a file with the right answers, of the exact engine or of
another program, with at least --k for each query; then the share that was found
is printed too: recall_at_1 of the first, recall_at_k of all.

--engine exact compares every row and misses none: it cuts each search over
--threads. --engine graph builds a graph first (--m links, --construction in
sight while building), looks at few rows, and misses some: more with a smaller
--effort. It runs --threads searches at a time.

--batch gives that many probes to one call; p50 and p99 are a call's time, qps
counts probes. Up to 100 searches, or two seconds of them, come before and are
not measured. To compare with a program on one core, run both under
'taskset -c 0' with --threads 1.

Bytes a vector are those of the memory that its rows take, the graph
included, over the rows.

Example:
  gatehouse bench vectors --count 100000 --out base.fvecs
  gatehouse bench vectors --count 1000 --picture 1 --out query.fvecs
  gatehouse bench gallery --base base.fvecs --query query.fvecs --out truth.ivecs
  gatehouse bench gallery --base base.fvecs --query query.fvecs --engine graph --effort 200 --truth truth.ivecs --json`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var b galleryBench
			fs.StringVar(&b.base, "base", "", "enrol the vectors of this `FILE`")
			fs.StringVar(&b.query, "query", "", "search for the vectors of this `FILE`")
			fs.StringVar(&b.out, "out", "", "write the rows found to this `FILE`")
			fs.StringVar(&b.truth, "truth", "", "`FILE` with the right answers")
			fs.IntVar(&b.K, "k", 10, "find `K` rows for each query")
			fs.StringVar(&b.Engine, "engine", string(gallery.Exact), "`ENGINE`: exact or graph")
			fs.IntVar(&b.Threads, "threads", 0, "use `N` cores (default: all)")
			fs.IntVar(&b.Batch, "batch", 1, "give `N` probes to one call")
			fs.StringVar(&b.Kernel, "kernel", "", "compute with `NAME`: "+strings.Join(gallery.Kernels(), ", ")+" (default: the first)")
			fs.IntVar(&b.effort, "effort", 0, "keep `N` rows in sight while a graph is searched (default: the engine's)")
			fs.IntVar(&b.m, "m", 0, "`N` links of a row in a graph (default: the engine's)")
			fs.IntVar(&b.construction, "construction", 0, "keep `N` rows in sight while a graph is built (default: the engine's)")
			return b.run
		},
	}
}

// galleryBench is what to measure, and what was.
type galleryBench struct {
	base, query, out, truth string
	effort, m, construction int

	Engine      string   `json:"engine"`
	Kernel      string   `json:"kernel"`
	Rows        int      `json:"rows"`
	Dimension   int      `json:"dimension"`
	Threads     int      `json:"threads"`
	Batch       int      `json:"batch"`
	K           int      `json:"k"`
	BuildS      float64  `json:"build_s"`
	Queries     int      `json:"queries"`
	QPS         float64  `json:"qps"`
	P50         float64  `json:"p50_ms"`
	P99         float64  `json:"p99_ms"`
	VectorBytes float64  `json:"vector_bytes"`
	RecallAt1   *float64 `json:"recall_at_1,omitempty"`
	RecallAtK   *float64 `json:"recall_at_k,omitempty"`
}

// benchModel is the model's name that the vectors of a benchmark go by.
const benchModel = "bench"

func (b *galleryBench) check(args []string) error {
	switch {
	case b.base == "" || b.query == "" || len(args) > 0:
		return fmt.Errorf("%w: it needs --base FILE and --query FILE", errUsage)
	case b.K < 1 || b.K > gallery.MaxK:
		return fmt.Errorf("%w: --k %d; 1 to %d are possible", errUsage, b.K, gallery.MaxK)
	case b.Engine != string(gallery.Exact) && b.Engine != string(gallery.Graph):
		return fmt.Errorf("%w: unknown engine %q; there are exact and graph", errUsage, b.Engine)
	case b.Kernel != "" && !slices.Contains(gallery.Kernels(), b.Kernel):
		return fmt.Errorf("%w: this processor has no kernel %q; it has %s", errUsage, b.Kernel, strings.Join(gallery.Kernels(), ", "))
	case b.Threads < 0 || b.Batch < 1:
		return fmt.Errorf("%w: --threads and --batch are numbers from 1", errUsage)
	case b.Engine == string(gallery.Exact) && (b.effort != 0 || b.m != 0 || b.construction != 0):
		return fmt.Errorf("%w: --effort, --m and --construction are for --engine graph", errUsage)
	}
	if b.Threads == 0 {
		b.Threads = runtime.NumCPU()
	}
	return nil
}

func (b *galleryBench) run(ctx context.Context, c *call, args []string) error {
	if err := b.check(args); err != nil {
		return err
	}
	var out *wholeFile
	if b.out != "" {
		var err error
		if out, err = createWhole(b.out); err != nil {
			return err
		}
		defer out.discard()
	}
	var queries []gallery.Template
	if err := eachVector(ctx, b.query, b.checkQueries, func(v []float32) error {
		queries = append(queries, gallery.Template{Model: benchModel, Vector: slices.Clone(v)})
		return nil
	}); err != nil {
		return err
	}
	b.Queries = len(queries)
	g, err := b.build(ctx, c)
	if err != nil {
		return asUsage(err)
	}
	defer g.Close()
	var truth [][]int32
	if b.truth != "" { // before the searches: they may take long
		if truth, err = b.readTruth(ctx); err != nil {
			return err
		}
	}
	found, err := b.search(ctx, c, g, queries)
	if err != nil {
		return asUsage(err)
	}
	if truth != nil {
		b.judge(found, truth)
	}
	if out != nil {
		if err := writeRows(out, found); err != nil {
			return err
		}
	}
	b.print(c)
	return nil
}

// asUsage: what the engine says is out of its range came from a flag.
func asUsage(err error) error {
	if errors.Is(err, gallery.ErrConfig) || errors.Is(err, gallery.ErrQuery) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}

// maxQueries are held in memory: 290 MB of the built-in pack's.
const maxQueries = 100_000

func (b *galleryBench) checkQueries(dimension, rows int) error {
	if rows > maxQueries {
		return fmt.Errorf("it has %d queries; at most %d are taken, give a part of them", rows, maxQueries)
	}
	b.Dimension = dimension
	return nil
}

// build enrols the base, and makes its graph where one is asked for.
func (b *galleryBench) build(ctx context.Context, c *call) (*gallery.Gallery, error) {
	g, err := gallery.New(gallery.Config{Model: benchModel, Dimension: b.Dimension, Workers: b.Threads, Kernel: b.Kernel})
	if err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done {
			g.Close()
		}
	}()
	show := c.progress("enrolled")
	begin := time.Now()
	total, number := 0, 0
	err = eachVector(ctx, b.base, func(dimension, rows int) error {
		total = rows
		switch {
		case dimension != b.Dimension:
			return fmt.Errorf("its vectors have %d dimensions, those of %s have %d; both must come from one model", dimension, b.query, b.Dimension)
		case rows > gallery.MaxRows:
			return fmt.Errorf("it has %d vectors; a gallery takes %d", rows, gallery.MaxRows)
		}
		return nil
	}, func(v []float32) error {
		number++
		show(number, total)
		return g.Enrol(uint64(number), gallery.Template{Model: benchModel, Vector: v})
	})
	if err != nil {
		return nil, err
	}
	if b.Engine == string(gallery.Graph) {
		if err := g.BuildGraph(ctx, gallery.GraphConfig{M: b.m, Construction: b.construction, Progress: c.progress("linked")}); err != nil {
			return nil, fmt.Errorf("the graph cannot be built: %w", err)
		}
	}
	b.BuildS = time.Since(begin).Seconds()
	s := g.Stats()
	b.Rows, b.Kernel, b.VectorBytes = s.Templates, s.Kernel, float64(s.Bytes+s.GraphSize)/float64(s.Templates)
	done = true
	return g, nil
}

// search runs all queries, --batch in a call, and measures the calls.
func (b *galleryBench) search(ctx context.Context, c *call, g *gallery.Gallery, queries []gallery.Template) ([][]int32, error) {
	q := gallery.Query{K: b.K, Min: -1, Engine: gallery.Engine(b.Engine), Effort: b.effort}
	const warmUps, warmUpTime = 100, 2 * time.Second // pages and clocks have settled by then
	for i, begin := 0, time.Now(); i < min(warmUps, len(queries)) && time.Since(begin) < warmUpTime; i++ {
		if _, err := g.Search(ctx, queries[i], q); err != nil {
			return nil, err
		}
	}
	found := make([][]int32, len(queries))
	times := make([]float64, (len(queries)+b.Batch-1)/b.Batch)
	show := c.progress("searched")
	callers := 1
	if q.Engine == gallery.Graph {
		callers = min(b.Threads, len(times))
	}
	var next, done atomic.Int64
	errs := make([]error, callers)
	var group sync.WaitGroup
	begin := time.Now()
	for caller := range callers {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(times) {
					return
				}
				part := queries[i*b.Batch : min((i+1)*b.Batch, len(queries))]
				start := time.Now()
				answers, err := g.SearchBatch(ctx, part, q)
				times[i] = float64(time.Since(start)) / float64(time.Millisecond)
				if err != nil {
					errs[caller] = err
					return
				}
				for j, a := range answers {
					found[i*b.Batch+j] = rowsOf(a, b.K)
				}
				show(int(done.Add(int64(len(part)))), len(queries))
			}
		})
	}
	group.Wait()
	b.QPS = float64(len(queries)) / time.Since(begin).Seconds()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.Sort(times)
	at := func(p float64) float64 { return times[max(0, int(math.Ceil(p*float64(len(times))))-1)] } // nearest rank
	b.P50, b.P99 = at(0.50), at(0.99)
	return found, nil
}

// rowsOf gives the rows of candidates, from 0, and -1 where there are fewer.
func rowsOf(all []gallery.Candidate, k int) []int32 {
	rows := make([]int32, k)
	for i := range rows {
		rows[i] = -1
		if i < len(all) {
			rows[i] = int32(all[i].Number - 1)
		}
	}
	return rows
}

// judge counts what was found of the truth.
func (b *galleryBench) judge(found, truth [][]int32) {
	first, hits, all := 0, 0, 0
	for i, want := range truth {
		if want[0] == found[i][0] {
			first++
		}
		for _, n := range want {
			if n < 0 {
				continue
			}
			all++
			if slices.Contains(found[i], n) {
				hits++
			}
		}
	}
	share := func(n, of int) *float64 { v := float64(n) / float64(max(1, of)); return &v }
	b.RecallAt1, b.RecallAtK = share(first, len(truth)), share(hits, all)
}

func (b *galleryBench) print(c *call) {
	if c.json || c.jsonl {
		c.print(b)
		return
	}
	fmt.Fprintf(c.out, "base      %d rows of %d dimensions, %.0f bytes each, built in %.2f s\n", b.Rows, b.Dimension, b.VectorBytes, b.BuildS)
	fmt.Fprintf(c.out, "engine    %s, kernel %s, %s\n", b.Engine, b.Kernel, plural(b.Threads, "thread"))
	fmt.Fprintf(c.out, "searches  %d for the nearest %d, %d in a call: %.1f per second\n", b.Queries, b.K, b.Batch, b.QPS)
	fmt.Fprintf(c.out, "a call    p50 %.3f ms, p99 %.3f ms\n", b.P50, b.P99)
	if b.RecallAt1 != nil {
		fmt.Fprintf(c.out, "recall    @1 %.4f, @%d %.4f\n", *b.RecallAt1, b.K, *b.RecallAtK)
	}
}
