package bundle

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// Export is what a bundle is made of. The caller has found the checkpoints and
// anchors; what does not fit together is refused.
type Export struct {
	Origin    string
	From, To  int64
	Nonce     string // of the auditor; empty where he gave none
	Challenge int64  // seq of the leaf that has the nonce; -1 where there is none

	Start, End []byte // checkpoints of sizes From (nil where that is 0) and To
	Hashes     audit.Hashes
	// Leaves calls do for each leaf from..to-1, in order. It is called twice and
	// must give the same both times.
	Leaves func(ctx context.Context, from, to int64, do func(seq int64, leaf []byte) error) error
	System *System // nil for the system's own log
	Keys   []Key

	// Openings gives what may be disclosed of a leaf: none where its subject was
	// erased. It is nil where nothing is disclosed; otherwise Recipient is needed.
	Openings  func(l *audit.Leaf) ([]audit.Opening, error)
	Recipient *Recipient
	Report    Report // nil for a bundle without report.html

	// Sign gives the text as a note signed by the key of the log.
	Sign     func(text string) ([]byte, error)
	Now      func() time.Time
	Progress func(done, total int64) // leaves, both passes counted; may be nil
}

// System is the slice of the system's log that anchors the log of a tenant: of
// each 65,536 leaves of the range the last anchor within the range, and the
// first whose size is To or more.
type System struct {
	// Start and End are checkpoints of the system's log: just after the first
	// anchor of size From or more (nil where From is 0), and just after the last
	// of Anchors.
	Start, End  []byte
	Consistency []tlog.Hash // from Start to End
	Anchors     []Anchor
	Beyond      []tlog.Hash // consistency from To to the last anchor, where that is larger
}

// Report is told of every leaf, in order, and then written once.
type Report interface {
	Add(l *audit.Leaf) error
	Render(w io.Writer) error
}

// manifest checks what was given, and gives the manifest without files.
func (e *Export) manifest() (*manifest, error) {
	cluster, tenant, _, err := audit.ParseOrigin(e.Origin)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	m := &manifest{Format: format, Origin: e.Origin, Cluster: cluster, Tenant: tenant, From: e.From, To: e.To, Nonce: e.Nonce}
	if e.Challenge >= 0 {
		m.Challenge = &e.Challenge
	}
	if s := e.System; s != nil {
		end, err := audit.ParseCheckpoint(s.End)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrExport, systemEndName, err)
		}
		m.System = &slice{Origin: end.Origin, To: end.Size}
		if s.Start != nil {
			start, err := audit.ParseCheckpoint(s.Start)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrExport, systemStartName, err)
			}
			m.System.From = start.Size
		}
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	if e.Openings != nil && e.Recipient == nil {
		return nil, fmt.Errorf("%w: disclosures need a recipient", ErrExport)
	}
	return m, nil
}

// head of the log at a size, as its checkpoint says.
func (e *Export) head(note []byte, size int64, name string) (*audit.Checkpoint, error) {
	c, err := audit.ParseCheckpoint(note)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrExport, name, err)
	}
	if c.Origin != e.Origin || c.Size != size {
		return nil, fmt.Errorf("%w: %s is of %s at size %d, not of %s at %d", ErrExport, name, c.Origin, c.Size, e.Origin, size)
	}
	return c, nil
}

// pass gives each leaf of the range to do.
func (e *Export) pass(ctx context.Context, done int64, do func(seq int64, leaf []byte) error) error {
	const often = 4096 // leaves between two reports of progress
	next, total := e.From, 2*(e.To-e.From)
	progress := func() {
		if e.Progress != nil {
			e.Progress(done+next-e.From, total)
		}
	}
	err := e.Leaves(ctx, e.From, e.To, func(seq int64, leaf []byte) error {
		if seq != next || next == e.To || len(leaf) > audit.MaxLeaf {
			return fmt.Errorf("%w: leaf %d of %d bytes came, and %d of %d was next", ErrChanged, seq, len(leaf), next, e.To)
		}
		if err := do(seq, leaf); err != nil {
			return err
		}
		if next++; next%often == 0 {
			progress()
		}
		return ctx.Err()
	})
	if err == nil && next != e.To {
		err = fmt.Errorf("%w: it ends after leaf %d, not after %d", ErrChanged, next-1, e.To-1)
	}
	progress()
	return err
}
