package gallery

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// piece is how many bytes of the sketch a worker takes at a time: they stay in
// the second-level cache (1 MB and more on servers since 2017) while four
// probes after four go over them.
const piece = 256 << 10

// firstPiece is the size of the first task, in blocks; each after it is twice as
// large, up to a piece. Of the first rows all may belong to an answer: they raise
// the floor for those that follow.
const firstPiece = 8

// workerShare is how many bytes of the sketch are worth another core: reading
// them takes about as long as it takes a sleeping one to begin, some 100 µs.
const workerShare = 4 << 20

// task is a part of the rows that a pass compares.
type task struct {
	segment  *segment
	from, to int // rows
}

// hit is a row that may belong to an answer.
type hit struct {
	segment *segment
	row     uint32
	high    float32 // bound of its similarity
}

// target is one probe of a pass.
type target struct {
	*probe
	lines []int8 // of this probe alone
	query *Query
	ctx   func() error
	// floor is the least similarity that still matters, as float32 bits: Min,
	// and, once K rows are known to be above it, what K rows reach.
	floor atomic.Uint32
}

func (t *target) least() float32 { return math.Float32frombits(t.floor.Load()) }

// raise the floor; it never sinks.
func (t *target) raise(f float32) {
	for {
		was := t.floor.Load()
		if math.Float32frombits(was) >= f || t.floor.CompareAndSwap(was, math.Float32bits(f)) {
			return
		}
	}
}

// pass answers searches with one reading of the rows.
func (g *Gallery) pass(batch []*search) {
	again := batch
	for len(again) > 0 {
		again = g.once(again)
	}
}

// once goes over the rows, and gives the searches whose answer lost a row that
// was removed meanwhile.
func (g *Gallery) once(batch []*search) (again []*search) {
	v := g.enter()
	defer g.leave(v)
	if v.closed {
		for _, s := range batch {
			s.err = ErrClosed
		}
		return nil
	}
	var targets []*target
	since := uint64(math.MaxUint64)
	for _, s := range batch {
		since = min(since, s.query.Since)
		for _, p := range s.probes {
			t := &target{probe: p, lines: lines(g.shape, p), query: &s.query, ctx: s.ctx.Err}
			t.floor.Store(math.Float32bits(lowest(s.query.Min)))
			targets = append(targets, t)
		}
	}
	workers := g.sweep(v.tasks(g.shape, since), targets)
	at := 0
	for _, s := range batch {
		s.found, s.err = nil, s.ctx.Err()
		gone := false
		for range s.probes {
			var hits []hit
			for _, w := range workers {
				hits = append(hits, w.above(at)...)
			}
			best, lost := settle(targets[at].probe, &s.query, hits)
			gone = gone || lost // what it raised the floor to may have left out another
			s.found = append(s.found, best)
			at++
		}
		if gone && s.err == nil {
			again = append(again, s)
		}
	}
	return again
}

// lowest floor of a query. A similarity is cut at -1 and 1, so that none is too
// low for -1.
func lowest(least float64) float32 {
	if least <= -1 {
		return -2
	}
	return float32(least) - slack
}

// tasks cuts the rows with numbers above since into pieces.
func (v *view) tasks(sh shape, since uint64) []task {
	step, most := firstPiece*lanes, max(1, piece/sh.block())*lanes
	var all []task
	for _, s := range v.segments {
		n := s.len()
		if n == 0 || s.numbers[n-1] <= since {
			continue
		}
		from := 0
		if since > 0 {
			from = s.find(since + 1)
		}
		for from < n {
			step = min(step, most)
			to := min(n, from/lanes*lanes+step)
			all = append(all, task{s, from, to})
			from, step = to, 2*step
		}
	}
	return all
}

// sweep has all tasks done by up to Workers goroutines.
func (g *Gallery) sweep(tasks []task, targets []*target) []*worker {
	var next atomic.Int64
	rows := 0
	for _, t := range tasks {
		rows += t.to - t.from
	}
	workers := make([]*worker, max(1, min(g.Workers, rows/lanes*g.block()/workerShare+1)))
	groups := g.groups(targets)
	var group sync.WaitGroup
	for i := range workers {
		w := &worker{Gallery: g, targets: targets, groups: groups, heaps: make([]lows, len(targets)), hits: make([][]hit, len(targets))}
		workers[i] = w
		work := func() {
			w.scratch, _ = g.spare.Get().(*scratch)
			if w.scratch == nil {
				w.scratch = newScratch(g.shape)
			}
			defer g.spare.Put(w.scratch)
			for {
				n := int(next.Add(1)) - 1
				if n >= len(tasks) || w.abandoned() {
					return
				}
				w.do(tasks[n])
			}
		}
		if i < len(workers)-1 {
			group.Go(work)
		} else {
			work()
		}
	}
	group.Wait()
	return workers
}

