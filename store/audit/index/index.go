package index

import (
	"sort"

	"gatehouse/store/audit"
)

// Index of some leaves of a log that follow each other. It is safe for concurrent
// use.
type Index struct{ source }

// source is a Builder or a file.
type source interface {
	span() span
	open() (lookup, error)
}

// lookup gives the places of a term, counted from the first leaf, ascending.
type lookup interface {
	find(Term) ([]uint16, error)
	close()
}

// span is which leaves an index is of, and when they were.
type span struct {
	first int64
	count int
	times []audit.Time // of each stride's first leaf
	last  audit.Time   // of the last leaf
}

// Range gives the leaves [from, to) that the index is of.
func (x *Index) Range() (from, to int64) {
	s := x.span()
	return s.first, s.first + int64(s.count)
}

// Find gives the leaves of [from, to) that have all terms, ascending; without
// terms, all that are in the index.
func (x *Index) Find(terms []Term, from, to int64) ([]int64, error) {
	s := x.span()
	from, to = max(from, s.first), min(to, s.first+int64(s.count))
	if from >= to {
		return nil, nil
	}
	if len(terms) == 0 {
		all := make([]int64, to-from)
		for i := range all {
			all[i] = from + int64(i)
		}
		return all, nil
	}
	l, err := x.open()
	if err != nil {
		return nil, err
	}
	defer l.close()
	var common []uint16
	for i, t := range terms {
		places, err := l.find(t)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			common = cut(places, int(from-s.first), int(to-s.first))
		} else {
			common = intersect(common, places)
		}
		if len(common) == 0 {
			return nil, nil
		}
	}
	seqs := make([]int64, len(common))
	for i, p := range common {
		seqs[i] = s.first + int64(p)
	}
	return seqs, nil
}

// cut gives those of [from, to).
func cut(places []uint16, from, to int) []uint16 {
	at := func(end int) int { return sort.Search(len(places), func(i int) bool { return int(places[i]) >= end }) }
	return places[at(from):at(to)]
}

// intersect gives what is in both, in new memory.
func intersect(a, b []uint16) []uint16 {
	var both []uint16
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x < y:
			a = a[1:]
		case x > y:
			b = b[1:]
		default:
			both = append(both, x)
			a, b = a[1:], b[1:]
		}
	}
	return both
}

// Bounds gives leaves [from, to) with all whose ts_mono lies in [fromTS, toTS],
// and at each end fewer than 256 others: the caller looks at the time of each. It
// counts on times that do not fall, which ts_mono promises.
func (x *Index) Bounds(fromTS, toTS audit.Time) (from, to int64) {
	s := x.span()
	end := s.first + int64(s.count)
	if s.count == 0 || fromTS > toTS || s.last < fromTS || s.times[0] > toTS {
		return s.first, s.first
	}
	from, to = s.first, end
	// The first leaf of the stride before the first one that is late enough is
	// too early itself.
	if i := s.strides(func(t audit.Time) bool { return t >= fromTS }); i > 0 {
		from = s.first + int64(i-1)*stride + 1
	}
	if i := s.strides(func(t audit.Time) bool { return t > toTS }); i < len(s.times) {
		to = s.first + int64(i)*stride
	}
	return from, to
}

// strides gives how many begin before it is late.
func (s *span) strides(late func(audit.Time) bool) int {
	return sort.Search(len(s.times), func(i int) bool { return late(s.times[i]) })
}
