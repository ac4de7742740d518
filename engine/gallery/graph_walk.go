package gallery

import "sync/atomic"

// near is a node in sight of a walk.
type near struct {
	similarity float32
	id         uint32 // and walked, where the walk went on from it
}

const walked = 1 << 31

// aim is what a walk goes towards, in codes.
type aim struct {
	codes []int8
	sum   int32 // of the codes
	scale float32
}

func (p *probe) aim() aim { return aim{p.codes, int32(p.sum), float32(p.scale)} }

// walker goes through a graph, one walk after the other, without allocating.
type walker struct {
	*graph
	seen    []uint8 // by node: turn, where this walk met it
	turn    uint8
	sight   []near // the nearest so far, the nearest first
	batch   []uint32
	through []uint32 // removed nodes on the way
	rows    []uintptr
	sums    []int32
	similar []float32
	early   uint32 // what was loaded only to be at hand later
	all     bool   // go through every removed node
	lows    lows
	hits    []hit
}

func newWalker(gr *graph) *walker {
	return &walker{graph: gr, seen: make([]uint8, len(gr.above))}
}

// compare gives the similarity of nodes to what is aimed at, all with one call
// of the kernel.
func (w *walker) compare(a *aim, ids []uint32) []float32 {
	if len(ids) > len(w.sums) {
		w.sums, w.similar, w.rows = make([]int32, 2*len(ids)), make([]float32, 2*len(ids)), make([]uintptr, 2*len(ids))
	}
	n, stride := len(ids), uintptr(w.gallery.stride)
	similar, sums, rows := w.similar[:n], w.sums[:n], w.rows[:n]
	for i, id := range ids {
		b := &w.blocks[id/blockRows]
		rows[i] = b.codes + uintptr(id%blockRows)*stride
		similar[i] = b.scales[id%blockRows]
	}
	w.gallery.kernel.dot(rows, a.codes, sums)
	for i, scale := range similar {
		similar[i] = scale * a.scale * float32(sums[i]-zero*a.sum)
	}
	return similar
}

// begin a walk at a node.
func (w *walker) begin(a *aim, id uint32) {
	if w.turn++; w.turn == 0 {
		clear(w.seen)
		w.turn = 1
	}
	w.seen[id] = w.turn
	w.batch = append(w.batch[:0], id)
	n := near{w.compare(a, w.batch)[0], id}
	if !w.blocks[id/blockRows].alive(id % blockRows) {
		n.similarity = -2 // less than any: it only leads on
	}
	w.sight = append(w.sight[:0], n)
}

// walk from what is in sight to what is nearest on a layer (algorithm 2 of the
// paper), keeping effort nodes in sight. Since no more are kept than are walked
// on from, candidates and results are one sorted list.
func (w *walker) walk(a *aim, layer, effort int) {
	for next := 0; next < len(w.sight); {
		n := &w.sight[next]
		next++
		if n.id&walked != 0 {
			continue
		}
		id := n.id
		n.id |= walked
		w.gather(id, layer)
		if next < len(w.sight) { // its links will likely be wanted next
			w.early += w.links(w.sight[next].id&^walked, layer)[0].Load()
		}
		for i, s := range w.compare(a, w.batch) {
			if at := w.keep(near{s, w.batch[i]}, effort); at < next {
				next = at
			}
		}
	}
}

// keep a node in sight where it is near enough, and say at which place.
func (w *walker) keep(n near, effort int) int {
	s := w.sight
	if len(s) == effort {
		if n.similarity <= s[len(s)-1].similarity {
			return effort
		}
	} else {
		s = append(s, n)
		w.sight = s
	}
	low, high := 0, len(s)-1
	for low < high {
		if m := int(uint(low+high) / 2); s[m].similarity >= n.similarity {
			low = m + 1
		} else {
			high = m
		}
	}
	copy(s[low+1:], s[low:len(s)-1])
	s[low] = n
	return low
}

// gather the nodes that a node is linked to and that were not met yet. In the
// place of a removed one come those behind it, as many as were removed.
func (w *walker) gather(id uint32, layer int) {
	w.batch = w.batch[:0]
	w.through = w.through[:0]
	w.meet(w.links(id, layer), len(w.seen))
	want := len(w.batch) + len(w.through)
	if w.all {
		want = len(w.seen)
	}
	i := 0
	for ; i < len(w.through) && len(w.batch) < want; i++ {
		w.meet(w.links(w.through[i], layer), want)
	}
	for _, id := range w.through[i:] { // another way may lead through
		w.seen[id] = 0
	}
}

func (w *walker) meet(links []atomic.Uint32, most int) {
	for i := range links {
		id := links[i].Load()
		if id == 0 || len(w.batch) >= most {
			break
		}
		id--
		if w.seen[id] == w.turn {
			continue
		}
		w.seen[id] = w.turn
		if w.blocks[id/blockRows].alive(id % blockRows) {
			w.batch = append(w.batch, id)
		} else {
			w.through = append(w.through, id)
		}
	}
}

// descend from the entry to the layer above one, each time to the nearest.
func (w *walker) descend(a *aim, entry uint64, to int) {
	w.begin(a, uint32(entry)-1)
	for layer := int(entry >> 32); layer > to; layer-- {
		w.walk(a, layer, 1)
		w.begin(a, w.sight[0].id&^walked)
	}
}
