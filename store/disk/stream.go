package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Stream writes a large file from its beginning to its end, past the system's
// cache: in it the file would drive out what the machine works with, and a sync of
// another file would wait for it. Where a file system refuses such writes, each part
// goes to the disk before the next is written.
type Stream struct {
	file   *os.File
	part   []byte // not written yet
	direct bool
}

const (
	// streamPart of the file goes to the disk together: ours, 5 ms of a disk that
	// writes 200 MB a second, which is how long a sync of another file may wait.
	streamPart = 1 << 20
	// streamBlock divides what is written past the cache: the largest logical block
	// of disks.
	streamBlock = 4096
)

// NewStream of a file that is empty.
func NewStream(f *os.File) *Stream {
	// Go lays out so large a slice from a page's beginning; where not, the system
	// refuses the first write, and out goes on through the cache.
	s := &Stream{file: f, part: make([]byte, 0, streamPart)}
	s.direct = s.past(true) == nil
	return s
}

// past has the file written past the cache, or not.
func (s *Stream) past(on bool) error {
	flags, err := unix.FcntlInt(s.file.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_DIRECT
	if on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(s.file.Fd(), unix.F_SETFL, flags)
	return err
}

func (s *Stream) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		k := min(len(b), cap(s.part)-len(s.part))
		s.part = append(s.part, b[:k]...)
		n, b = n+k, b[k:]
		if len(s.part) == cap(s.part) {
			if err := s.out(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// out writes the part.
func (s *Stream) out() error {
	if s.direct && len(s.part)%streamBlock == 0 {
		n, err := s.file.Write(s.part)
		s.part = append(s.part[:0], s.part[n:]...)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	if s.direct { // the file's end, which is no whole block; or it cannot be
		if err := s.past(false); err != nil {
			return err
		}
		s.direct = false
	}
	n, err := s.file.Write(s.part)
	s.part = s.part[:0]
	if err != nil || n == 0 {
		return err
	}
	at, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	const now = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := unix.SyncFileRange(int(s.file.Fd()), at-int64(n), int64(n), now); err != nil {
		return fmt.Errorf("%w: writing %s out: %w", ErrSync, s.file.Name(), err)
	}
	return nil
}

// Sync makes durable what was written. It is called once, at the end.
func (s *Stream) Sync() error {
	if err := s.out(); err != nil {
		return err
	}
	return s.file.Sync()
}

// Close without Sync leaves a file that is not whole.
func (s *Stream) Close() error { return s.file.Close() }
