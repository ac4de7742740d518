package keys

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// page is the one memory page that holds the root key, the ring keys and the
// log's signing seeds: outside the Go heap, so that the collector does not copy
// it, and left out of core dumps. One page belongs to one unsealing; a handle
// remembers its page and is refused once the store has another or none.
type page struct {
	// mem is a func because fmt, for a verb that does not fit, follows a pointer
	// even out of an unexported field; a func it never looks into.
	mem    func() []byte
	locked bool // kept out of swap
}

// Places in the page. The smallest page on Linux has 4,096 bytes: 128 keys.
const (
	rootAt    = 0
	veilAt    = 1 // hides keys of handles on the heap
	signingAt = 2 // from here on, the ring's. The log's seeds: here and, of two at most, otherAt
	ringAt    = 3
	otherAt   = ringAt + maxRing

	// maxRing keys of the ring fit with room to spare: one a year is usual.
	maxRing = 64
)

func newPage() (*page, error) {
	mem, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for the keys: %w", err)
	}
	p := &page{mem: func() []byte { return mem }}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		p.wipe()
		return nil, fmt.Errorf("keeping the keys out of core dumps: %w", err)
	}
	// Only as good as RLIMIT_MEMLOCK allows; Status says how it went.
	p.locked = unix.Mlock(mem) == nil
	return p, nil
}

func (p *page) key(at int) *key {
	return (*key)(p.mem()[at*keySize:])
}

// take replaces what is the ring's by what another page has of a newer ring, and
// so wipes what that one lacks. Root key and veil stay: handles go on working.
// Nobody uses p meanwhile.
func (p *page) take(from *page) {
	copy(p.mem()[signingAt*keySize:], from.mem()[signingAt*keySize:])
}

func (p *page) wipe() {
	mem := p.mem()
	p.mem = nil
	clear(mem)
	// Unmapping also unlocks. An error leaves a page of zeroes behind.
	_ = unix.Munmap(mem)
}

// veil hides a key that lives on the heap. Without the page it means nothing,
// so wiping the page ends every handle at once.
func (p *page) veil(k *key) ([]byte, error) {
	gcm, err := p.key(veilAt).aead()
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, k[:], nil), nil
}

func (p *page) unveil(veiled []byte, into *key) error {
	gcm, err := p.key(veilAt).aead()
	if err != nil {
		return err
	}
	plaintext, err := gcm.Open(nil, nil, veiled, nil)
	if err != nil {
		return ErrSealed
	}
	copy(into[:], plaintext)
	clear(plaintext)
	return nil
}
