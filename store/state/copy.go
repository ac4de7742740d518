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
	file        *os.File
}

// Copy commits, and holds what was committed. Its file lists its free pages, so
// that who gets it need not look for them.
func (s *State) Copy() (*Copy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.commit(); err != nil {
		return nil, err
	}
	if s.unlisted {
		if err := s.list(); err != nil {
			return nil, err
		}
	}
	file, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Copy{s.index, s.term, s.hash, tx.Size(), tx, file}, nil
}

// WriteTo writes the file. What it reads does not stay in memory: it would drive
// out what the state is being asked for.
func (c *Copy) WriteTo(w io.Writer) (int64, error) {
	return c.tx.WriteTo(&passing{Writer: w, file: c.file})
}

func (c *Copy) Close() error { return errors.Join(c.tx.Rollback(), c.file.Close()) }

// passing has what bbolt copies read once.
type passing struct {
	io.Writer
	file *os.File
}

const (
	// passAtOnce is read and written together: the system is called for it a
	// thirtieth as often as by io.Copy.
	passAtOnce = 1 << 20
	// passForget so many bytes together.
	passForget = 16 << 20
)

// ReadFrom is what bbolt calls for all pages but the first two.
func (p *passing) ReadFrom(r io.Reader) (n int64, err error) {
	b := make([]byte, passAtOnce)
	forgotten := int64(0)
	for err == nil {
		var k int
		if k, err = io.ReadFull(r, b); k > 0 {
			if _, err := p.Write(b[:k]); err != nil {
				return n, err
			}
			n += int64(k)
		}
		if n-forgotten >= passForget {
			if err := disk.Forget(p.file, forgotten, n-forgotten); err != nil {
				return n, err
			}
			forgotten = n
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

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
	if err := errors.Join(s.load(), db.Close()); err != nil {
		return 0, hash, unusable(path, err)
	}
	return s.index, s.hash, nil
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
	if err := errors.Join(s.letGo(), s.db.Close()); err != nil {
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
