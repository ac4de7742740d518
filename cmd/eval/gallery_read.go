package main

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sketchBytes is what a scan reads for one probe: half a byte a value, and two
// float32 a row.
func sketchBytes(rows, dimension int) int { return rows * (4*((dimension+7)/8) + 8) }

// plain is memory that is only read, to see how fast that can be.
type plain struct {
	bytes []byte
	words []uint64
}

// newPlain has large pages where the system gives them, as the gallery has.
func newPlain(size int) (*plain, error) {
	b, err := unix.Mmap(-1, 0, (size+63)/64*64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // it is slower without
	p := &plain{bytes: b, words: unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/8)}
	for i := range p.words { // or every page would be the same one, of zeroes
		p.words[i] = uint64(i)
	}
	return p, nil
}

func (p *plain) free() error { return unix.Munmap(p.bytes) }

// read adds up all words, a part on each core, and gives the seconds that took.
func (p *plain) read(cores int) (seconds float64, sum uint64) {
	var group sync.WaitGroup
	sums := make([]uint64, cores)
	step := len(p.words) / cores / 8 * 8
	begin := time.Now()
	for c := range cores {
		group.Go(func() {
			part := p.words[c*step:]
			if c < cores-1 {
				part = part[:step]
			}
			sums[c] = sumOf(part)
		})
	}
	group.Wait()
	seconds = time.Since(begin).Seconds()
	for _, s := range sums {
		sum += s
	}
	return seconds, sum
}

// sumOf has four sums, so that no addition waits for the one before it.
func sumOf(words []uint64) uint64 {
	var a, b, c, d uint64
	for ; len(words) >= 8; words = words[8:] {
		w := words[:8:8]
		a += w[0] + w[4]
		b += w[1] + w[5]
		c += w[2] + w[6]
		d += w[3] + w[7]
	}
	for _, w := range words {
		a += w
	}
	return a + b + c + d
}
