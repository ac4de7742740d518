package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// Log reads one audit log: its recent leaves from the state, the sealed ones
// from their files, for which the state is not held. It is safe for concurrent
// use.
type Log struct {
	state *State
	name  string
}

// Log of a tenant, or audit.System: in its present epoch, or in that of InEpoch.
func (s *State) Log(name string) *Log { return &Log{s, name} }

// LogHead is how far a log has come.
type LogHead struct {
	Origin   string
	Size     int64
	Sealed   int64 // leaves below it are in segment files alone
	Anchored int64 // size at the last anchor in the system's log
}

// Head of the log; a log without leaves has size 0.
func (l *Log) Head() (h LogHead, err error) {
	err = l.state.View(func(v *View) error {
		h, err = v.Head(l.name)
		return err
	})
	return h, err
}

// Head of an audit log, at the view's moment; one without leaves has size 0.
func (v *View) Head(log string) (LogHead, error) {
	log = logRow(v, log)
	name, err := origin(v, log)
	if err != nil {
		return LogHead{}, err
	}
	row, err := load[command.Head](v, heads, key(log))
	if errors.Is(err, ErrNotFound) {
		row, err = &command.Head{}, nil
	}
	return LogHead{name, int64(row.GetSize()), int64(row.GetSealed()), int64(row.GetAnchored())}, err
}

// root of a sealed segment.
func (v *View) root(log string, n int64) (tlog.Hash, error) {
	return hashesOf(v, logRow(v, log)).Hash(tlog.StoredHashIndex(segment.Height, n))
}

// Leaf gives the exact bytes of an event. Error: ErrNotFound beyond the end.
func (l *Log) Leaf(seq int64) (leaf []byte, err error) {
	var h LogHead
	var root tlog.Hash
	err = l.state.View(func(v *View) (err error) {
		if h, err = v.Head(l.name); err != nil {
			return err
		}
		switch {
		case seq < 0 || seq >= h.Size:
			return ErrNotFound
		case seq < h.Sealed:
			root, err = v.root(l.name, seq>>segment.Height)
			return err
		}
		leaf, err = v.leaf(l.name, seq)
		return err
	})
	if err != nil || leaf != nil {
		return leaf, err
	}
	return l.state.segments.Leaf(h.Origin, root, seq)
}

// leaf that is in the state.
func (v *View) leaf(log string, seq int64) ([]byte, error) {
	b := v.get(leaves, key(logRow(v, log), number(uint64(seq))))
	if b == nil {
		return nil, fmt.Errorf("%w: leaf %d of log %s is missing", ErrUnusable, seq, log)
	}
	return append([]byte(nil), b...), nil
}

// Hash with a stored index (tlog.StoredHashIndex): with Leaf it makes Log fit
// for the proofs of package audit.
func (l *Log) Hash(index int64) (hash tlog.Hash, err error) {
	level, n := tlog.SplitStoredHashIndex(index)
	var h LogHead
	var root tlog.Hash
	at, inFile := int64(0), false
	err = l.state.View(func(v *View) (err error) {
		if h, err = v.Head(l.name); err != nil {
			return err
		}
		if inFile = level < segment.Height && (n+1)<<level <= h.Sealed; !inFile {
			hash, err = hashesOf(v, logRow(v, l.name)).Hash(index)
			return err
		}
		at = n << level >> segment.Height
		root, err = v.root(l.name, at)
		return err
	})
	if err != nil || !inFile {
		return hash, err
	}
	return l.state.segments.Hash(h.Origin, root, at, level, n)
}

// scanAtOnce leaves are read while the state is held: about 200 KiB.
const scanAtOnce = 256

