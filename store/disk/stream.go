package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Stream writes a large file from its beginning to its end, so that never more
// than a few megabytes of it wait for the disk: a sync of another file on it would
// wait for all of them, and this file's own for minutes.
type Stream struct {
	*os.File
	written, begun, settled int64
}

// streamPart of the file goes to the disk together, while the next is written:
// ours, 10 ms of a disk that writes 200 MB a second.
const streamPart = 2 << 20

// NewStream of a file that is empty.
func NewStream(f *os.File) *Stream { return &Stream{File: f} }

func (s *Stream) Write(b []byte) (int, error) {
	n, err := s.File.Write(b)
	s.written += int64(n)
	if err != nil || s.written-s.begun < streamPart {
		return n, err
	}
	// The part before has had the time in which this one was written.
	if err := s.sync(s.settled, s.begun, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER); err != nil {
		return n, err
	}
	s.settled = s.begun
	if err := s.sync(s.begun, s.written, unix.SYNC_FILE_RANGE_WRITE); err != nil {
		return n, err
	}
	s.begun = s.written
	return n, nil
}

// sync is not durable by itself: Sync is.
func (s *Stream) sync(from, to int64, how int) error {
	if from == to {
		return nil
	}
	if err := unix.SyncFileRange(int(s.Fd()), from, to-from, how); err != nil {
		return fmt.Errorf("%w: writing %s out: %w", ErrSync, s.Name(), err)
	}
	return nil
}

// Forget asks the system to keep no part of a file in memory; what a program has
// mapped stays.
func Forget(f *os.File, from, bytes int64) error {
	if err := unix.Fadvise(int(f.Fd()), from, bytes, unix.FADV_DONTNEED); err != nil {
		return &os.PathError{Op: "fadvise", Path: f.Name(), Err: err}
	}
	return nil
}
