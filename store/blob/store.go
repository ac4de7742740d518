package blob

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"gatehouse/store/disk"
)

// defaultReserve stays free for the Raft log and the audit log. Between two
// looks at the free space 64 uploads write 1 GiB; as much again is left.
const defaultReserve = 2 << 30

// Config of a store; the zero value is right for a node.
type Config struct {
	Rand io.Reader                                         // of salts; crypto/rand if nil
	Free func(path string) (free, total uint64, err error) // disk.Free if nil
	// ReserveBytes: with less free space Put refuses. 2 GiB if 0.
	ReserveBytes uint64
}

// Store is the blobs of one data directory. Its methods may be called at once.
type Store struct {
	blobs, temp, quarantine string
	config                  Config

	moving sync.Mutex // one Quarantine at a time
	// Folders that this process has made durable, by the first byte of a name.
	folders [256]struct {
		sync.Mutex
		durable [256]bool
	}

	// The system, which tests make fail.
	create  func(dir string) (file, error)
	syncDir func(dir string) error
}

type file interface {
	io.WriteCloser
	Sync() error
	Name() string
}

// Ref is what to remember of a stored object.
type Ref struct {
	Name         string // hex SHA-256 of the stored bytes
	Stored, Size int64  // bytes on disk, bytes of the object
}

// Open makes what is missing of the folders under the data directory dir.
func Open(dir string, c Config) (*Store, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Free == nil {
		c.Free = disk.Free
	}
	if c.ReserveBytes == 0 {
		c.ReserveBytes = defaultReserve
	}
	blobs := filepath.Join(dir, "blobs")
	s := &Store{
		blobs: blobs, temp: filepath.Join(blobs, "tmp"), quarantine: filepath.Join(dir, "quarantine"),
		config:  c,
		create:  func(dir string) (file, error) { return os.CreateTemp(dir, "put-") }, // mode 0600
		syncDir: disk.SyncDir,
	}
	for _, d := range []string{s.temp, s.quarantine} {
		if err := disk.MkdirAll(d); err != nil {
			return nil, writeError("making the folders of the blobs", err)
		}
	}
	for _, d := range []string{dir, blobs} { // a crash may have come before their fsync
		if err := s.syncDir(d); err != nil {
			return nil, syncError("making the folders of the blobs", err)
		}
	}
	return s, nil
}

// Exists gives the stored size of a blob that is there.
func (s *Store) Exists(name string) (size int64, ok bool, err error) {
	path, err := s.path(name)
	if err != nil {
		return 0, false, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

// Remove deletes a blob, durably. Erasing a person is more than this: the
// person's key must be destroyed.
func (s *Store) Remove(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		return writeError("removing a blob", err)
	}
	if err := s.syncDir(filepath.Dir(path)); err != nil {
		return syncError("removing a blob", err)
	}
	return nil
}

// Clean removes what a crash left unfinished and counts it. It is for the
// start: it would pull the file from under a running Put.
func (s *Store) Clean() (n int, err error) {
	entries, err := os.ReadDir(s.temp)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(s.temp, e.Name())); err != nil {
			return n, writeError("removing an unfinished blob", err)
		}
		n++
	}
	return n, nil
}

// path of a blob; what is no name has none and so is not found.
func (s *Store) path(name string) (string, error) {
	if !isName(name) {
		return "", fmt.Errorf("%w: a name is 64 lower-case hex digits", ErrNotFound)
	}
	return filepath.Join(s.blobs, name[:2], name[2:4], name), nil
}

func isName(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s
}

// open gives a blob's file, its size, and an error that says when it is absent.
func (s *Store) open(name string) (*os.File, int64, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a file", ErrDamaged, path)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
