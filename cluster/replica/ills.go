package replica

import (
	"sync"
	"time"
)

// maxIlls bounds what is remembered of blobs: 100,000 of them are 20 MB. Those
// beyond are healed all the same, and nobody is told.
const maxIlls = 100_000

// ills are the blobs that were damaged here or that no node has.
type ills struct {
	mu  sync.Mutex
	all map[string]*ill
}

type ill struct {
	rotten bool
	absent time.Time // since when no node is known to have it
	told   bool      // that it is lost
	seen   time.Time
}

func (s *ills) of(name string) *ill {
	i := s.all[name]
	if i == nil {
		i = &ill{}
		if s.all == nil {
			s.all = map[string]*ill{}
		}
		if len(s.all) < maxIlls {
			s.all[name] = i
		}
	}
	i.seen = time.Now()
	return i
}

func (s *ills) rotten(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(name).rotten = true
}

// cured forgets the blob and says whether it was damaged or lost.
func (s *ills) cured(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.all[name]
	delete(s.all, name)
	return i != nil && (i.rotten || i.told)
}

// absent notes that the state names a blob and no node has it, and says whether
// that is news. Not before it has been so for grace: the others may have removed
// what the state named a moment ago.
func (s *ills) absent(name string, grace time.Duration) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.of(name)
	if i.absent.IsZero() {
		i.absent = time.Now()
	}
	if i.told || time.Since(i.absent) < grace {
		return false
	}
	i.told = true
	return true
}

// missed notes that a blob that was ill is still missing.
func (s *ills) missed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.all[name]; i != nil {
		i.seen = time.Now()
	}
}

// forget those not seen since: the state does not name them any more.
func (s *ills) forget(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, i := range s.all {
		if i.seen.Before(since) {
			delete(s.all, name)
		}
	}
}

func (s *ills) lost() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.all {
		if i.told {
			n++
		}
	}
	return n
}
