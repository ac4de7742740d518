package gallery

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// MaxRows of a gallery: requirement 7.3. A million were measured (make
// bench-gallery). Enrolment beyond is refused.
const MaxRows = 10_000_000

// Config of a gallery.
type Config struct {
	Name      string // whose, and which list: a snapshot of another is refused
	Model     string // the embedding id of its templates
	Dimension int    // 1 to MaxDimension
	Workers   int    // cores that a search may use; 0: all
	Kernel    string // one of Kernels(); empty: the fastest
}

// Template is a face: a unit vector in the space of its model.
type Template struct {
	Model  string
	Vector []float32
}

// Gallery is safe for concurrent use. Readers take no lock: enrolment and
// removal do not wait for searches, nor searches for them.
type Gallery struct {
	Config
	shape
	kernel kernel

	view  atomic.Pointer[view]
	queue queue
	spare sync.Pool // of *scratch
	graph atomic.Pointer[graph]

	mu     sync.Mutex // of those who change
	last   uint64     // number enrolled last
	closed bool

	graves sync.Mutex // taken last, and briefly
	old    []*view    // that readers may still be in, the oldest first
}

// view is the segments at one time. Who reads them has entered it.
type view struct {
	segments []*segment
	closed   bool
	readers  atomic.Int64
	garbage  []*segment // that no later view has
}

// New makes an empty gallery. Close gives its memory back.
func New(c Config) (*Gallery, error) {
	if c.Dimension < 1 || c.Dimension > MaxDimension {
		return nil, fmt.Errorf("%w: %d dimensions, 1 to %d are possible", ErrConfig, c.Dimension, MaxDimension)
	}
	if c.Model == "" {
		return nil, fmt.Errorf("%w: it needs the model's name", ErrConfig)
	}
	if c.Workers <= 0 {
		c.Workers = runtime.NumCPU()
	}
	all := kernels()
	i := 0
	if c.Kernel != "" {
		if i = slices.IndexFunc(all, func(k kernel) bool { return k.name == c.Kernel }); i < 0 {
			return nil, fmt.Errorf("%w: this processor has no kernel %q, only %q", ErrConfig, c.Kernel, Kernels())
		}
	}
	g := &Gallery{Config: c, shape: shapeOf(c.Dimension), kernel: all[i]}
	g.Kernel = g.kernel.name
	g.view.Store(&view{})
	return g, nil
}

// check refuses a template that does not belong here.
func (g *Gallery) check(t Template) (length float64, err error) {
	if t.Model != g.Model {
		return 0, fmt.Errorf("%w: it is of %q, the gallery of %q", ErrModel, t.Model, g.Model)
	}
	if len(t.Vector) != g.Dimension {
		return 0, fmt.Errorf("%w: %d, the gallery's have %d", ErrDimension, len(t.Vector), g.Dimension)
	}
	return checkUnit(t.Vector)
}

// Enrol adds a template under a number, which must be above all that were
// enrolled before, those removed included. Every search that begins after it
// has returned compares it.
func (g *Gallery) Enrol(number uint64, t Template) error {
	if _, err := g.check(t); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	if number <= g.last {
		return fmt.Errorf("%w: %d after %d", ErrOrder, number, g.last)
	}
	s, err := g.tail()
	if err != nil {
		return err
	}
	i := s.len()
	s.put(i, number, t.Vector)
	g.last = number
	s.length.Store(int64(i + 1))
	return nil
}

// tail is a segment with room for another row.
func (g *Gallery) tail() (*segment, error) {
	v := g.view.Load()
	if n := len(v.segments); n > 0 && v.segments[n-1].len() < v.segments[n-1].capacity {
		return v.segments[n-1], nil
	}
	rows := 0
	for _, s := range v.segments {
		rows += s.len()
	}
	if rows >= MaxRows {
		return nil, fmt.Errorf("%w: %d are enrolled, %d are the most", ErrMemory, rows, MaxRows)
	}
	s, err := newSegment(g.shape, capacityOf(len(v.segments)))
	if err != nil {
		return nil, err
	}
	g.show(&view{segments: append(slices.Clone(v.segments), s)}, nil)
	return s, nil
}

// show replaces the view. Segments that it no longer has are wiped when the
// last reader has left them.
func (g *Gallery) show(next *view, garbage []*segment) {
	g.graves.Lock()
	defer g.graves.Unlock()
	was := g.view.Swap(next)
	was.garbage = garbage
	g.old = append(g.old, was)
	g.reap()
}

// reap wipes what nobody can be reading any more. For who holds graves.
func (g *Gallery) reap() {
	for len(g.old) > 0 && g.old[0].readers.Load() == 0 {
		for _, s := range g.old[0].garbage {
			s.free()
		}
		g.old = g.old[1:]
	}
}

// enter the present view; leave it soon.
func (g *Gallery) enter() *view {
	for {
		v := g.view.Load()
		v.readers.Add(1)
		if g.view.Load() == v { // else it may have been reaped before it was entered
			return v
		}
		g.leave(v)
	}
}

