package gallery

import (
	"sort"
	"sync/atomic"
	"unsafe"
)

const (
	// lanes is the number of rows in a block of the sketch: as many as a 512-bit
	// register has sums of 32 bits.
	lanes = 16
	// groupSize is the number of dimensions in one line of a block.
	groupSize = 8
	lineSize  = lanes * groupSize / 2
	// codeStep: rows of codes are whole cache lines.
	codeStep = 64
)

// Segments grow with the gallery: a small one takes little, a large one has few.
const (
	firstSegment = 1 << 10
	lastSegment  = 1 << 16
)

// shape of the rows of a gallery.
type shape struct {
	dimension int
	groups    int // lines of a block
	stride    int // bytes of a row of codes
}

func shapeOf(dimension int) shape {
	return shape{dimension, (dimension + groupSize - 1) / groupSize, (dimension + codeStep - 1) / codeStep * codeStep}
}

func (s shape) block() int { return s.groups * lineSize }

// segment is a run of rows, appended to by one writer while readers read the
// first length of them. All arrays but dead lie in memory.
type segment struct {
	shape
	capacity int
	memory   *memory

	sketch  []byte    // blocks of sixteen rows: the upper four bits of the codes
	rest    []byte    // the same of the lower four
	scales  []float32 // of a row's codes
	rough   []float32 // how far a row is from its sketch, as a length
	fine    []float32 // how far a row is from its codes
	numbers []uint64
	rows    []float32

	// codes row by row are for the graph: made with the first, wiped with the rows.
	codes   []byte
	walking *memory
	walks   atomic.Bool

	length  atomic.Int64
	dead    []atomic.Uint64
	removed atomic.Int64
}

func newSegment(s shape, capacity int) (*segment, error) {
	capacity = (capacity + 63) / 64 * 64
	blocks := capacity / lanes
	size := 2*pages(blocks*s.block()) + 3*pages(4*capacity) + pages(8*capacity) + pages(4*capacity*s.dimension)
	m, err := allocate(size)
	if err != nil {
		return nil, err
	}
	g := &segment{shape: s, capacity: capacity, memory: m, dead: make([]atomic.Uint64, capacity/64)}
	at := 0
	g.sketch = array[byte](m, &at, blocks*s.block())
	g.rest = array[byte](m, &at, blocks*s.block())
	g.scales = array[float32](m, &at, capacity)
	g.rough = array[float32](m, &at, capacity)
	g.fine = array[float32](m, &at, capacity)
	g.numbers = array[uint64](m, &at, capacity)
	g.rows = array[float32](m, &at, capacity*s.dimension)
	return g, nil
}

// capacityOf the segment with this index.
func capacityOf(i int) int {
	if i >= 6 { // 1,024 × 2⁶ = 65,536
		return lastSegment
	}
	return firstSegment << i
}

func (s *segment) len() int  { return int(s.length.Load()) }
func (s *segment) live() int { return s.len() - int(s.removed.Load()) }

func (s *segment) row(i int) []float32 { return s.rows[i*s.dimension : (i+1)*s.dimension] }

// code gives the codes of row i: round(value/scale) + 128.
func (s *segment) code(i int) []byte {
	code := make([]byte, s.stride)
	s.unpack(i, code)
	return code
}

func (s *segment) unpack(i int, code []byte) {
	at := i/lanes*s.block() + i%lanes*4
	for g := range s.groups {
		high, low := s.sketch[at+g*lineSize:][:4], s.rest[at+g*lineSize:][:4]
		part := code[g*groupSize:][:groupSize]
		for b := range high {
			part[b] = high[b]<<4 | low[b]&15
			part[b+4] = high[b]&0xf0 | low[b]>>4
		}
	}
}

// walk makes the codes row by row, where they are not. For who holds the
// gallery's mu.
func (s *segment) walk() error {
	if s.walking != nil {
		return nil
	}
	m, err := allocate(pages(s.capacity * s.stride))
	if err != nil {
		return err
	}
	at := 0
	s.walking, s.codes = m, array[byte](m, &at, s.capacity*s.stride)
	for i := range s.len() {
		s.unpack(i, s.codes[i*s.stride:][:s.stride])
	}
	s.walks.Store(true)
	return nil
}

// free wipes and gives back.
func (s *segment) free() {
	s.memory.free()
	if s.walking != nil {
		s.walking.free()
	}
}

// address of a row's codes: outside the Go heap, it stays what it is.
func (s *segment) address(i int) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(s.codes))) + uintptr(i*s.stride)
}

// alive is asked after a row was read: what was read of one that is still alive
// then was whole. (The writer marks before it wipes; x86 keeps that order.)
func (s *segment) alive(i int) bool { return s.dead[i/64].Load()>>(i%64)&1 == 0 }

// put writes row i, which no reader sees yet.
func (s *segment) put(i int, number uint64, v []float32) {
	s.numbers[i] = number
	copy(s.row(i), v)
	var buffer [MaxDimension + codeStep]byte
	code := buffer[:s.stride]
	s.scales[i], s.fine[i], s.rough[i] = quantise(code, v)
	for j := s.dimension; j < s.stride; j++ {
		code[j] = zero
	}
	at := i/lanes*s.block() + i%lanes*4
	for g := range s.groups {
		high, low := s.sketch[at+g*lineSize:][:4], s.rest[at+g*lineSize:][:4]
		part := code[g*groupSize:][:groupSize]
		for b := range high {
			high[b] = part[b]>>4 | part[b+4]&0xf0
			low[b] = part[b]&15 | part[b+4]<<4
		}
	}
	if s.walking != nil {
		copy(s.codes[i*s.stride:], code)
	}
}

// wipe takes row i away: first from every search, then from memory. Its number
// stays, so that rows can be found by theirs.
func (s *segment) wipe(i int) bool {
	bit := uint64(1) << (i % 64)
	if s.dead[i/64].Or(bit)&bit != 0 {
		return false
	}
	s.removed.Add(1)
	clear(s.row(i))
	at := i/lanes*s.block() + i%lanes*4
	for g := range s.groups {
		clear(s.sketch[at+g*lineSize:][:4])
		clear(s.rest[at+g*lineSize:][:4])
	}
	if s.walking != nil {
		clear(s.codes[i*s.stride:][:s.stride])
	}
	s.scales[i], s.fine[i], s.rough[i] = 0, 0, 0
	return true
}

// used is how many bytes of memory the rows so far take.
func (s *segment) used() int64 {
	n := s.len()
	blocks := (n + lanes - 1) / lanes
	return int64(2*pages(blocks*s.block()) + 3*pages(4*n) + pages(8*n) + pages(4*n*s.dimension))
}

// find the first row with at least this number.
func (s *segment) find(number uint64) int {
	return sort.Search(s.len(), func(i int) bool { return s.numbers[i] >= number })
}
