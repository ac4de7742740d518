package gallery

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// What BuildGraph and Search take where they are told nothing. Measured on
// 100,000 templates of 704 dimensions as of faces (engine/specimen): 32 links
// and an effort of 200 find the most similar in 99.4 percent of searches, 16
// links in 96.5. 200 candidates at construction are hnswlib's default.
const (
	DefaultM            = 32
	DefaultConstruction = 200
	DefaultEffort       = 200
)

// Bounds of what a graph can be. Malkov & Yashunin, "Efficient and robust
// approximate nearest neighbor search using Hierarchical Navigable Small World
// graphs" (2016), section 4.1, find 5 to 48 links useful.
const (
	leastM    = 2
	mostM     = 64
	maxEffort = 4096
)

// GraphConfig says how thorough a graph is.
type GraphConfig struct {
	M            int                   // links of a template, twice as many on the lowest layer: 2 to 64; 0: DefaultM
	Construction int                   // how many candidates are in sight when links are chosen, M to 4,096; 0: DefaultConstruction
	Progress     func(done, total int) // told now and then, by one goroutine at a time
}

func (c *GraphConfig) check() error {
	if c.M == 0 {
		c.M = DefaultM
	}
	if c.Construction == 0 {
		c.Construction = max(c.M, DefaultConstruction)
	}
	switch {
	case c.M < leastM || c.M > mostM:
		return fmt.Errorf("%w: a graph of %d links, %d to %d are possible", ErrConfig, c.M, leastM, mostM)
	case c.Construction < c.M || c.Construction > maxEffort:
		return fmt.Errorf("%w: a graph with %d candidates for %d links, %d to %d are possible", ErrConfig, c.Construction, c.M, c.M, maxEffort)
	}
	return nil
}

// blockRows: a block's tombstones are one word.
const blockRows = 64

// block is 64 rows of a segment. A node's number is 64 times that of its block,
// plus its row in it: nothing of a row is copied, so that a wiped one is gone.
type block struct {
	codes   uintptr // of the first
	scales  *[blockRows]float32
	dead    *atomic.Uint64
	segment *segment
	first   int
	rows    uint32 // that the graph knows
}

func (b *block) alive(row uint32) bool { return b.dead.Load()>>row&1 == 0 }

// graph is a hierarchical navigable small world over the rows that a view had.
type graph struct {
	GraphConfig
	gallery *Gallery
	view    *view // held, so that its rows stay where they are
	holders atomic.Int64

	blocks []block
	rows   int    // that had been enrolled
	newest uint64 // of their numbers
	nodes  atomic.Int64

	memory *memory
	ground []atomic.Uint32 // 2·M links of each node: number + 1; the first 0 ends them
	tall   []atomic.Uint32 // M links of a node for each layer above, from above
	above  []uint32        // where those of a node begin, in units of M
	entry  atomic.Uint64   // layer << 32 | number + 1

	pool     sync.Pool // of walkers
	at1      float64   // measured recall
	at10     float64
	measured bool
}

var errMoved = errors.New("the rows were moved")

// BuildGraph builds the graph over the templates that are present, and puts it
// in the place of an earlier one once it is complete and its recall is measured.
// Searches, enrolments and removals go on meanwhile. Errors: ErrConfig,
// ErrMemory, ErrClosed, ctx's.
func (g *Gallery) BuildGraph(ctx context.Context, c GraphConfig) error {
	if err := c.check(); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := g.buildGraph(ctx, c)
		if !errors.Is(err, errMoved) { // Compact was faster: what was built knows rows that are no more
			return err
		}
	}
}

func (g *Gallery) buildGraph(ctx context.Context, c GraphConfig) error {
	gr, err := g.newGraph(c)
	if err != nil {
		return err
	}
	if err = gr.build(ctx); err == nil {
		err = gr.measure(ctx)
	}
	if err == nil {
		err = g.install(gr)
	}
	if err != nil {
		gr.release()
	}
	return err
}

