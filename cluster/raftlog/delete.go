package raftlog

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// DeleteRange deletes the entries from min to max, as far as there are any: all,
// the first ones, or the last ones.
//
// Of the first ones only whole files go from the disk: those that share a file
// with later ones are there again when the log is opened. Last ones are gone for
// good. A crash on the way leaves some of them, without a gap. Errors: ErrMiddle;
// or those of reading and of the disk, after which the log must be opened again.
func (l *Log) DeleteRange(min, max uint64) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	first, last := l.first, l.last()
	if first == 0 || max < first || min > last || min > max {
		return nil
	}
	var err error
	switch {
	case min > first && max < last:
		return fmt.Errorf("%w: %d to %d of %d to %d", ErrMiddle, min, max, first, last)
	case min > first:
		err = l.deleteFrom(min)
	case max < last:
		err = l.deleteTo(max)
	default:
		err = l.deleteAll()
	}
	if err != nil {
		return l.fail(fmt.Errorf("deleting entries %d to %d: %w", min, max, err))
	}
	return nil
}

// drop removes a segment, durably: files go one at a time, so that the folder
// never lacks one between two others.
func (l *Log) drop(s *segment) error {
	l.mu.Lock()
	for i := range l.segments {
		if l.segments[i] == s {
			// A copy: nobody who looks at the old ones sees them change.
			l.segments = append(append([]*segment(nil), l.segments[:i]...), l.segments[i+1:]...)
			break
		}
	}
	l.mu.Unlock()
	if err := s.file.Close(); err != nil {
		return err
	}
	if err := l.config.FS.Remove(s.path); err != nil {
		return err
	}
	return l.config.FS.SyncDir(l.config.Dir)
}

func (l *Log) setFirst(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = index
}

// deleteAll begins with the oldest, as deleteTo does.
func (l *Log) deleteAll() error {
	l.setFirst(0)
	for len(l.segments) > 0 {
		if err := l.drop(l.segments[0]); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) deleteTo(max uint64) error {
	l.setFirst(max + 1)
	for l.segments[0].next() <= max+1 {
		if err := l.drop(l.segments[0]); err != nil {
			return err
		}
	}
	return nil
}

// deleteFrom removes the later files, the newest first, and stores the entry before
// min again: a batch voids what was stored from its first index on. Torn, it voids
// nothing; the entries that stay are not touched.
func (l *Log) deleteFrom(min uint64) error {
	for n := len(l.segments); l.segments[n-1].base >= min; n-- {
		if err := l.drop(l.segments[n-1]); err != nil {
			return err
		}
	}
	s := l.segments[len(l.segments)-1]
	if s.next() == min {
		return nil
	}
	var e raft.Log
	if err := s.entry(int(min-1-s.base), &e); err != nil {
		return err
	}
	_, err := l.append(s, []*raft.Log{&e})
	return err
}