// Scan gives the leaves from up to, not including, to in order. Error:
// ErrNotFound where the log ends before.
func (l *Log) Scan(ctx context.Context, from, to int64, do func(seq int64, leaf []byte) error) error {
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		var h LogHead
		var root tlog.Hash
		var recent [][]byte
		n := from >> segment.Height
		err := l.state.View(func(v *View) (err error) {
			if h, err = v.Head(l.name); err != nil {
				return err
			}
			if from < 0 || to > h.Size {
				return fmt.Errorf("%w: leaves %d to %d of %d", ErrNotFound, from, to, h.Size)
			}
			if from < h.Sealed {
				root, err = v.root(l.name, n)
				return err
			}
			for seq := from; seq < min(to, from+scanAtOnce) && err == nil; seq++ {
				var b []byte
				b, err = v.leaf(l.name, seq)
				recent = append(recent, b)
			}
			return err
		})
		if err != nil {
			return err
		}
		if from < h.Sealed {
			end := min(to, h.Sealed, (n+1)<<segment.Height)
			err := l.state.segments.Scan(h.Origin, root, n, from, end, func(seq int64, leaf []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return do(seq, leaf)
			})
			if err != nil {
				return err
			}
			from = end
			continue
		}
		for _, b := range recent {
			if err := do(from, b); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// Full tells whether the log has a segment that can be sealed, and which.
func (h LogHead) Full() (n int64, full bool) {
	n = h.Sealed >> segment.Height
	return n, (n+1)<<segment.Height <= h.Size
}

// Parts of the log that have a segment file for sure: those whose leaves have
// left the state, if only the first of them.
func (h LogHead) Parts() int64 { return (h.Sealed + segment.Leaves - 1) >> segment.Height }

// Whole tells whether the files of the sealed segments are there. Error:
// ErrUnusable.
func (l *Log) Whole() error {
	h, err := l.Head()
	for n := range h.Parts() {
		if err != nil {
			return err
		}
		var path string
		if path, err = l.state.segments.Path(h.Origin, n); err == nil {
			if _, missing := os.Stat(path); missing != nil {
				return fmt.Errorf("%w: %v: events of the audit log are gone: restore the whole directory from a backup", ErrUnusable, missing)
			}
		}
	}
	return err
}

// WriteSegment makes the file of a full segment durable, without holding the
// state for long. SEAL_SEGMENT may follow it.
func (l *Log) WriteSegment(ctx context.Context, n int64) error {
	var h LogHead
	var root tlog.Hash
	err := l.state.View(func(v *View) (err error) {
		if h, err = v.Head(l.name); err != nil {
			return err
		}
		if (n+1)<<segment.Height > h.Size || n < 0 {
			return fmt.Errorf("%w: segment %d of %s is not full", ErrNotFound, n, h.Origin)
		}
		root, err = v.root(l.name, n)
		return err
	})
	if err != nil {
		return err
	}
	var page [][]byte
	var first int64
	return l.state.segments.Write(h.Origin, n, root, func(seq int64) ([]byte, error) {
		if seq < first || seq >= first+int64(len(page)) {
			page, first = page[:0], seq
			end := min(seq+scanAtOnce, (n+1)<<segment.Height)
			err := l.Scan(ctx, seq, end, func(_ int64, leaf []byte) error {
				page = append(page, append([]byte(nil), leaf...))
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return page[seq-first], nil
	})
}

// Cosignatures that witnesses gave to the log's checkpoint of a size.
func (v *View) Cosignatures(log string, size int64) ([]*command.Cosignature, error) {
	var all []*command.Cosignature
	var err error
	v.scan(cosignatures, key(logRow(v, log), number(uint64(size))), nil, func(k, _ []byte) bool {
		var c *command.Cosignature
		if c, err = load[command.Cosignature](v, cosignatures, k); err == nil {
			all = append(all, c)
		}
		return err == nil
	})
	return all, err
}

// Openings of an event's personal values, sealed under the subject's key.
// Error: ErrNotFound, where it has none or the subject was erased.
func (v *View) Openings(tenant, subject, log string, seq int64) ([]byte, error) {
	b := v.get(openings, key(tenant, subject, logRow(v, log), number(uint64(seq))))
	if b == nil {
		return nil, ErrNotFound
	}
	return append([]byte(nil), b...), nil
}

// Missing segments: those whose leaves have left the state and whose file this
// node does not have, as one whose state came from another node.
func (l *Log) Missing() (all []int64, err error) {
	h, err := l.Head()
	for n := range h.Parts() {
		if err != nil {
			return nil, err
		}
		var path string
		if path, err = l.state.segments.Path(h.Origin, n); err == nil {
			if _, absent := os.Stat(path); absent != nil {
				all = append(all, n)
			}
		}
	}
	return all, err
}

// Segment opens the file of one as it is. Error: fs.ErrNotExist.
func (l *Log) Segment(n int64) (*os.File, error) {
	h, err := l.Head()
	if err != nil {
		return nil, err
	}
	return l.state.segments.Raw(h.Origin, n)
}

// ImportSegment keeps the file of a segment that another node has, once it is
// verified against what the state says of it.
func (l *Log) ImportSegment(n int64, r io.Reader) error {
	var h LogHead
	var root tlog.Hash
	err := l.state.View(func(v *View) (err error) {
		if h, err = v.Head(l.name); err != nil {
			return err
		}
		if n < 0 || n >= h.Parts() {
			return fmt.Errorf("%w: segment %d of %s", ErrNotFound, n, h.Origin)
		}
		root, err = v.root(l.name, n)
		return err
	})
	if err != nil {
		return err
	}
	return l.state.segments.Import(h.Origin, n, root, r)
}
