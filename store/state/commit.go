package state

const (
	// maxListed free pages are listed in the file at each commit, which are 512 KiB
	// at most: a start then need not read every page to find them. Where there are
	// more, as after many rows were deleted, the list would cost more than the
	// commit (R6 of the cluster research): it is written at the end, and once there
	// was nothing to commit quietCommits times, a second of a node that is not asked
	// for anything. A kill before that costs the next start.
	maxListed    = 64 << 10
	quietCommits = 10
)

// Commit writes what was applied since the last commit to the disk, synced.
// An error is final.
func (s *State) Commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlisted && s.pending == 0 {
		if s.quiet++; s.quiet >= quietCommits {
			return s.list()
		}
	}
	return s.commit()
}

func (s *State) commit() (err error) {
	defer s.guard(&err)()
	if s.failed != nil {
		return s.failed
	}
	if s.open == nil || s.pending == 0 {
		return nil
	}
	if err := s.rows.buckets[meta].Put(metaApplied, s.applied()); err != nil {
		return s.fail(err)
	}
	tx := s.open
	s.open, s.rows, s.pending = nil, nil, 0
	st := s.db.Stats()
	s.db.NoFreelistSync = st.FreePageN+st.PendingPageN > s.listed
	s.unlisted, s.quiet = s.db.NoFreelistSync, 0
	if err := tx.Commit(); err != nil {
		return s.fail(err)
	}
	return nil
}

// list the free pages, however many.
func (s *State) list() (err error) {
	defer s.guard(&err)()
	if s.failed != nil {
		return s.failed
	}
	if s.open != nil { // nothing was applied in it
		tx := s.open
		s.open, s.rows = nil, nil
		if err := tx.Rollback(); err != nil {
			return s.fail(err)
		}
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return s.fail(err)
	}
	s.db.NoFreelistSync, s.unlisted = false, false
	if err := tx.Commit(); err != nil {
		return s.fail(err)
	}
	return nil
}
