package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// inspection of a large file that is owed: bbolt reads no page before it is asked
// for, where the file lists its free pages.
type inspection struct {
	tx   *bolt.Tx // of the file as it was opened, so that no page of it is used again meanwhile
	file *os.File
	free *freePages
	stop chan struct{} // closed where the state is being closed or replaced
	done chan struct{} // closed where nothing of it is used any more
}

// owe the inspection of the file that was just opened.
func (s *State) owe() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	free, err := freeList(f, int64(s.db.Info().PageSize))
	if err == nil && free != nil && free.txid != uint64(tx.ID()) {
		err = errors.New("its newest list of free pages is not that of its newest state")
	}
	if err != nil {
		return errors.Join(err, tx.Rollback(), f.Close())
	}
	s.owed = &inspection{tx: tx, file: f, free: free, stop: make(chan struct{}), done: make(chan struct{})}
	return nil
}

func (i *inspection) close() error {
	defer close(i.done)
	return errors.Join(i.tx.Rollback(), i.file.Close())
}

// letGo of the file, which nothing reads any more then. With s.mu held.
func (s *State) letGo() (err error) {
	if s.owed != nil {
		err = s.owed.close()
		s.owed = nil
	}
	if s.inspecting != nil {
		close(s.inspecting.stop)
		<-s.inspecting.done
		s.inspecting = nil
	}
	return err
}

var errLetGo = errors.New("the file is closed")

// Inspect reads every page of a file that OpenSoon has not, while the state goes
// on; at once nil where there is none. Before so many bytes are read, it asks
// may, whose error ends it. Errors: ErrDamaged, and then the state has failed;
// ErrClosed where the file was closed or replaced meanwhile; may's.
func (s *State) Inspect(may func(bytes int) error) error {
	s.mu.Lock()
	i := s.owed
	if i == nil {
		s.mu.Unlock()
		return nil
	}
	s.owed, s.inspecting = nil, i
	s.mu.Unlock()
	ask := func(bytes int) error {
		select {
		case <-i.stop:
			return errLetGo
		default:
			return may(bytes)
		}
	}
	var asked error
	err := func() (err error) {
		defer tolerant(&err)()
		return inspect(&askingReader{i.file, ask, &asked}, i.tx, i.free)
	}()
	closed := i.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inspecting != i { // another file is in its place, or none
		return ErrClosed
	}
	s.inspecting = nil
	switch {
	case asked != nil:
		return asked
	case err != nil:
		return s.fail(fmt.Errorf("%w: %w: %s: %v", ErrUnusable, ErrDamaged, s.path, err))
	}
	return closed
}

type askingReader struct {
	file  io.ReaderAt
	ask   func(bytes int) error
	asked *error
}

func (r *askingReader) ReadAt(b []byte, off int64) (int, error) {
	if *r.asked = r.ask(len(b)); *r.asked != nil {
		return 0, *r.asked
	}
	return r.file.ReadAt(b, off)
}

// tolerant makes any panic an error, also that over a byte outside the file. Call
// it deferred.
func tolerant(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			*err = errors.Join(*err, fmt.Errorf("%w: %v", ErrDamaged, p))
		}
	}
}

// guard makes what bbolt does upon a damaged page the end of the state, which its
// callers know, and not that of the process. Call it deferred, with s.mu held; a
// panic of another kind goes on.
func (s *State) guard(err *error) func() {
	before := debug.SetPanicOnFault(true) // a page that lies outside the file
	return func() {
		debug.SetPanicOnFault(before)
		p := recover()
		if p == nil {
			return
		}
		if !ofDamage(p) {
			panic(p)
		}
		*err = s.fail(fmt.Errorf("%w: %w: %s: %v", ErrUnusable, ErrDamaged, s.path, p))
	}
}

