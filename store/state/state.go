// Package state is what the cluster agrees on: tables in one bbolt file, and
// Apply, by which a command changes them and its events enter the audit logs.
//
// Apply is a pure function of the state and the command. It must never read a
// clock, a random source, the network, a model or any file but its own, and
// never depend on the order of a map. An entry that it does not understand
// stops it for good: to skip one would be to fork the state.
package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/disk/killpoint"
)

// Format of the file.
const Format = 1

// mapped addresses, more than a file will need: while a file is read for another
// node, bbolt could not map more of it, and every write would wait for that
// reader. They cost no memory.
const mapped = 64 << 30

// maxPending entries are committed together at most: as etcd does, and as was
// measured with the open transaction (architecture, decision 3).
const maxPending = 10_000

var (
	metaFormat  = []byte("format")
	metaApplied = []byte("applied") // index, term, state hash
	metaFound   = []byte("found")
	metaSetup   = []byte("setup_code")
	metaVersion = []byte("active_version")
	metaEpoch   = []byte("epoch")
	metaTime    = []byte("time") // the newest proposed_at
)

// Entry is one command of the Raft log.
type Entry struct {
	Index, Term uint64
	Data        []byte
}

// State is safe for concurrent use.
type State struct {
	path     string
	db       *bolt.DB
	segments *segment.Store // sealed leaves of the audit logs
	marks    atomic.Pointer[[]Mark]
	latest   atomic.Pointer[Mark] // the last entry that was applied

	mu      sync.Mutex
	open    *bolt.Tx // the open write transaction, nil between commits
	rows    *rows
	pending int
	listed  int // free pages are, at each commit, at most
	// The file does not list its free pages, and so often there was nothing to
	// commit since.
	unlisted bool
	quiet    int
	index    uint64
	term     uint64
	hash     [32]byte
	scratch  []byte // of flush
	failed   error

	soon             int64       // a larger file is inspected beside the work
	owed, inspecting *inspection // of the file, where it was left for later
}

// Open opens the file, and the folder audit beside it with the sealed segments
// of the audit logs; or makes it where create is set and it is absent: in
// full, under another name first, so that a crash leaves none or a good one.
// Error: ErrUnusable, where the file is damaged or of another format.
func Open(path string, create bool) (*State, error) { return open(path, create, math.MaxInt64) }

// soonSize is how large a file is read whole before a node serves: ours, five
// seconds of a disk that reads 400 MB a second.
const soonSize = 2 << 30

// OpenSoon is Open for a node that others wait for: a large file is not read
// whole first, where it lists its free pages, nor one that Replace puts in its
// place. The caller has Inspect do that beside its work, now and after each Replace.
func OpenSoon(path string, create bool) (*State, error) { return open(path, create, soonSize) }

func open(path string, create bool, soon int64) (*State, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if !create {
			return nil, fmt.Errorf("%w: %s is missing", ErrUnusable, path)
		}
		if err := makeFile(path); err != nil {
			return nil, err
		}
	}
	owed, err := inspectLater(path, soon)
	if err == nil && !owed {
		err = Inspect(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrUnusable, path, err)
	}
	s := &State{path: path, db: db, soon: soon, listed: maxListed, segments: segment.OpenStore(filepath.Join(filepath.Dir(path), "audit"))}
	err = s.load()
	if err == nil && owed {
		err = s.owe()
	}
	if err != nil {
		db.Close()
		return nil, unusable(path, err)
	}
	return s, nil
}

