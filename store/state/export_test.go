package state

// OpenSoonOver is OpenSoon with another size of what is large.
func OpenSoonOver(path string, size int64) (*State, error) { return open(path, false, size) }

// List so many free pages at each commit at most.
func (s *State) List(most int) { s.listed = most }
