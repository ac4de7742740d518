package segment

import (
	"errors"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// with calls do with an open segment. One that do finds damaged is read anew the
// next time, for the file may be replaced meanwhile.
func (s *Store) with(origin string, root tlog.Hash, n int64, do func(*file) error) error {
	o, err := s.opened(identity{origin, n, root})
	if err != nil {
		return err
	}
	err = do(o.file)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.users--
	if o.place != nil && errors.Is(err, ErrDamaged) {
		s.discard(o)
	} else {
		s.closeUnused(o)
	}
	return err
}

func (s *Store) opened(id identity) (*opened, error) {
	if o, err := s.take(id); o != nil || err != nil {
		return o, err
	}
	path, err := s.Path(id.origin, id.n)
	if err != nil {
		return nil, err
	}
	dec, err := s.decoder()
	if err != nil {
		return nil, err
	}
	f, c, err := open(path, id, dec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return nil, os.ErrClosed
	}
	// Another may have opened it meanwhile. The later one stays: it cannot be of
	// a file that was replaced since.
	if old := s.open[id]; old != nil {
		s.discard(old)
	}
	o := &opened{file: f, Closer: c, users: 1}
	o.place = s.used.PushFront(o)
	s.open[id] = o
	for s.used.Len() > s.maxOpen {
		s.discard(s.used.Back().Value.(*opened))
	}
	return o, nil
}

// take gives what is open already, or nil.
func (s *Store) take(id identity) (*opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	o := s.open[id]
	if o == nil {
		return nil, nil
	}
	o.users++
	s.used.MoveToFront(o.place)
	return o, nil
}

// discard takes a file out of those that are open. s.mu is held.
func (s *Store) discard(o *opened) error {
	delete(s.open, o.identity)
	s.used.Remove(o.place)
	o.place = nil
	return s.closeUnused(o)
}

func (s *Store) closeUnused(o *opened) error {
	if o.place != nil || o.users > 0 {
		return nil
	}
	s.pages.forget(o.file)
	return o.Close()
}

// drop closes a file, for it was replaced.
func (s *Store) drop(id identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.open[id]; o != nil {
		s.discard(o)
	}
}
