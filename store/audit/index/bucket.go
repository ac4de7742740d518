package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// restSize is what a bucket holds of a term: its first byte is the bucket's number.
const restSize = len(Term{}) - 1

// sorted gives the terms of each bucket in their order.
func (b *Builder) sorted() (terms [buckets][]Term) {
	for t := range b.postings {
		terms[t[0]] = append(terms[t[0]], t)
	}
	for _, in := range terms {
		slices.SortFunc(in, func(a, b Term) int { return bytes.Compare(a[:], b[:]) })
	}
	return terms
}

// appendTerm writes one term of a bucket: its rest, the length of what follows,
// and for each place how many places lie between it and the one before. The
// length and the distances are varints.
func appendTerm(b []byte, t Term, places []uint16) []byte {
	b = append(b, t[1:]...)
	packed := make([]byte, 0, 3*len(places)) // a varint below 2¹⁶ has 3 bytes at most
	next := 0
	for _, p := range places {
		packed = binary.AppendUvarint(packed, uint64(int(p)-next))
		next = int(p) + 1
	}
	return append(binary.AppendUvarint(b, uint64(len(packed))), packed...)
}

var (
	errShort  = errors.New("a term is cut off")
	errPlaces = errors.New("a term has places that cannot be")
)

// findTerm gives the places of a term in its bucket, all below count.
func findTerm(bucket []byte, t Term, count int) ([]uint16, error) {
	for len(bucket) > 0 {
		if len(bucket) < restSize {
			return nil, errShort
		}
		rest := bucket[:restSize]
		n, used := binary.Uvarint(bucket[restSize:])
		if used <= 0 || n > uint64(len(bucket)-restSize-used) {
			return nil, errShort
		}
		packed := bucket[restSize+used:][:n]
		switch bytes.Compare(rest, t[1:]) {
		case 0:
			return unpack(packed, count)
		case 1: // they are sorted
			return nil, nil
		}
		bucket = bucket[restSize+used+int(n):]
	}
	return nil, nil
}

func unpack(packed []byte, count int) ([]uint16, error) {
	places := make([]uint16, 0, min(len(packed), count))
	for next := 0; len(packed) > 0; {
		gap, used := binary.Uvarint(packed)
		if used <= 0 || gap >= uint64(count-next) {
			return nil, errPlaces
		}
		next += int(gap)
		places = append(places, uint16(next))
		next++
		packed = packed[used:]
	}
	return places, nil
}

// reader is a file that is open for one search.
type reader struct {
	*file
	f   *os.File
	buf []byte
}

func (r *reader) close() { r.f.Close() }

func (r *reader) find(t Term) ([]uint16, error) {
	i := int(t[0])
	size := int(r.at[i+1] - r.at[i]) // at most maxBuckets
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	b := r.buf[:size]
	_, err := r.f.ReadAt(b, r.at[i])
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil || castagnoli(b) != r.sums[i] {
		return nil, fmt.Errorf("%w: %s: the bucket of %d bytes at byte %d", ErrDamaged, r.path, size, r.at[i])
	}
	places, err := findTerm(b, t, r.is.count)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: the bucket at byte %d: %w", ErrDamaged, r.path, r.at[i], err)
	}
	return places, nil
}
