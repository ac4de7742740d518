package state

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// BlobNames gives up to limit names of blobs that rows name, sorted, after one: as
// of the last commit. It does not hold up the state: who looks at all of a large one
// waits for the disk again and again, and what is being agreed on must not. Error:
// ErrDamaged, and then the state has failed; or that of a state that has.
func (s *State) BlobNames(after string, limit int) (names []string, err error) {
	s.mu.Lock()
	var tx *bolt.Tx
	db := s.db
	if err = s.failed; err == nil {
		tx, err = db.Begin(false)
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = func() (err error) {
		defer tolerant(&err)()
		c := tx.Bucket([]byte(blobs.name())).Cursor()
		for k, _ := c.Seek(key(after)); k != nil && len(names) < limit; k, _ = c.Next() {
			if name := string(k); name != after {
				names = append(names, name)
			}
		}
		return nil
	}()
	if closed := tx.Rollback(); err == nil {
		return names, closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, ErrDamaged) && s.db == db { // else that file is gone
		err = s.fail(fmt.Errorf("%w: %w: %s", ErrUnusable, err, s.path))
	}
	return nil, err
}
