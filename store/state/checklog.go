package state

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// anchored is what the system's log says of another.
type anchored struct {
	seq  int64 // in the system's log
	size uint64
	root string
}

// edge keeps the newest hash of each level: what the next leaf needs.
type edge [64]tlog.Hash

// ReadHashes gives those that package tlog asks for: of each level the newest.
func (e *edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	read := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, _ := tlog.SplitStoredHashIndex(index)
		read[i] = e[level]
	}
	return read, nil
}

// logCheck is one audit log being checked.
type logCheck struct {
	*check
	name, origin string
	edge         edge
	next         uint64 // leaf
	dropped      uint64 // leaves below it, and their hashes, are in files
	unread       int64  // segment whose sealed leaves cannot be read, and one more; 0: none
	mono         audit.Time
	anchors      map[string][]anchored
}

// log checks an audit log in one epoch: its leaves, its tree and what was anchored
// of it. It gives the anchors that the log itself holds, by the log's row.
func (c *check) log(name string, anchors []anchored) (map[string][]anchored, error) {
	head, err := load[command.Head](c, heads, key(name))
	if errors.Is(err, ErrNotFound) {
		head = &command.Head{}
	} else if err != nil {
		return nil, c.found("row", where(heads, key(name)), "it cannot be read: %v", err)
	}
	l := &logCheck{check: c, name: name, dropped: head.Sealed, anchors: map[string][]anchored{}}
	if l.origin, err = origin(c, name); err != nil {
		return nil, c.found("log", name, "it has no origin: %v", err)
	}
	if err := l.sealed(head.Sealed); err != nil {
		return nil, err
	}
	prefix := under(name)
	err = c.each(leaves, prefix, func(k, v []byte) error {
		seq, ok := sequence(k, len(prefix))
		if !ok || seq >= head.Size {
			return c.found("log", where(leaves, k), "a leaf beyond the %d of the log", head.Size)
		}
		if seq < head.Sealed {
			return c.found("log", where(leaves, k), "a leaf that was sealed, as the first %d were", head.Sealed)
		}
		for ; l.next < seq; l.next++ {
			if err := l.missing(); err != nil {
				return err
			}
		}
		l.next++
		return l.leaf(seq, v)
	})
	if err != nil {
		return nil, err
	}
	for ; l.next < head.Size; l.next++ {
		if err := l.missing(); err != nil {
			return nil, err
		}
	}
	if err := c.expect(head.TsMonoNs == int64(l.mono), "log", name, "its head's time is not that of its last leaf"); err != nil {
		return nil, err
	}
	if err := l.strayHashes(head); err != nil {
		return nil, err
	}
	if err := l.cosignatures(head.Size); err != nil {
		return nil, err
	}
	return l.anchors, l.anchored(head, anchors)
}

func (l *logCheck) cosignatures(size uint64) error {
	return l.each(cosignatures, under(l.name), func(k, v []byte) error {
		c := &command.Cosignature{}
		if ok, err := l.decode(cosignatures, k, v, c); !ok {
			return err
		}
		ok := c.Size <= size && string(cosignature(l.name, c)) == string(k)
		return l.expect(ok, "log", where(cosignatures, k), "a cosignature of another row, or beyond the %d leaves of the log", size)
	})
}

// sealed checks the leaves that are in segment files, and the files' every byte.
// Where leaves cannot be read, the hashes that the state has of the segment let
// the others be checked.
func (l *logCheck) sealed(until uint64) error {
	for l.next < until {
		n, end := int64(l.next>>segment.Height), min(until, (l.next>>segment.Height+1)<<segment.Height)
		root, err := hashesOf(l, l.name).Hash(tlog.StoredHashIndex(segment.Height, n))
		if err == nil {
			err = l.segments.Verify(l.origin, root, n)
		}
		if err != nil {
			if err := l.found("log", fmt.Sprintf("%s, segment %d", l.name, n), "%v", err); err != nil {
				return err
			}
		}
		var stopped error
		unread := l.segments.Scan(l.origin, root, n, int64(l.next), int64(end), func(seq int64, leaf []byte) error {
			if stopped = l.ctx.Err(); stopped == nil {
				stopped = l.leaf(uint64(seq), leaf)
			}
			l.next++
			return stopped
		})
		switch {
		case stopped != nil:
			return stopped
		case unread != nil: // found above
			l.next, l.unread = end, n+1
			l.skip(n)
		}
	}
	return nil
}

// skip a segment that cannot be read: its root and what that completes come
// from the state.
func (l *logCheck) skip(n int64) {
	for level := segment.Height; ; level++ {
		l.edge[level], _ = hashesOf(l, l.name).Hash(tlog.StoredHashIndex(level, n)) // missing: found further up
		if n&1 == 0 {
			return
		}
		n >>= 1
	}
}

func (l *logCheck) at(seq uint64) string { return fmt.Sprintf("%s, leaf %d", l.name, seq) }

// missing leaf l.next: its hash, if that is there, lets the others be checked.
func (l *logCheck) missing() error {
	if err := l.found("log", l.at(l.next), "it is missing"); err != nil {
		return err
	}
	h, err := hashesOf(l, l.name).Hash(tlog.StoredHashIndex(0, int64(l.next)))
	if err != nil {
		return nil // found as a wrong hash, further up
	}
	return l.tree(l.next, h)
}

