package gallery

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"
)

// stripes of locks: so many that the few writers rarely want the same one.
const stripes = 1024

// twin is a similarity by codes that the same picture has again, and hardly
// another: two pictures of one person have about 0.7.
const twin = 0.98

// builder is one worker of a build, and what it shares with the others.
type builder struct {
	*walker
	*site
	self, other row
	chosen      []near
	ids         []uint32
	lists       [][]near // that were chosen, by layer
}

type site struct {
	locks [stripes]sync.Mutex // of the links of a node
	rise  sync.Mutex          // of who is to be the new entry
	ones  []int8              // one a dimension: they sum a row's codes
}

// row is a node's codes as an aim.
type row struct {
	aim
	words []uint64 // where the codes lie
	from  [1]uintptr
	total [1]int32
}

// build links all nodes, on up to Workers goroutines.
func (gr *graph) build(ctx context.Context) error {
	s := &site{ones: make([]int8, gr.gallery.stride)}
	for i := range gr.gallery.dimension {
		s.ones[i] = 1
	}
	var next, stop atomic.Int64
	var telling sync.Mutex
	var done int
	var failed error
	work := func() {
		b := &builder{walker: newWalker(gr), site: s}
		b.self.words, b.other.words = make([]uint64, gr.gallery.stride/8), make([]uint64, gr.gallery.stride/8)
		for stop.Load() == 0 {
			i := int(next.Add(1)) - 1
			if i >= len(gr.blocks) {
				return
			}
			n := b.block(i)
			telling.Lock()
			if err := ctx.Err(); err != nil {
				failed = err
			} else if !gr.current() {
				failed = errMoved
			}
			if failed != nil {
				stop.Store(1)
			} else if done += n; gr.Progress != nil {
				gr.Progress(done, gr.rows)
			}
			telling.Unlock()
		}
	}
	var group sync.WaitGroup
	for range min(gr.gallery.Workers, len(gr.blocks)) {
		group.Go(work)
	}
	group.Wait()
	return failed
}

// block links the rows of a block, and says how many there are.
func (b *builder) block(i int) (rows int) {
	k := &b.blocks[i]
	for r := range k.rows {
		if k.alive(r) {
			b.insert(uint32(i*blockRows)+r, b.layer(k.segment.numbers[k.first+int(r)]))
			b.nodes.Add(1)
		}
	}
	return int(k.rows)
}

// read a node's codes to aim at it. One that is being wiped gives nonsense that
// does no harm: no search will return it.
func (b *builder) read(r *row, id uint32) {
	i, s := b.at(id)
	code := s.codes[i*s.stride:][:s.stride]
	for j, w := range unsafe.Slice((*uint64)(unsafe.Pointer(&code[0])), len(r.words)) {
		r.words[j] = w ^ 0x8080808080808080 // code − 128 as int8, eight at a time
	}
	r.codes = unsafe.Slice((*int8)(unsafe.Pointer(&r.words[0])), s.stride)
	clear(r.codes[s.dimension:])
	r.scale = s.scales[i]
	r.from[0] = s.address(i)
	b.gallery.kernel.dot(r.from[:], b.ones, r.total[:])
	r.sum = r.total[0] - int32(zero*s.dimension)
}

// insert a node (algorithm 1 of the paper). Its own links are complete before
// any other leads to it, and it is led to from below first: a walk that meets it
// can always go on.
func (b *builder) insert(id uint32, layer int) {
	entry := b.entry.Load()
	if top := int(entry >> 32); entry == 0 || layer > top {
		b.rise.Lock()
		defer b.rise.Unlock()
		entry = b.entry.Load()
		if entry == 0 || layer > int(entry>>32) {
			defer b.entry.Store(uint64(layer)<<32 | uint64(id+1))
		}
		if entry == 0 {
			return
		}
	}
	b.read(&b.self, id)
	from := min(layer, int(entry>>32))
	for len(b.lists) <= from {
		b.lists = append(b.lists, nil)
	}
	b.descend(&b.self.aim, entry, from)
	for l := from; l >= 0; l-- {
		b.walk(&b.self.aim, l, b.Construction)
		b.choose(b.sight, b.M)
		b.lists[l] = append(b.lists[l][:0], b.chosen...)
		write(b.links(id, l), b.chosen)
		if l > 0 {
			b.begin(&b.self.aim, b.sight[0].id&^walked)
		}
	}
	for l := range from + 1 {
		for _, n := range b.lists[l] {
			b.connect(n.id, near{n.similarity, id}, l)
		}
	}
}

// write replaces links. Who reads meanwhile sees some of the old and some of the
// new: all lead somewhere.
func write(links []atomic.Uint32, chosen []near) {
	for i, n := range chosen {
		links[i].Store(n.id + 1)
	}
	for i := len(chosen); i < len(links) && links[i].Load() != 0; i++ {
		links[i].Store(0)
	}
}

// choose up to most of those in sight, the nearest first, leaving out what is
// nearer to one chosen than to the node itself (algorithm 4 of the paper):
// links that lead into different directions. Twins get half of them at most:
// otherwise many enrolments of one picture would know only each other, and a walk
// that comes to them would not get out.
func (b *builder) choose(sight []near, most int) {
	b.chosen, b.ids = b.chosen[:0], b.ids[:0]
	for _, n := range sight {
		if len(b.chosen) == most {
			return
		}
		if n.similarity > twin && len(b.chosen) >= most/2 { // the nearest come first: all chosen are twins
			continue
		}
		n.id &^= walked
		b.read(&b.other, n.id)
		crowded := false
		for _, s := range b.compare(&b.other.aim, b.ids) {
			if s > n.similarity {
				crowded = true
				break
			}
		}
		if !crowded {
			b.chosen, b.ids = append(b.chosen, n), append(b.ids, n.id)
		}
	}
}

// connect adds a link from a node to a new one, and chooses anew where there is
// no room.
func (b *builder) connect(id uint32, to near, layer int) {
	lock := &b.locks[id%stripes]
	lock.Lock()
	defer lock.Unlock()
	links := b.links(id, layer)
	b.ids = b.ids[:0]
	for i := range links {
		n := links[i].Load()
		if n == 0 {
			links[i].Store(to.id + 1)
			return
		}
		b.ids = append(b.ids, n-1)
	}
	b.read(&b.self, id)
	b.sight = append(b.sight[:0], to)
	for i, s := range b.compare(&b.self.aim, b.ids) {
		b.keep(near{s, b.ids[i]}, len(links)+1)
	}
	b.choose(b.sight, len(links))
	write(links, b.chosen)
}