// groups are the lines of the probes as the kernels take them: by four, a single
// one by itself.
func (g *Gallery) groups(targets []*target) [][]int8 {
	var all [][]int8
	for i := 0; i < len(targets); i += tile {
		if len(targets)-i == 1 {
			all = append(all, targets[i].lines)
			break
		}
		four := make([]*probe, tile)
		for j := range four {
			four[j] = targets[min(i+j, len(targets)-1)].probe
		}
		all = append(all, lines(g.shape, four...))
	}
	return all
}

// worker goes over rows for all targets of a pass.
type worker struct {
	*Gallery
	*scratch
	targets []*target
	groups  [][]int8
	heaps   []lows
	hits    [][]hit
}

// scratch is what a kernel writes for one piece.
type scratch struct {
	bounds []bound
	masks  []uint16
	sums   []int32
}

func newScratch(s shape) *scratch {
	blocks := max(firstPiece, piece/s.block())
	return &scratch{make([]bound, tile), make([]uint16, tile*blocks), make([]int32, tile*blocks*lanes)}
}

// width of the group that begins with target i: a last one of two or three goes
// with the four's kernel too, as the rows are read once.
func (w *worker) width(i int) int {
	if len(w.targets)-i == 1 {
		return 1
	}
	return tile
}

// abandoned says whether nobody waits for an answer any more.
func (w *worker) abandoned() bool {
	for _, t := range w.targets {
		if t.ctx() == nil {
			return false
		}
	}
	return true
}

func (w *worker) do(t task) {
	first, blocks := t.from/lanes, (t.to+lanes-1)/lanes-t.from/lanes
	for i, group := 0, 0; i < len(w.targets); group++ {
		width := w.width(i)
		for j := range width {
			q := w.targets[min(i+j, len(w.targets)-1)]
			w.bounds[j] = q.bound(q.least())
		}
		w.kernel.scan(t.segment, first, blocks, w.groups[group], w.bounds[:width], w.masks, w.sums)
		for j := range min(width, len(w.targets)-i) {
			w.collect(t, i+j, j, width, first, blocks)
		}
		i += width
	}
}

// collect takes a closer look at the rows that a kernel's masks name: at the
// whole of their codes.
func (w *worker) collect(t task, target, at, width, first, blocks int) {
	q, s, heap := w.targets[target], t.segment, &w.heaps[target]
	floor := q.least()
	for b := range blocks {
		mask := w.masks[b*width+at]
		if mask == 0 {
			continue
		}
		sums := w.sums[(b*width+at)*lanes:][:lanes]
		w.kernel.finish(s, first+b, q.lines, sums)
		for ; mask != 0; mask &= mask - 1 {
			lane := bits.TrailingZeros16(mask)
			row := (first+b)*lanes + lane
			low, high := q.between(sums[lane], s.scales[row], s.fine[row])
			if high < floor || row < t.from || row >= t.to || !s.alive(row) || s.numbers[row] <= q.query.Since {
				continue
			}
			if q.query.Skip != nil && q.query.Skip(s.numbers[row]) {
				continue
			}
			w.hits[target] = append(w.hits[target], hit{s, uint32(row), high})
			if least, full := heap.add(cut(low), q.query.K); full && least > floor {
				floor = least
				q.raise(least)
			}
		}
	}
	if len(w.hits[target]) > 4*MaxK {
		w.hits[target] = w.above(target)
	}
}

// cut a lower bound as similarities are cut: rows above 1 are all alike, and so
// are those below -1.
func cut(low float32) float32 {
	if low = min(low, 1-slack); low < slack-1 {
		return -2
	}
	return low
}

// above gives the hits of a target that its floor, as it is now, leaves.
func (w *worker) above(target int) []hit {
	floor := w.targets[target].least()
	keep := w.hits[target][:0]
	for _, h := range w.hits[target] {
		if h.high >= floor {
			keep = append(keep, h)
		}
	}
	return keep
}

// lows is a heap of the k greatest lower bounds, the least on top.
type lows []float32

// add gives the least of k bounds, once there are k.
func (h *lows) add(low float32, k int) (least float32, full bool) {
	s := *h
	switch {
	case len(s) < k:
		s = append(s, low)
		for i := len(s) - 1; i > 0 && s[(i-1)/2] > s[i]; i = (i - 1) / 2 {
			s[(i-1)/2], s[i] = s[i], s[(i-1)/2]
		}
		*h = s
	case low > s[0]:
		s[0] = low
		for i := 0; ; {
			c := 2*i + 1
			if c+1 < len(s) && s[c+1] < s[c] {
				c++
			}
			if c >= len(s) || s[c] >= s[i] {
				break
			}
			s[c], s[i] = s[i], s[c]
			i = c
		}
	}
	return s[0], len(s) == k
}
