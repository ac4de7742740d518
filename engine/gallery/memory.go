package gallery

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is a piece of address space outside the Go heap: the collector neither
// scans nor copies it, no core dump has it, and it is locked page by page as it
// is filled, where RLIMIT_MEMLOCK allows.
type memory struct {
	bytes  []byte
	locked bool
}

// hugePage of x86-64: below it asking for large pages has no effect.
const hugePage = 2 << 20

func allocate(size int) (*memory, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes: %w", ErrMemory, size, err)
	}
	m := &memory{bytes: b}
	if err := unix.Madvise(b, unix.MADV_DONTDUMP); err != nil {
		m.free()
		return nil, fmt.Errorf("keeping templates out of core dumps: %w", err)
	}
	// A child must not inherit it.
	if err := unix.Madvise(b, unix.MADV_DONTFORK); err != nil {
		m.free()
		return nil, fmt.Errorf("keeping templates from child processes: %w", err)
	}
	m.locked = lockOnFault(b) == nil
	if size >= hugePage {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // only speed hangs on it
	}
	return m, nil
}

// lockOnFault keeps pages out of swap from the moment they are first touched
// (mlock2(2), MLOCK_ONFAULT).
func lockOnFault(b []byte) error {
	const mlockOnFault = 1
	_, _, errno := unix.Syscall(unix.SYS_MLOCK2, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), mlockOnFault)
	if errno != 0 {
		return errno
	}
	return nil
}

// free wipes and gives back.
func (m *memory) free() {
	if m.bytes == nil {
		return
	}
	// A page that was never touched would be made only to be wiped.
	for _, part := range resident(m.bytes) {
		clear(part)
	}
	_ = unix.Munmap(m.bytes) // an error leaves zeroes behind
	m.bytes = nil
}

// resident gives the parts of b that have pages; all of it where the kernel
// does not say.
func resident(b []byte) [][]byte {
	page := os.Getpagesize()
	pages := (len(b) + page - 1) / page
	in := make([]byte, pages)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(in)))); errno != 0 {
		return [][]byte{b}
	}
	var parts [][]byte
	for i := 0; i < pages; {
		if in[i]&1 == 0 {
			i++
			continue
		}
		from := i
		for i < pages && in[i]&1 == 1 {
			i++
		}
		parts = append(parts, b[from*page:min(i*page, len(b))])
	}
	return parts
}

// array of count elements of T at an offset, which it moves on to the next page:
// each array begins on a page of its own.
func array[T any](m *memory, at *int, count int) []T {
	v := unsafe.Slice((*T)(unsafe.Pointer(&m.bytes[*at])), count)
	*at += pages(count * int(unsafe.Sizeof(*new(T))))
	return v
}

// pages rounds up to whole pages.
func pages(n int) int {
	p := os.Getpagesize()
	return (n + p - 1) / p * p
}
