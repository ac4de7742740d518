package raftlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// segment is an open file of the log.
type segment struct {
	path string
	file File
	base uint64
	salt uint64
	// offsets of the entries in the file: 4 bytes for each that is kept.
	offsets []uint32
	last    int64 // where the last batch is; 0: there is none
	end     int64 // of the last batch
	size    int64 // of the file, which has zeros from end to here
}

// next index that would follow the segment's entries.
func (s *segment) next() uint64 { return s.base + uint64(len(s.offsets)) }

func (s *segment) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", ErrDamaged, s.path, fmt.Errorf(format, args...))
}

func (s *segment) read(b []byte, at int64) error {
	_, err := s.file.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return s.damaged("it ends before byte %d", at+int64(len(b)))
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.path, err)
	}
	return nil
}

// batch reads the batch at byte at, in the memory of buf. Without an error and
// with h.count 0 the head does not verify; with b nil the body does not.
func (s *segment) batch(at int64, buf []byte) (h head, b []byte, err error) {
	room := s.size - at
	if room < batchHead {
		return h, nil, nil
	}
	var first [batchHead]byte
	if err := s.read(first[:], at); err != nil {
		return h, nil, err
	}
	h, ok := parseHead(first[:], s.salt, at, room)
	if !ok {
		return head{}, nil, nil
	}
	if cap(buf) < h.length {
		buf = make([]byte, h.length)
	}
	b = buf[:h.length]
	if err := s.read(b, at); err != nil {
		return h, nil, err
	}
	if !h.whole(b, s.salt, at) {
		return h, nil, nil
	}
	return h, b, nil
}

// load reads the header and every batch. What lies after the last good one and is
// not zero has torn bytes: in the last segment a crash may have left them. An
// error stands for damage that no crash leaves.
func (s *segment) load(cluster string) (torn int64, err error) {
	if s.size < headerSize || s.size > maxFile {
		return 0, s.damaged("it has %d bytes", s.size)
	}
	b := make([]byte, headerSize)
	if err := s.read(b, 0); err != nil {
		return 0, err
	}
	if s.salt, err = parseHeader(b, s.base, cluster); err != nil {
		return 0, fmt.Errorf("%s: %w", s.path, err)
	}
	var h head
	for s.end = headerSize; ; s.end += int64(h.length) {
		if h, b, err = s.batch(s.end, b); err != nil {
			return 0, err
		}
		if b == nil {
			return s.tail(h)
		}
		if h.first < s.base || h.first > s.next() {
			return 0, s.damaged("entry %d at byte %d, %d to %d are possible", h.first, s.end, s.base, s.next())
		}
		offsets, ok := h.split(b, s.salt, s.end, s.offsets[:h.first-s.base]) // void from its first index on
		if !ok {
			return 0, s.damaged("the batch at byte %d is not what its sum says", s.end)
		}
		s.offsets, s.last = offsets, s.end
	}
}

// tail judges what lies after the last good batch; h is the head there, if it
// verifies. A batch is synced before the next is written, so a crash tears one at
// most: if there was another after it, the first has rotted.
func (s *segment) tail(h head) (torn int64, err error) {
	const chunk = 64 << 10
	room := int64(maxBatch)
	if h.count > 0 {
		room = int64(h.length)
	}
	b := make([]byte, min(chunk+batchHead, s.size-s.end)) // a head may lie across two chunks
	for at := s.end; at < s.size; at += chunk {
		b = b[:min(int64(len(b)), s.size-at)]
		if err := s.read(b, at); err != nil {
			return 0, err
		}
		for i := len(b); i > 0; i-- {
			if b[i-1] != 0 {
				torn = at + int64(i) - s.end
				break
			}
		}
		if torn > room {
			return torn, s.damaged("the batch at byte %d does not verify, and more was written after it", s.end)
		}
		for i := 0; h.count == 0 && i+batchHead <= len(b); i += align {
			if _, ok := parseHead(b[i:], s.salt, at+int64(i), s.size-at-int64(i)); ok {
				return torn, s.damaged("the batch at byte %d does not verify, and one at byte %d does", s.end, at+int64(i))
			}
		}
	}
	return torn, nil
}

// settle makes sure of what load has read. The bytes after the end go; the last
// batch is written once more, for it may be in the kernel's memory alone: of a
// process that was killed before it could sync, or whose sync failed, after which
// the kernel takes the pages for clean and another sync would not write them.
func (s *segment) settle() error {
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	s.size = s.end
	if s.last > 0 {
		b := make([]byte, s.end-s.last)
		if err := s.read(b, s.last); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(b, s.last); err != nil {
			return err
		}
	}
	return s.file.Sync()
}

// entry reads entry i of the segment.
func (s *segment) entry(i int, e *raft.Log) error {
	index, at := s.base+uint64(i), int64(s.offsets[i])
	var first [entryHead]byte
	if err := s.read(first[:], at); err != nil {
		return err
	}
	n, ok := entrySize(first[:])
	if !ok || int64(n) > s.end-at {
		return s.damaged("entry %d at byte %d", index, at)
	}
	b := make([]byte, n)
	copy(b, first[:])
	if err := s.read(b[entryHead:], at+entryHead); err != nil {
		return err
	}
	var got raft.Log
	if !parseEntry(b, s.salt, at, &got) || got.Index != index {
		return s.damaged("entry %d at byte %d", index, at)
	}
	*e = got
	return nil
}
