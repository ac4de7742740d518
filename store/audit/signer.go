package audit

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrNote: a log does not put its name to every text.
var ErrNote = errors.New("not a text that a log signs")

// Signer signs checkpoints of many logs and never two of one log that
// contradict each other: what it signed last is on disk before a signature
// leaves it. It may be used by many goroutines; of two that sign one log at a
// time, the one with the smaller tree is refused.
type Signer struct {
	keys func(origin string) ([]note.Signer, error)

	mu   sync.Mutex
	last lastSigned
}

// OpenSigner reads what was signed last from path. Where there is no file,
// nothing was signed: keep it for as long as the log is. Each of the signers that
// keys gives must be named as the origin, and all of them sign: one at rest, two
// while a key is being replaced.
func OpenSigner(path string, keys func(origin string) ([]note.Signer, error)) (*Signer, error) {
	last, err := readLastSigned(path)
	if err != nil {
		return nil, err
	}
	return &Signer{keys: keys, last: last}, nil
}

// Sign gives a checkpoint of the first size leaves of a log. ErrFork, ErrRollback:
// it would contradict one that was signed before.
func (s *Signer) Sign(origin string, size int64, h Hashes) ([]byte, error) {
	return s.checkpoint(origin, size, h, s.advance)
}

// SignEarlier is Sign, but also for a size below the one that was signed last,
// which it leaves as it is: h must prove that it goes on to that very tree.
func (s *Signer) SignEarlier(origin string, size int64, h Hashes) ([]byte, error) {
	return s.checkpoint(origin, size, h, func(origin string, next head, h Hashes) error {
		last, signed := s.last.heads[origin]
		if !signed || next.size > last.size {
			return s.advance(origin, next, h)
		}
		if err := s.open(origin); err != nil {
			return err
		}
		return consistent(origin, next, last, h)
	})
}

// checkpoint signs what allow allows, which is called under the lock.
func (s *Signer) checkpoint(origin string, size int64, h Hashes, allow func(string, head, Hashes) error) ([]byte, error) {
	keys, err := s.signers(origin)
	if err != nil {
		return nil, err
	}
	root, err := Root(size, h)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	err = allow(origin, head{size, root}, h)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return sign(&Checkpoint{Origin: origin, Size: size, Root: root}, keys)
}

// SignText signs another text in the name of a log. Its first line names its
// format and begins with gatehouse/, but is no origin: so it is neither a
// checkpoint nor a cosignature (C2SP tlog-cosignature), whatever follows.
func (s *Signer) SignText(origin, text string) ([]byte, error) {
	keys, err := s.signers(origin)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(text, "\n")
	if _, _, _, err := ParseOrigin(first); err == nil || !strings.HasPrefix(first, "gatehouse/") {
		return nil, fmt.Errorf("%w: its first line is %.300q", ErrNote, first)
	}
	b, err := note.Sign(&note.Note{Text: text}, keys...)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNote, first, err)
	}
	// Package note also signs what it would not read again: control characters.
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(b, nil); !errors.As(err, &unverified) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNote, first, err)
	}
	return b, nil
}

// signers of a log: one at least, and none that speaks for another.
func (s *Signer) signers(origin string) ([]note.Signer, error) {
	if _, _, _, err := ParseOrigin(origin); err != nil {
		return nil, err
	}
	keys, err := s.keys(origin)
	if err != nil {
		return nil, fmt.Errorf("key of the log %s: %w", origin, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is no key of the log %s", ErrSignature, origin)
	}
	for _, k := range keys {
		if k.Name() != origin {
			return nil, fmt.Errorf("%w: the key is of %q, the log is %s", ErrSignature, k.Name(), origin)
		}
	}
	return keys, nil
}

// advance makes the head the last one that was signed, durably, if it may be.
func (s *Signer) advance(origin string, next head, h Hashes) error {
	if err := s.extends(origin, next, h); err != nil {
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
	root, err := Root(size, h)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extends(origin, head{size, root}, h)
}

// Last gives the largest tree of a log that was signed; size 0: none was.
func (s *Signer) Last(origin string) (size int64, root tlog.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last.heads[origin]
	return last.size, last.root
}

func (s *Signer) extends(origin string, next head, h Hashes) error {
	if err := s.open(origin); err != nil {
		return err
	}
	last, signed := s.last.heads[origin]
	if !signed {
		return nil
	}
	if next.size < last.size {
		return fmt.Errorf("%w: %s has %d leaves here, %d were signed: replay the Raft log, or start a new epoch", ErrRollback, origin, next.size, last.size)
	}
	return consistent(origin, last, next, h)
}

// open refuses an epoch that a later one has closed.
func (s *Signer) open(origin string) error {
	if later := s.last.laterEpoch(origin); later != "" {
		return fmt.Errorf("%w: %s was signed, which closed %s", ErrRollback, later, origin)
	}
	return nil
}

// consistent proves that one tree grew into the other. To compare roots would
// not do: where a stored hash is damaged, those above it tell of another tree.
func consistent(origin string, small, large head, h Hashes) error {
	proof, err := ConsistencyProof(small.size, large.size, h)
	if err != nil {
		return err
	}
	if err := VerifyConsistency(small.size, large.size, proof, small.root, large.root); err != nil {
		return fmt.Errorf("%w: %s: the tree of %d leaves with the root %v does not begin with that of %d with the root %v: compare this node with the others", ErrFork, origin, large.size, large.root, small.size, small.root)
	}
	return nil
}

// head of a tree.
type head struct {
	size int64
	root tlog.Hash
}
