package state

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
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
	mono         audit.Time
	anchors      map[string][]anchored
}

// log checks an audit log: its leaves, its tree and what was anchored of it.
// It gives the anchors that the log itself holds, by log.
func (c *check) log(name string, anchors []anchored) (map[string][]anchored, error) {
	head, err := load[command.Head](c, heads, key(name))
	if errors.Is(err, ErrNotFound) {
		head = &command.Head{}
	} else if err != nil {
		return nil, c.found("row", where(heads, key(name)), "it cannot be read: %v", err)
	}
	l := &logCheck{check: c, name: name, anchors: map[string][]anchored{}}
	if l.origin, err = origin(c, name); err != nil {
		return nil, c.found("log", name, "it has no origin: %v", err)
	}
	prefix := under(name)
	err = c.each(leaves, prefix, func(k, v []byte) error {
		seq, ok := sequence(k, len(prefix))
		if !ok || seq >= head.Size {
			return c.found("log", where(leaves, k), "a leaf beyond the %d of the log", head.Size)
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
	if err := l.strayHashes(head.Size); err != nil {
		return nil, err
	}
	return l.anchors, l.anchored(head, anchors)
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
	first := tlog.StoredHashIndex(0, int64(seq))
	made, err := tlog.StoredHashesForRecordHash(int64(seq), leaf, &l.edge)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	for i, h := range made {
		l.edge[i] = h // one of each level, from the leaf's up
		stored, err := hashesOf(l, l.name).Hash(first + int64(i))
		if err != nil || stored != h {
			return l.found("log", l.at(seq), "the stored hash %d does not follow from the leaves", first+int64(i))
		}
	}
	return nil
}

func (l *logCheck) strayHashes(size uint64) error {
	prefix := under(l.name)
	return l.each(hashes, prefix, func(k, _ []byte) error {
		index, ok := sequence(k, len(prefix))
		return l.expect(ok && index < uint64(tlog.StoredHashCount(int64(size))), "log", where(hashes, k), "a hash beyond the %d leaves of the log", size)
	})
}

// anchor notes what the system's log says of another log.
func (l *logCheck) anchor(leaf *audit.Leaf) error {
	size, _ := leaf.Data["size"].(string)
	root, _ := leaf.Data["root"].(string)
	name, _ := leaf.Data["origin"].(string)
	n, err := strconv.ParseUint(size, 10, 63)
	want, originErr := origin(l, leaf.Object.ID)
	if l.name != audit.System || err != nil || originErr != nil || name != want {
		return l.found("anchor", l.at(uint64(leaf.Seq)), "it cannot be read")
	}
	l.anchors[leaf.Object.ID] = append(l.anchors[leaf.Object.ID], anchored{leaf.Seq, n, root})
	return nil
}

// anchored compares a log with what the system's log says of it.
func (l *logCheck) anchored(head *command.Head, anchors []anchored) error {
	last := uint64(0)
	for _, a := range anchors {
		at := fmt.Sprintf("%s, leaf %d", audit.System, a.seq)
		if a.size <= last || a.size > head.Size {
			if err := l.found("anchor", at, "it says that %s has %d leaves, after %d, of %d", l.name, a.size, last, head.Size); err != nil {
				return err
			}
			continue
		}
		last = a.size
		root, err := audit.Root(int64(a.size), hashesOf(l, l.name))
		if err := l.expect(err == nil && root.String() == a.root, "anchor", at, "it has another root of the first %d leaves of %s", a.size, l.name); err != nil {
			return err
		}
	}
	return l.expect(head.Anchored == last, "anchor", l.name, "its head was anchored at %d leaves, the log of the system says %d", head.Anchored, last)
}
