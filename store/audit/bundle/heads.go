package bundle

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// head is a checkpoint that the policy trusts.
type head struct {
	*trust.Verified
	note []byte
}

// head reads a checkpoint; nil where the log has not signed it, which is a
// finding, as is one that too few witnesses have cosigned: that is what a second
// history looks like, so it is compared. An error: it contradicts the manifest.
func (c *check) head(name string, b []byte, origin string, size int64) (*head, error) {
	if parsed, err := audit.ParseCheckpoint(b); err == nil && parsed.Size != size {
		return nil, fmt.Errorf("%w: it is of size %d, the manifest says %d", errForm, parsed.Size, size)
	}
	v, err := c.o.Policy.Verify(b, origin)
	if err != nil {
		c.distrust(name, err)
	}
	if v == nil {
		return nil, nil
	}
	switch name {
	case endName:
		c.v.End, c.v.endNote = v, b
	case systemEndName:
		c.v.SystemEnd, c.v.systemNote = v, b
	}
	return &head{v, b}, nil
}

// takeRange begins the tree with what was before the first leaf.
func (c *check) takeRange(b []byte) error {
	hashes, err := parseHashes(b)
	if err != nil {
		return err
	}
	if n := bits.OnesCount64(uint64(c.m.From)); len(hashes) != n {
		return fmt.Errorf("%w: %d leaves have %d subtrees, not %d", errForm, c.m.From, n, len(hashes))
	}
	c.tree.hashes = hashes
	if c.start != nil && c.tree.root() != c.start.Root {
		c.find(stepRoot, CodeAltered, nil, "%s hashes to %v, checkpoint-start has %v", rangeName, c.tree.root(), c.start.Root)
	}
	return nil
}

// heads checks the checkpoints against each other and the auditor's state. An
// error: a member is missing.
func (c *check) heads() error {
	m := c.m
	c.continues(m.Origin, m.From, c.start, m.To, c.end)
	if s := m.System; s != nil {
		c.continues(s.Origin, s.From, c.systemStart, s.To, c.systemEnd)
	}
	if c.start != nil && c.end != nil {
		if err := audit.VerifyConsistency(m.From, m.To, c.proof, c.start.Root, c.end.Root); err != nil {
			c.fork(stepConsistency, c.start.note, c.end.note, c.tree.root(), c.proof, "%s: %s", m.Origin, err)
		}
	}
	c.compareAnchors()
	return c.anchors.covered(m.To)
}

// continues checks that a log goes on where the auditor's state ends.
func (c *check) continues(origin string, from int64, start *head, to int64, end *head) {
	last, known := c.o.Memory.Last(origin)
	if later := c.o.Memory.Later(origin); later != "" {
		c.find(stepStart, CodeStart, nil, "%s was verified, which closed %s: it is an older bundle, or the log was put back", later, origin)
		return
	}
	switch {
	case !known && from > 0 && !c.o.FirstUse:
		c.find(stepStart, CodeStart, nil, "it begins at size %d of %s, of which nothing was verified before: accept that as a first use, or ask for a bundle from the start", from, origin)
	case !known && from > 0:
		c.note("first use of %s: the %d leaves before were not verified", origin, from)
	case !known && c.o.Memory != nil:
		c.note("nothing of %s was verified before: if you did verify it, this is not the state that you kept", origin)
	case !known:
	case last.Size == from && from > 0 && start == nil: // the signature is the finding
	case last.Size == from && from > 0 && last.Root != start.Root:
		c.fork(stepStart, []byte(last.Checkpoint), start.note, tlog.Hash{}, nil, "%s at size %d has the root %v, it was %v on %s", origin, from, start.Root, last.Root, day(last))
	case last.Size == from:
	case last.Size == to && end != nil && last.Root != end.Root:
		c.fork(stepStart, []byte(last.Checkpoint), end.note, tlog.Hash{}, nil, "%s at size %d has the root %v, it was %v on %s", origin, to, end.Root, last.Root, day(last))
	case last.Size > to:
		c.find(stepStart, CodeStart, nil, "it ends at size %d of %s, of which %d were verified on %s: it is an older bundle, or the log was put back", to, origin, last.Size, day(last))
	default:
		c.find(stepStart, CodeStart, nil, "it begins at size %d of %s, of which %d were verified on %s: ask for the bundle from there, and keep a state file for each log that you verify", from, origin, last.Size, day(last))
	}
}

func day(h trust.Head) string { return h.Seen.Format("2006-01-02") }

// fork records that a log has two histories, with the evidence if it convinces.
func (c *check) fork(s step, a, b []byte, rootInB tlog.Hash, proof []tlog.Hash, format string, args ...any) {
	c.find(s, CodeFork, nil, format, args...)
	if e := trust.NewEvidence(a, b, rootInB, proof); c.v.Evidence == nil && e.Check(c.o.Policy) == nil {
		c.v.Evidence = e
	}
}
