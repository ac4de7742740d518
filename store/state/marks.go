package state

import "slices"

const (
	// markEvery so many indexes of the log an entry is marked: minutes at the
	// rate of a bank, and dear to nobody (design of the cluster).
	markEvery = 1000
	// marksKept reach back as far as the log's trailing entries: whoever is
	// further behind is sent the state, and then has no marks of its own.
	marksKept = 64
)

// Mark is what the state was after an entry: equal on every node that has
// applied it, or one of them has gone another way.
type Mark struct {
	Index uint64
	Hash  [32]byte // the write-set chain there, as Applied gives it
}

// AppliedAt gives the last entry that was applied and its term.
func (s *State) AppliedAt() (index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.index, s.term
}

// Marks are of the first entries at or after each multiple of 1,000 that this
// process applied, the oldest first, 64 at most. Every node marks the same
// entries. There are none after Open and after Replace, until the next one.
// It does not wait for the state, so that a disk that hangs does not hold it up.
func (s *State) Marks() []Mark {
	if m := s.marks.Load(); m != nil {
		return slices.Clone(*m)
	}
	return nil
}

// mark the entry that was applied after another, where it is one that all
// nodes mark. Its caller holds s.mu.
func (s *State) mark(before uint64) {
	if s.index/markEvery <= before/markEvery {
		return
	}
	m := append(s.Marks(), Mark{s.index, s.hash})
	m = m[max(0, len(m)-marksKept):]
	s.marks.Store(&m)
}

// unmark forgets: the file is another.
func (s *State) unmark() { s.marks.Store(nil) }
