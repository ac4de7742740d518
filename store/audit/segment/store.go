package segment

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

const (
	// maxOpen segments: each takes a file descriptor and 24 KiB.
	maxOpen = 128
	// maxCache bytes: some hundred bundles of ordinary leaves, or a handful of
	// the largest.
	maxCache = 32 << 20
)

// Store is the folder of a node's segments: DIR/<log>/e<epoch>/<n>.seg. It is
// safe for concurrent use.
type Store struct {
	dir     string
	maxOpen int
	files   files
	decoder func() (*zstd.Decoder, error)
	pages   cache
	writing sync.Mutex
	whole   map[identity]seal // files that this store has written or verified

	mu     sync.Mutex
	closed bool
	open   map[identity]*opened
	used   list.List // of *opened, the latest first
}

// seal tells whether a file is still the one that was looked at.
type seal struct {
	size int64
	time time.Time
}

func sealOf(path string) (seal, error) {
	i, err := os.Stat(path)
	if err != nil {
		return seal{}, err
	}
	return seal{i.Size(), i.ModTime()}, nil
}

// opened is a file that is closed once it is no longer in Store.open and nobody
// reads it.
type opened struct {
	*file
	io.Closer
	place *list.Element // nil once it is not in Store.open
	users int
}

// OpenStore gives the store in dir, which need not be there yet.
func OpenStore(dir string) *Store {
	return &Store{
		dir: dir, maxOpen: maxOpen, files: system{}, decoder: sync.OnceValues(newDecoder),
		pages: cache{max: maxCache}, open: map[identity]*opened{},
	}
}

// Path of segment n of a log, whether it is there or not.
func (s *Store) Path(origin string, n int64) (string, error) {
	id := identity{origin: origin, n: n}
	if err := id.check(); err != nil {
		return "", err
	}
	_, tenant, epoch, err := audit.ParseOrigin(origin)
	return filepath.Join(s.dir, tenant, fmt.Sprintf("e%d", epoch), fmt.Sprintf("%08d.seg", n)), err
}

// Write makes segment n of a log as the function Write does. A whole file that is
// there is kept, a damaged one replaced, and what a crash left unfinished removed.
func (s *Store) Write(origin string, n int64, root tlog.Hash, leaves Source) error {
	id := identity{origin, n, root}
	path, err := s.Path(origin, n)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	dir := filepath.Dir(path)
	if err := disk.MkdirAll(dir); err != nil {
		return err
	}
	if err := s.clean(dir); err != nil {
		return err
	}
	// Apply comes here with the state held, for a file that was just made.
	if now, err := sealOf(path); err == nil && s.whole[id] == now {
		return nil
	}
	switch err := s.Verify(origin, root, n); {
	case err == nil:
		return errors.Join(s.files.syncDir(dir), s.remember(id, path)) // a crash may have come before it
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged):
		return err
	}
	err = write(s.files, path, id, leaves)
	s.drop(id)
	if err == nil {
		err = s.remember(id, path)
	}
	return err
}

// remember that the file is whole; with s.writing held.
func (s *Store) remember(id identity, path string) error {
	now, err := sealOf(path)
	if s.whole == nil {
		s.whole = map[identity]seal{}
	}
	clear(s.whole) // the next is another segment
	s.whole[id] = now
	return err
}

// clean removes what a crash left unfinished in a folder of segments.
func (s *Store) clean(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".seg"+tempSuffix) {
			err = errors.Join(err, s.files.remove(filepath.Join(dir, name)))
		}
	}
	return err
}

// Leaf gives leaf seq of a log; root is that of its segment, seq>>Height.
func (s *Store) Leaf(origin string, root tlog.Hash, seq int64) (leaf []byte, err error) {
	i := int(seq & (Leaves - 1))
	err = s.with(origin, root, seq>>Height, func(f *file) error {
		p := page{f, firstEntries + i/width}
		u, ok := s.pages.get(p).(*bundle)
		if !ok {
			u = new(bundle)
			var t tree
			var m space
			if err := f.entries(i/width, u, &t, &m); err != nil {
				return err
			}
			s.pages.put(p, u, cap(u.b))
		}
		leaf = bytes.Clone(u.leaf(i % width))
		return nil
	})
	return leaf, err
}

// Hash gives stored hash index of a level below Height, counted in the whole log
// as tlog.SplitStoredHashIndex does. It lies in segment n, whose root is root.
func (s *Store) Hash(origin string, root tlog.Hash, n int64, level int, index int64) (h tlog.Hash, err error) {
	if level < 0 || level >= Height || index < 0 || index>>(Height-level) != n {
		return h, fmt.Errorf("%w: hash %d of level %d in segment %d", ErrSegment, index, level, n)
	}
	i := index - n<<(Height-level) // in the segment
	err = s.with(origin, root, n, func(f *file) error {
		if level >= tileHeight {
			h = f.top.at(level-tileHeight, i)
			return nil
		}
		number := int(i >> (tileHeight - level))
		p := page{f, firstTile + number}
		t, ok := s.pages.get(p).(*tree)
		if !ok {
			t = new(tree)
			var m space
			if err := f.hashes(number, t, &m); err != nil {
				return err
			}
			s.pages.put(p, t, len(t)*tlog.HashSize)
		}
		h = t.at(level, i&(width>>level-1))
		return nil
	})
	return h, err
}

// Scan gives the leaves [from, to) of segment n in their order, each once its
// bundle is verified. A leaf's bytes are good until do returns. An error of do
// ends the scan and is returned as it is.
func (s *Store) Scan(origin string, root tlog.Hash, n int64, from, to int64, do func(seq int64, leaf []byte) error) error {
	first := n << Height
	if from < first || to > first+Leaves || from > to {
		return fmt.Errorf("%w: leaves %d to %d in segment %d", ErrSegment, from, to, n)
	}
	return s.with(origin, root, n, func(f *file) error {
		return f.scan(int(from-first), int(to-first), func(i int, leaf []byte) error { return do(first+int64(i), leaf) })
	})
}

// Verify reads every byte of a segment, from the disk.
func (s *Store) Verify(origin string, root tlog.Hash, n int64) error {
	path, err := s.Path(origin, n)
	if err != nil {
		return err
	}
	dec, err := s.decoder()
	if err != nil {
		return err
	}
	f, c, err := open(path, identity{origin, n, root}, dec)
	if err != nil {
		return err
	}
	defer c.Close()
	return f.verify()
}

// Close the files; those in use are closed by their last reader. Whatever reads
// afterwards gets os.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var err error
	for _, o := range s.open {
		err = errors.Join(err, s.discard(o))
	}
	return err
}
