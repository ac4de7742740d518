package index

import (
	"fmt"
	"sync"

	"gatehouse/store/audit"
)

// MaxLeaves of one index: those of a segment.
const MaxLeaves = 1 << 16

// stride is the number of leaves for one time in an index: 8 bytes for each of
// 256 are little beside the postings, and as many leaves are read at once anyway.
const stride = 256

// Builder is an index that grows, in memory. It is safe for concurrent use.
type Builder struct {
	origin string
	first  int64

	mu       sync.RWMutex
	count    int
	postings map[Term][]uint16
	times    []audit.Time // of each stride's first leaf
	last     audit.Time
}

// NewBuilder makes an index of the leaves of a log from first on.
func NewBuilder(origin string, first int64) *Builder {
	return &Builder{origin: origin, first: first, postings: map[Term][]uint16{}}
}

// Add the next leaf.
func (b *Builder) Add(seq int64, l *audit.Leaf) error {
	terms := Terms(l)
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq != b.first+int64(b.count) || b.count == MaxLeaves || l.Log != b.origin {
		return fmt.Errorf("%w: leaf %d of %s after %d leaves from %d of %s", ErrOrder, seq, l.Log, b.count, b.first, b.origin)
	}
	b.last = max(b.last, l.TSMono)
	if b.count%stride == 0 {
		b.times = append(b.times, b.last)
	}
	for _, t := range terms {
		b.postings[t] = append(b.postings[t], uint16(b.count))
	}
	b.count++
	return nil
}

// Index of the leaves added so far and of those to come: it grows with b.
func (b *Builder) Index() *Index { return &Index{b} }

func (b *Builder) span() span {
	b.mu.RLock()
	defer b.mu.RUnlock()
	// What is appended later does not change what is there.
	return span{first: b.first, count: b.count, times: b.times, last: b.last}
}

func (b *Builder) open() (lookup, error) { return b, nil }

func (b *Builder) find(t Term) ([]uint16, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.postings[t], nil
}

func (b *Builder) close() {}