// ofDamage tells whether a panic is bbolt's, or that of a byte outside the file.
func ofDamage(p any) bool {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return true
	}
	calls := make([]uintptr, 16)
	frames := runtime.CallersFrames(calls[:runtime.Callers(3, calls)]) // above this and the deferred one
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			return strings.HasPrefix(f.Function, "go.etcd.io/bbolt")
		}
		if !more {
			return false
		}
	}
}

// bbolt's page of meta (its package internal/common): a header; magic, version,
// page size and flags of 4 bytes; the root's page and sequence, the page of the
// list of free pages, the number of pages, the transaction and a checksum,
// FNV-1a, of what is before it, of 8 bytes.
const (
	metaSize     = 64
	metaFree     = 32
	metaPages    = 40
	metaTx       = 48
	metaChecksum = 56
	metaMagic    = 0xED0CDAED
	noFreeList   = ^uint64(0)
	freePage     = 0x10 // flag of a page of the list
	manyFree     = 0xFFFF
)

// freePages is the list of them in a file, and of which transaction.
type freePages struct {
	txid uint64
	ids  []uint64
}

// freeList reads the list of free pages; nil where the file has none. It must be
// in order and within the file: bbolt believes it.
func freeList(f io.ReaderAt, pageSize int64) (*freePages, error) {
	var newest []byte
	for at := range int64(2) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := f.ReadAt(b, at*pageSize); err != nil {
			return nil, err
		}
		m := b[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaChecksum])
		good := binary.NativeEndian.Uint32(m) == metaMagic && binary.NativeEndian.Uint64(m[metaChecksum:]) == sum.Sum64()
		if good && (newest == nil || binary.NativeEndian.Uint64(m[metaTx:]) > binary.NativeEndian.Uint64(newest[metaTx:])) {
			newest = m
		}
	}
	if newest == nil {
		return nil, errors.New("both of its pages of meta are damaged")
	}
	at, end := binary.NativeEndian.Uint64(newest[metaFree:]), binary.NativeEndian.Uint64(newest[metaPages:])
	if at == noFreeList {
		return nil, nil
	}
	list := &freePages{txid: binary.NativeEndian.Uint64(newest[metaTx:])}
	return list, list.read(f, pageSize, at, end)
}

func (l *freePages) read(f io.ReaderAt, pageSize int64, at, end uint64) error {
	bad := fmt.Errorf("page %d, the list of free pages, is damaged", at)
	b := make([]byte, pageHeader+8)
	if at < 2 || at >= end {
		return bad
	}
	if _, err := f.ReadAt(b, int64(at)*pageSize); err != nil {
		return err
	}
	count, more := uint64(binary.NativeEndian.Uint16(b[10:])), uint64(binary.NativeEndian.Uint32(b[12:]))
	if binary.NativeEndian.Uint64(b) != at || binary.NativeEndian.Uint16(b[8:]) != freePage || more >= end-at {
		return bad
	}
	from := int64(pageHeader)
	if count == manyFree { // the first says how many there are
		count, from = binary.NativeEndian.Uint64(b[pageHeader:]), pageHeader+8
	}
	if count > end || from+8*int64(count) > int64(1+more)*pageSize {
		return bad
	}
	b = make([]byte, 8*count)
	if _, err := f.ReadAt(b, int64(at)*pageSize+from); err != nil {
		return err
	}
	last := uint64(1)
	for ; len(b) > 0; b = b[8:] {
		id := binary.NativeEndian.Uint64(b)
		if id <= last || id >= end || id >= at && id <= at+more {
			return bad
		}
		l.ids, last = append(l.ids, id), id
	}
	return nil
}

// inspectLater tells whether a file is so large that it is inspected once it
// serves, and lists its free pages, which bbolt would look for in all the others.
func inspectLater(path string, soon int64) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= soon {
		return false, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: 1e9})
	if err != nil {
		return false, err
	}
	pageSize, size := int64(db.Info().PageSize), int64(0)
	err = errors.Join(db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }), db.Close())
	if err != nil || size > info.Size() {
		return false, err // Inspect says what is wrong
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := freeList(f, pageSize)
	return free != nil, err
}