// newGraph without links, held once.
func (g *Gallery) newGraph(c GraphConfig) (*graph, error) {
	if err := g.walk(); err != nil {
		return nil, err
	}
	gr := &graph{GraphConfig: c, gallery: g}
	gr.holders.Store(1)
	g.mu.Lock()
	gr.view = g.enter()
	known := slices.IndexFunc(gr.view.segments, func(s *segment) bool { return s.walking == nil }) // added since: searched exactly
	if known < 0 {
		known = len(gr.view.segments)
	}
	g.mu.Unlock()
	for _, s := range gr.view.segments[:known] {
		n := s.len()
		for first := 0; first < n; first += blockRows {
			gr.blocks = append(gr.blocks, block{s.address(first), (*[blockRows]float32)(s.scales[first:]), &s.dead[first/blockRows], s, first, uint32(min(blockRows, n-first))})
		}
		if n > 0 {
			gr.newest = s.numbers[n-1]
		}
		gr.rows += n
	}
	slots, layers := len(gr.blocks)*blockRows, 0
	gr.above = make([]uint32, slots)
	for id := range gr.above {
		gr.above[id] = uint32(layers)
		if b := &gr.blocks[id/blockRows]; id%blockRows < int(b.rows) {
			layers += gr.layer(b.segment.numbers[b.first+id%blockRows])
		}
	}
	ground, tall := slots*2*c.M, layers*c.M
	m, err := allocate(pages(4*max(1, ground)) + pages(4*max(1, tall)))
	if err != nil {
		g.leave(gr.view)
		return nil, err
	}
	at := 0
	gr.memory = m
	gr.ground = array[atomic.Uint32](m, &at, ground)
	gr.tall = array[atomic.Uint32](m, &at, tall)
	gr.pool.New = func() any { return newWalker(gr) }
	return gr, nil
}

// walk gives every segment the codes row by row that a walk reads.
func (g *Gallery) walk() error {
	for i := 0; ; i++ {
		g.mu.Lock()
		segments := g.view.Load().segments
		if i >= len(segments) {
			g.mu.Unlock()
			return nil
		}
		err := segments[i].walk()
		g.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// at gives the row of a node.
func (gr *graph) at(id uint32) (int, *segment) {
	b := &gr.blocks[id/blockRows]
	return b.first + int(id%blockRows), b.segment
}

// layer of a template: as section 4 of the paper draws it, with the level
// multiplier 1/ln M, but from its number, so that it is always the same.
func (gr *graph) layer(number uint64) int {
	// The finaliser of SplitMix64 (Steele, Lea & Flood 2014) makes any two
	// numbers look unrelated.
	h := number + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	u := float64(h>>11+1) / (1 << 53) // above 0, at most 1
	return int(-math.Log(u) / math.Log(float64(gr.M)))
}

// links of a node on a layer.
func (gr *graph) links(id uint32, layer int) []atomic.Uint32 {
	if layer == 0 {
		n := 2 * gr.M
		return gr.ground[int(id)*n:][:n:n]
	}
	return gr.tall[(int(gr.above[id])+layer-1)*gr.M:][:gr.M:gr.M]
}

// current says whether the gallery still has the rows that the graph knows.
func (gr *graph) current() bool {
	now, then := gr.gallery.view.Load().segments, gr.view.segments
	return len(now) >= len(then) && slices.Equal(now[:len(then)], then)
}

func (g *Gallery) install(gr *graph) error {
	g.mu.Lock()
	if g.closed || !gr.current() {
		defer g.mu.Unlock()
		if g.closed {
			return ErrClosed
		}
		return errMoved
	}
	was := g.graph.Swap(gr)
	g.mu.Unlock()
	if was != nil {
		was.release()
	}
	return nil
}

// dropGraph is for who holds mu.
func (g *Gallery) dropGraph() {
	if gr := g.graph.Swap(nil); gr != nil {
		gr.release()
	}
}

// holdGraph gives the graph, to be released; nil where there is none.
func (g *Gallery) holdGraph() *graph {
	for {
		gr := g.graph.Load()
		if gr == nil {
			return nil
		}
		for n := gr.holders.Load(); n > 0; n = gr.holders.Load() { // 0: released for good, and another or none is there
			if gr.holders.CompareAndSwap(n, n+1) {
				return gr
			}
		}
	}
}

// release wipes the links and lets go of the rows when the last holder leaves.
func (gr *graph) release() {
	if gr.holders.Add(-1) == 0 {
		gr.memory.free()
		gr.gallery.leave(gr.view)
	}
}

func (gr *graph) size() (nodes int, bytes int64) {
	return int(gr.nodes.Load()), int64(4 * (len(gr.ground) + len(gr.tall) + len(gr.above)))
}
