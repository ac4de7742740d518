package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/disk"
)

// Copy is the state as of one entry, for another node; the state goes on
// meanwhile. Pages are not used again before it is closed, and Close and Replace
// of the state wait for that: do it soon.
type Copy struct {
	Index, Term uint64
	Hash        [32]byte
	Size        int64 // of the file
	tx          *bolt.Tx
}

// Copy commits, and holds what was committed.
func (s *State) Copy() (*Copy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.commit(); err != nil {
		return nil, err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &Copy{s.index, s.term, s.hash, tx.Size(), tx}, nil
}

// WriteTo writes the file.
func (c *Copy) WriteTo(w io.Writer) (int64, error) { return c.tx.WriteTo(w) }

func (c *Copy) Close() error { return c.tx.Rollback() }

// Examine opens a file that another node sent, and says which entry it ends
// with. Error: ErrUnusable.
func Examine(path string) (index uint64, hash [32]byte, err error) {
	if err := Inspect(path); err != nil {
		return 0, hash, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	db, err := openFile(path)
	if err != nil {
		return 0, hash, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	s := &State{db: db}
	err = errors.Join(s.load(), db.Close())
	return s.index, s.hash, err
}

// Replace puts a file that Examine found good, and that lies on the same file
// system, in the place of the state's. What was applied since is dropped: the
// file holds it. An error is final.
func (s *State) Replace(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if err := syncFile(path); err != nil {
		return s.fail(err)
	}
	own := s.path
	s.unmark()
	if s.open != nil {
		tx := s.open
		s.open, s.rows, s.pending = nil, nil, 0
		if err := tx.Rollback(); err != nil {
			return s.fail(err)
		}
	}
	if err := s.db.Close(); err != nil {
		return s.fail(err)
	}
	if err := os.Rename(path, own); err != nil {
		return s.fail(err)
	}
	if err := disk.SyncDir(filepath.Dir(own)); err != nil {
		return s.fail(err)
	}
	db, err := openFile(own)
	if err != nil {
		return s.fail(err)
	}
	s.db = db
	if err := s.load(); err != nil {
		return s.fail(err)
	}
	return nil
}

// syncFile makes the bytes durable before the name is.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