func (l *logCheck) leaf(seq uint64, b []byte) error {
	if err := l.tree(seq, tlog.RecordHash(b)); err != nil {
		return err
	}
	leaf, err := audit.DecodeLeaf(b)
	if err != nil {
		return l.found("log", l.at(seq), "%v", err)
	}
	if err := l.expect(uint64(leaf.Seq) == seq, "log", l.at(seq), "it says that it is leaf %d", leaf.Seq); err != nil {
		return err
	}
	if err := l.expect(leaf.Log == l.origin, "log", l.at(seq), "it is of the log %s", leaf.Log); err != nil {
		return err
	}
	if err := l.expect(leaf.TSMono == max(l.mono, leaf.TS), "log", l.at(seq), "its ts_mono does not follow from those before it"); err != nil {
		return err
	}
	l.mono = max(l.mono, leaf.TSMono)
	switch {
	case leaf.Result == audit.OK && leaf.Action == audit.SessionCreate:
		l.remember(leaf, created)
	case leaf.Result == audit.OK && leaf.Action == audit.DecisionMake:
		l.remember(leaf, decided)
	case leaf.Action == audit.AuditAnchor:
		return l.anchor(leaf)
	}
	return nil
}

func (l *logCheck) remember(leaf *audit.Leaf, m mark) {
	if l.logged != nil {
		l.logged[leaf.Object.ID] |= m
	}
}

// tree compares the stored hashes that a leaf completes with those that follow
// from the leaves.
func (l *logCheck) tree(seq uint64, leaf tlog.Hash) error {
	if n := int64(seq >> segment.Height); n+1 == l.unread { // what comes before it in the segment is not known
		if seq&(segment.Leaves-1) == segment.Leaves-1 {
			l.skip(n)
		}
		return nil
	}
	first := tlog.StoredHashIndex(0, int64(seq))
	made, err := tlog.StoredHashesForRecordHash(int64(seq), leaf, &l.edge)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	for i, h := range made {
		l.edge[i] = h // one of each level, from the leaf's up
		if i < segment.Height && seq < l.dropped {
			continue // it is in the segment's file, which was compared with the root
		}
		stored, err := hashesOf(l, l.name).Hash(first + int64(i))
		if err != nil || stored != h {
			return l.found("log", l.at(seq), "the stored hash %d does not follow from the leaves", first+int64(i))
		}
	}
	return nil
}

func (l *logCheck) strayHashes(head *command.Head) error {
	prefix := under(l.name)
	return l.each(hashes, prefix, func(k, _ []byte) error {
		index, ok := sequence(k, len(prefix))
		if !ok || index >= uint64(tlog.StoredHashCount(int64(head.Size))) {
			return l.found("log", where(hashes, k), "a hash beyond the %d leaves of the log", head.Size)
		}
		level, n := tlog.SplitStoredHashIndex(int64(index))
		return l.expect(level >= segment.Height || uint64(n+1)<<level > head.Sealed, "log", where(hashes, k), "a hash of leaves that are sealed")
	})
}

// anchor notes what the system's log says of another log.
func (l *logCheck) anchor(leaf *audit.Leaf) error {
	size, _ := leaf.Data["size"].(string)
	root, _ := leaf.Data["root"].(string)
	name, _ := leaf.Data["origin"].(string)
	n, err := strconv.ParseUint(size, 10, 63)
	_, epoch, _ := ofRow(l.name)
	row := rowOf(leaf.Object.ID, epoch)
	want, originErr := origin(l, row)
	if l.name != rowOf(audit.System, epoch) || err != nil || originErr != nil || name != want {
		return l.found("anchor", l.at(uint64(leaf.Seq)), "it cannot be read")
	}
	l.anchors[row] = append(l.anchors[row], anchored{leaf.Seq, n, root})
	return nil
}

// anchored compares a log with what the system's log says of it.
func (l *logCheck) anchored(head *command.Head, anchors []anchored) error {
	last := uint64(0)
	for _, a := range anchors {
		at := fmt.Sprintf("%s, leaf %d", audit.System, a.seq) // of the same epoch
		if a.size <= last || a.size > head.Size {
			if err := l.found("anchor", at, "it says that %s has %d leaves, after %d, of %d", l.name, a.size, last, head.Size); err != nil {
				return err
			}
			continue
		}
		last = a.size
		root, err := audit.Root(int64(a.size), l.hashes(head))
		if err := l.expect(err == nil && root.String() == a.root, "anchor", at, "it has another root of the first %d leaves of %s", a.size, l.name); err != nil {
			return err
		}
	}
	return l.expect(head.Anchored == last, "anchor", l.name, "its head was anchored at %d leaves, the log of the system says %d", head.Anchored, last)
}

// hashes of the log, wherever they are.
func (l *logCheck) hashes(head *command.Head) audit.Hashes { return everyHash{l, int64(head.Sealed)} }

type everyHash struct {
	l      *logCheck
	sealed int64
}

func (e everyHash) Hash(index int64) (tlog.Hash, error) {
	of := hashesOf(e.l, e.l.name)
	level, n := tlog.SplitStoredHashIndex(index)
	if level >= segment.Height || (n+1)<<level > e.sealed {
		return of.Hash(index)
	}
	at := n << level >> segment.Height
	root, err := of.Hash(tlog.StoredHashIndex(segment.Height, at))
	if err != nil {
		return tlog.Hash{}, err
	}
	return e.l.segments.Hash(e.l.origin, root, at, level, n)
}
