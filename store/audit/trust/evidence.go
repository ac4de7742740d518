package trust

import (
	"bytes"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

const (
	// maxPath hashes in a consistency proof: a tree of 2⁵³ leaves has 53 levels,
	// and the proof one hash more.
	maxPath = 54
	// maxEvidence bytes: two checkpoints, whose text doubles at worst in JSON, the
	// proof with 60 bytes a line, and a kilobyte of names.
	maxEvidence = 2*2*audit.MaxCheckpoint + maxPath*60 + 1<<10
)

// What evidence shows, in a word for people.
const (
	twoRoots = "the log signed two trees of one size"
	rewrote  = "the log signed a tree that does not begin with an earlier one"
)

// Evidence shows a stranger who has the log's key that the log has lied: it has
// signed checkpoints a and b, which cannot both be of one append-only log.
type Evidence struct {
	Format int    `json:"format"`
	Origin string `json:"origin"`
	What   string `json:"what"`
	A      string `json:"a"` // a signed note, as B is
	B      string `json:"b"`
	Size   int64  `json:"size"` // of A
	// RootInB is the root of the first Size leaves of B's tree, as Consistency
	// proves. Both are left out where A and B have one size.
	RootInB     tlog.Hash   `json:"root_in_b,omitzero"`
	Consistency []tlog.Hash `json:"consistency,omitempty"`
}

// NewEvidence puts two checkpoints of one log together, the smaller first: what
// the tree of b has for its first leaves, as many as a has, and the proof of it.
// Check says whether it convinces.
func NewEvidence(a, b []byte, rootInB tlog.Hash, consistency []tlog.Hash) *Evidence {
	e := &Evidence{Format: format, What: rewrote, A: string(a), B: string(b), RootInB: rootInB, Consistency: consistency}
	first, firstErr := audit.ParseCheckpoint(a)
	second, secondErr := audit.ParseCheckpoint(b)
	if firstErr != nil || secondErr != nil {
		return e
	}
	e.Origin, e.Size = first.Origin, first.Size
	if first.Size == second.Size {
		e.What, e.RootInB, e.Consistency = twoRoots, tlog.Hash{}, nil
	}
	return e
}

// Encode gives the bytes of the file.
func (e *Evidence) Encode() ([]byte, error) {
	b, err := encodeFile(e)
	if err == nil && len(b) > maxEvidence {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrEvidence, len(b), maxEvidence)
	}
	return b, err
}

// ParseEvidence reads the bytes of the file. Nothing is shown before Check.
func ParseEvidence(b []byte) (*Evidence, error) {
	var e Evidence
	if err := decodeFile(b, maxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	for _, n := range []string{e.A, e.B} {
		if _, err := audit.ParseCheckpoint([]byte(n)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
		}
	}
	if len(e.Consistency) > maxPath {
		return nil, fmt.Errorf("%w: a proof of %d hashes, at most %d", ErrEvidence, len(e.Consistency), maxPath)
	}
	again, err := NewEvidence([]byte(e.A), []byte(e.B), e.RootInB, e.Consistency).Encode()
	if err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, errSpelling)
	}
	return &e, nil
}

// Check gives nil where the evidence convinces: keys of the log that the policy
// pins have signed both checkpoints, and both cannot be true. Witnesses do not
// matter: the log has signed. ErrNoFork: both can be true.
func (e *Evidence) Check(p *Policy) error {
	a, _, _, err := p.checkpoint([]byte(e.A), e.Origin, nil)
	if err != nil {
		return fmt.Errorf("checkpoint a: %w", err)
	}
	b, _, _, err := p.checkpoint([]byte(e.B), e.Origin, nil)
	if err != nil {
		return fmt.Errorf("checkpoint b: %w", err)
	}
	switch {
	case a.Size == b.Size && a.Root == b.Root:
		return fmt.Errorf("%w: the two checkpoints are of the same tree", ErrNoFork)
	case a.Size == b.Size:
		return nil
	}
	if err := audit.VerifyConsistency(a.Size, b.Size, e.Consistency, e.RootInB, b.Root); err != nil {
		return fmt.Errorf("%w: that the tree of b begins with root_in_b is not proved: %w", ErrNoFork, err)
	}
	if e.RootInB == a.Root {
		return fmt.Errorf("%w: the tree of b begins with that of a", ErrNoFork)
	}
	return nil
}
