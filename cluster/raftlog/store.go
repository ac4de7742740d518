package raftlog

import (
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// StoreLog is StoreLogs of one.
func (l *Log) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries whose indexes follow the last one and each other; in
// an empty log they may begin at any. When it returns they are on the disk, by one
// write and one sync for each 4 MiB. Errors: ErrGap, ErrLimit, after which nothing
// has changed and others may be stored; or the disk's, after which the log must be
// opened again, and may then hold the first of the entries.
func (l *Log) StoreLogs(logs []*raft.Log) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if err := l.admit(logs); err != nil {
		return err
	}
	for len(logs) > 0 {
		n, err := l.store(logs)
		if err != nil {
			return l.fail(fmt.Errorf("storing entry %d: %w", logs[0].Index, err))
		}
		logs = logs[n:]
	}
	return nil
}

func (l *Log) admit(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	next := logs[0].Index
	if l.first > 0 {
		next = l.last() + 1
	}
	for _, e := range logs {
		switch {
		case e.Index != next:
			return fmt.Errorf("%w: entry %d instead of %d", ErrGap, e.Index, next)
		case e.Index == 0 || e.Index >= maxIndex:
			return fmt.Errorf("%w: entry %d", ErrLimit, e.Index)
		case len(e.Data) > MaxData || len(e.Extensions) > MaxExtensions:
			return fmt.Errorf("%w: entry %d has %d bytes and %d of extensions, %d and %d are possible",
				ErrLimit, e.Index, len(e.Data), len(e.Extensions), MaxData, MaxExtensions)
		}
		next++
	}
	return nil
}

// store appends one batch of the first logs and gives their number.
func (l *Log) store(logs []*raft.Log) (int, error) {
	s, err := l.room(logs[0].Index)
	if err != nil {
		return 0, err
	}
	return l.append(s, logs)
}

// append writes one batch of the first logs at the end of a segment. What the
// segment holds from the first one's index on is void with it.
func (l *Log) append(s *segment, logs []*raft.Log) (int, error) {
	b, offsets := appendBatch(l.buf[:0], s.salt, s.end, logs)
	length := int64(len(b))
	end := s.end + length
	if end > maxFile {
		return 0, fmt.Errorf("%w: %s would have %d bytes", ErrLimit, s.path, end)
	}
	if end > s.size && end < l.config.Segment {
		b = append(b, make([]byte, min((end+ahead-1)/ahead*ahead, l.config.Segment)-end)...)
	}
	l.buf = b
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return 0, err
	}
	if err := s.file.Sync(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.size = max(s.size, s.end+int64(len(b)))
	s.offsets = append(s.offsets[:logs[0].Index-s.base], offsets...)
	s.last, s.end = s.end, end
	if l.first == 0 {
		l.first = logs[0].Index
	}
	return len(offsets), nil
}

// room gives the segment for the entry index, the next one: the last, or a new one
// where that is full.
func (l *Log) room(index uint64) (*segment, error) {
	if n := len(l.segments); n > 0 {
		s := l.segments[n-1]
		if s.next() == index && s.end < l.config.Segment {
			return s, nil
		}
		if s.next() != index { // it was begun for another entry, which was never stored
			if err := l.drop(s); err != nil {
				return nil, err
			}
		}
	}
	s, err := l.create(index)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, s)
	return s, nil
}

// create makes the file of a segment without entries: its header durable under
// another name first, so that a crash leaves none or a good one.
func (l *Log) create(base uint64) (s *segment, err error) {
	var salt [8]byte
	if _, err := io.ReadFull(l.config.Rand, salt[:]); err != nil {
		return nil, err
	}
	fs, path := l.config.FS, filepath.Join(l.config.Dir, fileName(base))
	file, err := fs.Create(path + temp)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	s = &segment{path: path, file: file, base: base, salt: binary.BigEndian.Uint64(salt[:]), end: headerSize, size: headerSize}
	if _, err := file.WriteAt(header(base, s.salt, l.config.Cluster), 0); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	if err := fs.Rename(path+temp, path); err != nil {
		return nil, err
	}
	return s, fs.SyncDir(l.config.Dir)
}
