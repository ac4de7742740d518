package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

// A file is a header, which is kept in memory, and 256 buckets: the terms by
// their first byte. Numbers are big-endian.
//
//	"GHIDX", format (1 byte), first leaf (8), number of leaves (4)
//	length of the origin (1), the origin
//	ts_mono of the last leaf (8), and of every 256th from the first (8 each)
//	of each bucket: its length (4), its CRC-32C (4)
//	SHA-256 of the header so far
//	the buckets, one after another: see bucket.go
const (
	magic     = "GHIDX"
	format    = 1
	buckets   = 1 << 8
	maxOrigin = 255 // what one length byte can say

	maxHeader = len(magic) + 1 + 8 + 4 + 1 + maxOrigin + 8 + MaxLeaves/stride*8 + buckets*8 + sha256.Size
	// A leaf has five terms at most. Each takes the rest of the term, a length and
	// one place, which have 3 bytes at most: 4.3 MB.
	maxBuckets = int64(MaxLeaves * 5 * (restSize + 3 + 3))
)

// castagnoli is the polynomial that processors have an instruction for. The table
// is made once, by package crc32.
func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// WriteFile puts the index under path, whole and durable.
func WriteFile(path string, b *Builder) error {
	b.mu.RLock()
	data := b.encode()
	b.mu.RUnlock()
	return disk.WriteFile(path, data, 0o600)
}

func (b *Builder) encode() []byte {
	head := append([]byte(magic), format)
	head = binary.BigEndian.AppendUint64(head, uint64(b.first))
	head = binary.BigEndian.AppendUint32(head, uint32(b.count))
	head = append(head, byte(len(b.origin)))
	head = append(head, b.origin...)
	head = binary.BigEndian.AppendUint64(head, uint64(b.last))
	for _, t := range b.times {
		head = binary.BigEndian.AppendUint64(head, uint64(t))
	}
	var body []byte
	for _, terms := range b.sorted() {
		from := len(body)
		for _, t := range terms {
			body = appendTerm(body, t, b.postings[t])
		}
		head = binary.BigEndian.AppendUint32(head, uint32(len(body)-from))
		head = binary.BigEndian.AppendUint32(head, castagnoli(body[from:]))
	}
	sum := sha256.Sum256(head)
	return append(append(head, sum[:]...), body...)
}

// file is an index whose buckets are read when they are asked for.
type file struct {
	path string
	is   span
	at   [buckets + 1]int64 // where each begins; the last is the end of the file
	sums [buckets]uint32
}

// ReadFile opens the index of the leaves of origin from first on. It keeps about
// 5 KiB in memory and no file open: one that vanishes meanwhile is fs.ErrNotExist
// in Find.
func ReadFile(path, origin string, first int64) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, min(info.Size(), int64(maxHeader)))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	x := &file{path: path}
	if err := x.parse(head, info.Size(), origin, first); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return &Index{x}, nil
}

// parse reads the header of a file of size bytes. Its length follows from its
// beginning.
func (x *file) parse(head []byte, size int64, origin string, first int64) error {
	const fixed = len(magic) + 1 + 8 + 4 + 1
	if len(head) < fixed || string(head[:len(magic)+1]) != magic+string(rune(format)) {
		return errors.New("it does not begin as an index of format 1 does")
	}
	x.is.first = int64(binary.BigEndian.Uint64(head[6:]))
	x.is.count = int(binary.BigEndian.Uint32(head[14:]))
	if x.is.count > MaxLeaves {
		return fmt.Errorf("it cannot be of %d leaves", x.is.count)
	}
	strides := (x.is.count + stride - 1) / stride
	named := fixed + int(head[fixed-1])
	end := named + 8 + strides*8 + buckets*8
	if len(head) < end+sha256.Size {
		return errors.New("the header is not whole")
	}
	if sum := sha256.Sum256(head[:end]); !bytes.Equal(sum[:], head[end:end+sha256.Size]) {
		return errors.New("the header is not what its SHA-256 was made of")
	}
	if is := string(head[fixed:named]); is != origin || x.is.first != first {
		return fmt.Errorf("it is of %.255q from leaf %d, not of %s from leaf %d", is, x.is.first, origin, first)
	}
	b := head[named:end]
	next := func() audit.Time {
		t := audit.Time(binary.BigEndian.Uint64(b))
		b = b[8:]
		return t
	}
	x.is.last = next()
	x.is.times = make([]audit.Time, strides)
	for i := range x.is.times {
		x.is.times[i] = next()
	}
	x.at[0] = int64(end + sha256.Size)
	for i := range buckets {
		x.at[i+1] = x.at[i] + int64(binary.BigEndian.Uint32(b[i*8:]))
		x.sums[i] = binary.BigEndian.Uint32(b[i*8+4:])
	}
	if x.at[buckets] != size || x.at[buckets]-x.at[0] > maxBuckets {
		return fmt.Errorf("it has %d bytes, its buckets end at %d", size, x.at[buckets])
	}
	return nil
}

func (x *file) span() span { return x.is }

func (x *file) open() (lookup, error) {
	f, err := os.Open(x.path)
	if err != nil {
		return nil, err
	}
	return &reader{file: x, f: f}, nil
}
