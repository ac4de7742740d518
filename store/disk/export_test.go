package disk

// Cached has a stream write as on a file system that knows no other way.
func (s *Stream) Cached() {
	_ = s.past(false)
	s.direct = false
}
