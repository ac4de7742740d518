package raftlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// As etcd's and raft-wal's.
	defaultSegment = 64 << 20
	maxSegment     = 1 << 30
	// maxFile leaves room after a full segment for entries that DeleteRange stores
	// again; offsets in memory have 4 bytes.
	maxFile = 1 << 31
	// Zeros written ahead of the batches, so that a sync need not write the size
	// and the place of blocks (measured: half the time of a file that grows, or
	// that was made with fallocate; 256 KiB, 4 MiB and a whole file of zeros are
	// not better).
	ahead = 1 << 20
)

// Config of a log.
type Config struct {
	Dir string // of this log alone; its user sees to it that one process uses it
	// Create makes the folder where it is absent.
	Create bool
	// Cluster id of 1 to 64 bytes. It stands in each file.
	Cluster string
	// Segment is the bytes after which a new file is begun, at most 1 GiB; 0: 64 MiB.
	Segment int64
	FS      FS        // nil: the real disk
	Rand    io.Reader // of the files' salts; nil: crypto/rand
}

func (c *Config) check() error {
	if n := len(c.Cluster); n == 0 || n > maxCluster {
		return fmt.Errorf("%w: a cluster id of %d bytes, 1 to %d are needed", ErrLimit, n, maxCluster)
	}
	if c.Segment < 0 || c.Segment > maxSegment {
		return fmt.Errorf("%w: segments of %d bytes, at most %d are possible", ErrLimit, c.Segment, maxSegment)
	}
	if c.Segment == 0 {
		c.Segment = defaultSegment
	}
	if c.FS == nil {
		c.FS = system{os.O_RDWR}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return nil
}

// Log is safe for concurrent use. After a write or sync that failed every call
// gives that error.
type Log struct {
	config Config

	write sync.Mutex // one that changes the log
	buf   []byte     // its memory

	mu       sync.RWMutex // of what follows; reads of files are within it
	segments []*segment
	first    uint64 // 0: the log is empty
	err      error  // nothing more is done
}

var (
	_ raft.LogStore          = (*Log)(nil)
	_ raft.MonotonicLogStore = (*Log)(nil)
)

// Open reads and verifies the whole log, and cuts the batch that a crash has left
// torn at its end. The first entry may be an older one than it was, for only
// whole files are deleted. Errors: ErrDamaged, ErrFormat, ErrCluster, ErrLimit,
// os.ErrNotExist where the folder is absent and not to be made, or the disk's.
func Open(c Config) (*Log, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Create {
		if err := c.FS.MakeDir(c.Dir); err != nil {
			return nil, err
		}
	}
	found, err := load(&c)
	if err == nil {
		err = found.settle(&c)
	}
	if err != nil {
		return nil, errors.Join(err, found.close())
	}
	l := &Log{config: c, segments: found.segments}
	if n := len(l.segments); n > 0 && l.segments[n-1].next() > l.segments[0].base {
		l.first = l.segments[0].base
	}
	return l, nil
}

// IsMonotonic tells Raft that there are no gaps: it deletes all entries where it
// would leave one. Where it was killed between a snapshot from another node and
// that, the log ends before the snapshot, and its next StoreLogs gives ErrGap. A
// user that stops at this error must delete all entries before it starts Raft.
func (l *Log) IsMonotonic() bool { return true }

// FirstIndex is 0 where the log is empty.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first, l.err
}

// LastIndex is 0 where the log is empty.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last(), l.err
}

func (l *Log) last() uint64 {
	if l.first == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].next() - 1
}

// GetLog reads and verifies one entry. Errors: raft.ErrLogNotFound, ErrDamaged, or
// the disk's.
func (l *Log) GetLog(index uint64, e *raft.Log) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.err != nil {
		return l.err
	}
	if index == 0 || index < l.first || index > l.last() {
		return raft.ErrLogNotFound
	}
	s := l.segments[l.holding(index)]
	return s.entry(int(index-s.base), e)
}

// holding gives the number of the segment that index is in.
func (l *Log) holding(index uint64) int {
	return sort.Search(len(l.segments), func(i int) bool { return l.segments[i].next() > index })
}

// Oldest is when the leader appended the first entry; zero where the log is empty.
func (l *Log) Oldest() (time.Time, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.err != nil || l.first == 0 {
		return time.Time{}, l.err
	}
	s := l.segments[l.holding(l.first)]
	var e raft.Log
	err := s.entry(int(l.first-s.base), &e)
	return e.AppendedAt, err
}

// Size of the files in bytes, with the zeros written ahead.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var n int64
	for _, s := range l.segments {
		n += s.size
	}
	return n
}

// Close the files. Everything that was stored is on the disk before.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, s := range l.segments {
		err = errors.Join(err, s.file.Close())
	}
	l.segments, l.first, l.buf = nil, 0, nil
	if l.err == nil {
		l.err = ErrClosed
	}
	return err
}

func (l *Log) usable() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.err
}

// fail keeps the first error: what the disk holds is unknown from then on, and a
// sync that succeeds would lie.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return err
}
