package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

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
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &Copy{s.index, s.term, s.hash, tx.Size(), tx}, nil
}

// WriteTo writes the file. What it reads goes past the system's cache, where that
// can be: it would drive out what the state is being asked for.
func (c *Copy) WriteTo(w io.Writer) (n int64, err error) {
	c.tx.WriteFlag = unix.O_DIRECT
	if n, err = c.tx.WriteTo(&passing{Writer: w}); errors.Is(err, unix.EINVAL) {
		c.tx.WriteFlag = 0
		n, err = c.tx.WriteTo(&passing{w, n})
	}
	return n, err
}

func (c *Copy) Close() error { return c.tx.Rollback() }

// passing has bbolt read and write so much together: the system is called for it an
// eighth as often as by io.Copy, and others on the same cores wait half a millisecond.
type passing struct {
	io.Writer
	written int64 // of the beginning, by another before
}

const passAtOnce = 256 << 10

func (p *passing) Write(b []byte) (int, error) {
	k := min(p.written, int64(len(b)))
	p.written -= k
	n, err := p.Writer.Write(b[k:])
	return n + int(k), err
}

// ReadFrom is what bbolt calls for all pages but the first two.
func (p *passing) ReadFrom(r io.Reader) (n int64, err error) {
	b := make([]byte, passAtOnce)
	for err == nil {
		var k int
		if k, err = io.ReadFull(r, b); k > 0 {
			if _, err := p.Write(b[:k]); err != nil {
				return n, err
			}
			n += int64(k)
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

// Examine opens a file that another node sent, and says which entry it ends
// with. One that is large, of a state that was opened by OpenSoon, is not read whole
// here but by Inspect, once it is in its place. Error: ErrUnusable.
func (s *State) Examine(path string) (index uint64, hash [32]byte, err error) {
	later, err := inspectLater(path, s.soon)
	if err == nil && !later {
		err = Inspect(path)
	}
	if err != nil {
		return 0, hash, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	db, err := openFile(path)
	if err != nil {
		return 0, hash, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	o := &State{db: db}
	if err := errors.Join(o.load(), db.Close()); err != nil {
		return 0, hash, unusable(path, err)
	}
	return o.index, o.hash, nil
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
	later, err := inspectLater(own, s.soon)
	if err != nil {
		return s.fail(unusable(own, err))
	}
	db, err := openFile(own)
	if err != nil {
		return s.fail(err)
	}
	s.db = db
	if err := s.load(); err != nil {
		return s.fail(err)
	}
	if later {
		if err := s.owe(); err != nil {
			return s.fail(unusable(own, err))
		}
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