// unusable is an error of a file, as all of them are.
func unusable(path string, err error) error {
	if !errors.Is(err, ErrUnusable) {
		err = fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func openFile(path string) (db *bolt.DB, err error) {
	defer tolerant(&err)() // what inspect did not see
	// The freelist is a map: R6 of the cluster research. commit says whether it is
	// written. The lock is of this process alone, so waiting for it has no use.
	db, err = bolt.Open(path, 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, Timeout: 1e9, InitialMmapSize: mapped})
	if err != nil {
		return nil, err
	}
	if err := addTables(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// addTables makes those that came after the file was made. They are part of its
// hash once a row is in them.
func addTables(db *bolt.DB) error {
	missing := false
	err := db.View(func(tx *bolt.Tx) error {
		// A new file; or one that is damaged or of another format, of which load tells.
		if m := tx.Bucket([]byte(meta.name())); m == nil || !bytes.Equal(m.Get(metaFormat), []byte{Format}) {
			return nil
		}
		for t := members; t < tableCount; t++ {
			missing = missing || tx.Bucket([]byte(t.name())) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	// The file may have been chosen for a later inspection, as it lists its free pages.
	db.NoFreelistSync = false
	defer func() { db.NoFreelistSync = true }()
	return db.Update(func(tx *bolt.Tx) error {
		for t := members; t < tableCount; t++ {
			if _, err := tx.CreateBucketIfNotExists([]byte(t.name())); err != nil {
				return err
			}
		}
		return nil
	})
}

func makeFile(path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := openFile(temp)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for t := range tableCount {
			if _, err := tx.CreateBucket([]byte(t.name())); err != nil {
				return err
			}
		}
		m := tx.Bucket([]byte(meta.name()))
		return errors.Join(m.Put(metaFormat, []byte{Format}), m.Put(metaApplied, make([]byte, 48)))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

func (s *State) load() (err error) {
	defer tolerant(&err)()
	return s.db.View(func(tx *bolt.Tx) error {
		r, err := rowsOf(tx)
		if err != nil {
			return err
		}
		if f := r.get(meta, metaFormat); len(f) != 1 || f[0] != Format {
			return fmt.Errorf("%w: format %v; this program reads %d", ErrUnusable, f, Format)
		}
		a := r.get(meta, metaApplied)
		if len(a) != 48 {
			return fmt.Errorf("%w: the applied index is damaged", ErrUnusable)
		}
		s.index, s.term = binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(a[8:])
		copy(s.hash[:], a[16:])
		s.latest.Store(&Mark{s.index, s.hash})
		return nil
	})
}

// begin opens the write transaction where there is none. With s.mu held.
func (s *State) begin() error {
	if s.failed != nil {
		return s.failed
	}
	if s.open != nil {
		return nil
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return s.fail(err)
	}
	r, err := rowsOf(tx)
	if err != nil {
		return s.fail(errors.Join(err, tx.Rollback()))
	}
	s.open, s.rows = tx, r
	return nil
}

// fail remembers the first broken promise; nothing is applied or read after
// it.
func (s *State) fail(err error) error {
	if s.failed == nil {
		s.failed = err
		if !errors.Is(err, ErrUnusable) && !errors.Is(err, command.ErrUnknown) && !errors.Is(err, ErrClosed) {
			s.failed = fmt.Errorf("%w: %w", ErrUnusable, err)
		}
	}
	return s.failed
}

func (s *State) applied() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.index)
	b = binary.BigEndian.AppendUint64(b, s.term)
	return append(b, s.hash[:]...)
}

// Applied gives the index of the last entry that the state holds, and the
// write-set chain there: equal on every node at the same index.
// It does not wait for the state, so that a disk that hangs does not hold it up.
func (s *State) Applied() (index uint64, hash [32]byte) {
	m := s.latest.Load()
	return m.Index, m.Hash
}

// Path of the file.
func (s *State) Path() string { return s.path }

// Pending is the number of entries that the next commit writes.
func (s *State) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// Size of the file, and how much of it is free pages; 0 once it is closed or has
// failed.
func (s *State) Size() (size, free int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, 0
	}
	st := s.db.Stats()
	if i, err := os.Stat(s.db.Path()); err == nil {
		size = i.Size()
	}
	return size, int64(st.FreePageN) * int64(s.db.Info().PageSize)
}

// Close commits and closes the file.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.failed, ErrClosed) {
		return nil
	}
	err := s.commit()
	if err == nil && s.unlisted {
		err = s.list()
	}
	if s.open != nil {
		err = errors.Join(err, s.open.Rollback())
		s.open, s.rows = nil, nil
	}
	s.failed = ErrClosed
	return errors.Join(err, s.letGo(), s.segments.Close(), s.db.Close())
}

// Apply applies entries in order and gives an answer for each; those at or
// below the applied index are skipped, with a nil answer. Error: a broken
// promise (ErrUnusable, command.ErrUnknown): the process must end.
func (s *State) Apply(entries []Entry) (_ []*command.Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.guard(&err)()
	answers := make([]*command.Answer, len(entries))
	for i, e := range entries {
		if e.Index <= s.index {
			continue
		}
		if err := s.begin(); err != nil {
			return nil, err
		}
		a, err := s.one(e)
		if err != nil {
			return nil, s.fail(fmt.Errorf("entry %d: %w", e.Index, err))
		}
		answers[i] = a
		if s.pending++; s.pending >= maxPending {
			if err := s.commit(); err != nil {
				return nil, err
			}
		}
	}
	return answers, nil
}

// one applies one entry.
func (s *State) one(e Entry) (*command.Answer, error) {
	c, payload, err := command.Decode(e.Data)
	if err != nil {
		return nil, err
	}
	if c.Type == command.Type_SEAL_SEGMENT {
		// bbolt splits a page when it is committed: to take rows off the front of
		// one that has grown to a segment moves all of it for each.
		if err := s.commit(); err != nil {
			return nil, err
		}
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	a := &apply{tx: tx{rows: s.rows}, Command: c, entry: e, answer: &command.Answer{Index: e.Index}, segments: s.segments}
	if err := a.run(payload); err != nil {
		var r refused
		if !errors.As(err, &r) {
			return nil, err
		}
		a = &apply{tx: tx{rows: s.rows}, Command: c, entry: e, answer: &command.Answer{Index: e.Index, Refusal: string(r.code)}}
		if err := a.recordRefusal(r.code); err != nil {
			return nil, err
		}
	}
	hash, err := a.flush(s.hash, &s.scratch)
	if err != nil {
		return nil, err
	}
	killpoint.At(killpoint.Applying)
	before := s.index
	s.index, s.term, s.hash = e.Index, e.Term, hash
	s.latest.Store(&Mark{e.Index, hash})
	s.mark(before)
	return a.answer, nil
}

// View reads the state as of the last applied entry. The function must be
// short, and keeps nothing of the View.
func (s *State) View(read func(*View) error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.guard(&err)()
	if err := s.begin(); err != nil {
		return err
	}
	return read(&View{s.rows, s.index})
}
