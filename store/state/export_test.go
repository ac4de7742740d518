package state

import "io"

// OpenSoonOver is OpenSoon with another size of what is large.
func OpenSoonOver(path string, size int64) (*State, error) { return open(path, false, size) }

// List so many free pages at each commit at most.
func (s *State) List(most int) { s.listed = most }

// Passing writes to w all but the first bytes, which another has written.
func Passing(w io.Writer, written int64) io.Writer { return &passing{w, written} }
