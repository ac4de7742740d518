package audit

import (
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Signer signs checkpoints of many logs and never two of one log that
// contradict each other: what it signed last is on disk before a signature
// leaves it. It may be used by many goroutines; of two that sign one log at a
// time, the one with the smaller tree is refused.
type Signer struct {
	keys func(origin string) (note.Signer, error)

	mu   sync.Mutex
	last lastSigned
}

// OpenSigner reads what was signed last from path. Where there is no file,
// nothing was signed: keep it for as long as the log is. The signer that keys
// gives must be named as the origin.
func OpenSigner(path string, keys func(origin string) (note.Signer, error)) (*Signer, error) {
	last, err := readLastSigned(path)
	if err != nil {
		return nil, err
	}
	return &Signer{keys: keys, last: last}, nil
}

// Sign gives a checkpoint of the first size leaves of a log. ErrFork, ErrRollback:
// it would contradict one that was signed before.
func (s *Signer) Sign(origin string, size int64, h Hashes) ([]byte, error) {
	if _, _, _, err := ParseOrigin(origin); err != nil {
		return nil, err
	}
	key, err := s.keys(origin)
	if err != nil {
		return nil, fmt.Errorf("key of the log %s: %w", origin, err)
	}
	if key.Name() != origin {
		return nil, fmt.Errorf("%w: the key is of %q, the log is %s", ErrSignature, key.Name(), origin)
	}
	root, err := Root(size, h)
	if err != nil {
		return nil, err
	}
	if err := s.record(origin, head{size, root}, h); err != nil {
		return nil, err
	}
	return sign(&Checkpoint{Origin: origin, Size: size, Root: root}, key)
}

// record makes the head the last one that was signed, durably, if it may be.
func (s *Signer) record(origin string, next head, h Hashes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.extends(origin, next.size, h); err != nil {
		return err
	}
	if last, signed := s.last.heads[origin]; signed && last == next {
		return nil
	}
	return s.last.write(origin, next)
}

// Check that a log of size leaves extends what was signed of it. A node does so
// at start, before it serves.
func (s *Signer) Check(origin string, size int64, h Hashes) error {
	if _, _, _, err := ParseOrigin(origin); err != nil {
		return err
	}
	if size < 0 || size > MaxSize {
		return fmt.Errorf("%w: %d leaves", ErrSize, size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extends(origin, size, h)
}

func (s *Signer) extends(origin string, size int64, h Hashes) error {
	if later := s.last.laterEpoch(origin); later != "" {
		return fmt.Errorf("%w: %s was signed, which closed %s", ErrRollback, later, origin)
	}
	last, signed := s.last.heads[origin]
	if !signed {
		return nil
	}
	if size < last.size {
		return fmt.Errorf("%w: %s has %d leaves here, %d were signed: replay the Raft log, or start a new epoch", ErrRollback, origin, size, last.size)
	}
	root, err := Root(last.size, h)
	if err != nil {
		return err
	}
	if root != last.root {
		return fmt.Errorf("%w: %s at size %d has the root %v here, %v was signed: compare this node with the others", ErrFork, origin, last.size, root, last.root)
	}
	return nil
}

// head of a tree.
type head struct {
	size int64
	root tlog.Hash
}