func (g *Gallery) leave(v *view) {
	if v.readers.Add(-1) == 0 && g.view.Load() != v {
		g.graves.Lock()
		defer g.graves.Unlock()
		g.reap()
	}
}

// Remove takes a template out: no search that begins after Remove has returned
// gives it, nor does one that is still comparing, and its bytes are wiped. Error:
// ErrUnknown.
func (g *Gallery) Remove(number uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	found := wipe(g.view.Load().segments, number)
	g.graves.Lock()
	defer g.graves.Unlock()
	for _, v := range g.old { // a compacted segment has it too until its last reader has left
		wipe(v.garbage, number)
	}
	if found {
		return nil
	}
	return fmt.Errorf("template %d %w", number, ErrUnknown)
}

// wipe the row of a number, where the segments have it.
func wipe(segments []*segment, number uint64) bool {
	for _, s := range segments {
		if n := s.len(); n == 0 || s.numbers[n-1] < number {
			continue
		}
		if i := s.find(number); s.numbers[i] == number {
			return s.wipe(i)
		}
	}
	return false
}

// Len is the number of templates.
func (g *Gallery) Len() int {
	n := 0
	v := g.enter()
	defer g.leave(v)
	for _, s := range v.segments {
		n += s.live()
	}
	return n
}

// Newest is the number enrolled last; 0 where none ever was.
func (g *Gallery) Newest() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// Holds says whether a template is enrolled under a number, and whether it is
// this one to the bit.
func (g *Gallery) Holds(number uint64, vector []float32) (there, same bool) {
	v := g.enter()
	defer g.leave(v)
	for _, s := range v.segments {
		if n := s.len(); n == 0 || s.numbers[n-1] < number {
			continue
		}
		i := s.find(number)
		same = slices.EqualFunc(s.row(i), vector, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
		there = s.numbers[i] == number && s.alive(i)
		return there, there && same
	}
	return false, false
}

// Numbers calls do with the number of each template, in order, until it
// returns false.
func (g *Gallery) Numbers(do func(number uint64) bool) {
	v := g.enter()
	defer g.leave(v)
	for _, s := range v.segments {
		for i := range s.len() {
			if s.alive(i) && !do(s.numbers[i]) {
				return
			}
		}
	}
}

// Stats of a gallery.
type Stats struct {
	Templates int    `json:"templates"`
	Removed   int    `json:"removed"` // rows that were wiped and hold their place
	Segments  int    `json:"segments"`
	Bytes     int64  `json:"bytes"`  // of memory for the templates, the graph not counted
	Locked    bool   `json:"locked"` // kept out of swap
	Kernel    string `json:"kernel"`
	Graph     int    `json:"graph"`       // templates in the graph; 0: there is none
	GraphSize int64  `json:"graph_bytes"` // of its links, and of the codes that it walks over
}

// Stats counts.
func (g *Gallery) Stats() Stats {
	v := g.enter()
	defer g.leave(v)
	s := Stats{Segments: len(v.segments), Kernel: g.kernel.name, Locked: true}
	for _, seg := range v.segments {
		s.Templates += seg.live()
		s.Removed += int(seg.removed.Load())
		s.Bytes += seg.used()
		s.Locked = s.Locked && seg.memory.locked
		if seg.walks.Load() {
			s.GraphSize += int64(pages(seg.len() * seg.stride))
		}
	}
	if gr := g.graph.Load(); gr != nil {
		nodes, links := gr.size()
		s.Graph, s.GraphSize = nodes, s.GraphSize+links
	}
	return s
}

// Compact closes the holes that removed templates left, where they are more
// than a quarter of a segment. Searches go on meanwhile; enrolment waits for one
// segment at a time. A graph is dropped with the rows that it knew: build
// another.
func (g *Gallery) Compact() error {
	for i := 0; ; {
		g.mu.Lock()
		segments := g.view.Load().segments
		if g.closed || i >= len(segments) {
			g.mu.Unlock()
			return nil
		}
		err := g.compact(segments, i)
		if len(g.view.Load().segments) == len(segments) { // else another is at i now
			i++
		}
		g.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (g *Gallery) compact(segments []*segment, i int) error {
	s := segments[i]
	removed := int(s.removed.Load())
	if removed*4 <= s.capacity {
		return nil
	}
	keep := slices.Clone(segments[:i])
	if live := s.live(); live > 0 {
		capacity := live
		if i == len(segments)-1 {
			capacity = s.capacity // it may grow
		}
		to, err := newSegment(g.shape, capacity)
		if err != nil {
			return err
		}
		n := 0
		for r := range s.len() {
			if s.alive(r) {
				to.put(n, s.numbers[r], s.row(r))
				n++
			}
		}
		to.length.Store(int64(n))
		keep = append(keep, to)
	}
	g.dropGraph()
	g.show(&view{segments: append(keep, segments[i+1:]...)}, []*segment{s})
	return nil
}

// Close wipes everything and gives it back, after the searches under way. The
// gallery is of no use afterwards.
func (g *Gallery) Close() {
	g.queue.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	g.dropGraph()
	g.show(&view{closed: true}, g.view.Load().segments)
}
