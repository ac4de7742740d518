package bundle

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"gatehouse/store/audit"
)

// future is how far a leaf's time may lie ahead of the auditor's clock, which
// may be in another zone and badly set.
const future = 24 * time.Hour

// takeEntries checks the leaves of a member, each in the place where it stands.
func (c *check) takeEntries(s slot, r io.Reader) error {
	if c.next != s.first {
		c.missing(c.next, s.first)
	}
	const readBuffer = 256 << 10 // more than a leaf
	lines := bufio.NewReaderSize(r, readBuffer)
	for seq, end := s.first, s.first+s.leaves; ; seq++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			if seq < end {
				c.missing(seq, end)
			}
			return nil
		}
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if seq == end {
			c.torn = true
			c.find(stepOrder, CodeOrder, &seq, "there are more leaves than the %d of %s", s.leaves, s.name)
			return nil
		}
		if err != nil || len(line) > audit.MaxLeaf+1 {
			c.find(stepForm, CodeAltered, &seq, "leaf %d is longer than a leaf may be, or does not end", seq)
			for err == bufio.ErrBufferFull { // the rest of the line
				_, err = lines.ReadSlice('\n')
			}
			if err != nil && err != io.EOF {
				return err
			}
			line = []byte{'\n'} // it hashes to nothing that was signed
		}
		c.leaf(seq, line[:len(line)-1])
	}
}

// missing leaves from seq up to end.
func (c *check) missing(seq, end int64) {
	c.torn, c.next = true, end
	c.find(stepOrder, CodeOrder, &seq, "leaf %d is missing, or one after it up to %d", seq, end-1)
}

// leaf checks the leaf that stands in place seq.
func (c *check) leaf(seq int64, b []byte) {
	c.v.Leaves++
	c.next = seq + 1
	if !c.torn {
		c.tree.append(b)
		c.compareAnchors()
	}
	l, err := audit.DecodeLeaf(b)
	if err != nil {
		c.find(stepForm, CodeAltered, &seq, "leaf %d: %s", seq, err)
		return
	}
	switch {
	case l.Log != c.m.Origin:
		c.find(stepOrder, CodeOrder, &seq, "in place of leaf %d stands one of the log %s", seq, l.Log)
	case l.Seq > seq:
		c.find(stepOrder, CodeOrder, &seq, "leaf %d is missing here: leaf %d stands in its place", seq, l.Seq)
	case l.Seq < seq:
		c.find(stepOrder, CodeOrder, &seq, "leaf %d stands where leaf %d belongs", l.Seq, seq)
	}
	c.time(seq, l)
	if c.m.Challenge != nil && seq == *c.m.Challenge && answers(l, c.m.Nonce) {
		c.fresh = true
	}
	if erasure(l.Action) {
		line := erasureLine(l)
		c.v.Erasures++
		c.erasures.sum.Write(line)
		c.erasures.size += int64(len(line))
	}
	if c.disclosures && !c.commitments.add(seq, l.PII) {
		c.find(stepDisclosures, CodeDisclosure, &seq, "there are more than %d personal values in a bundle with disclosures", maxCommitments)
	}
}

// clock follows ts_mono.
type clock struct {
	known  bool // from the second leaf on, or from the first of the log
	latest audit.Time
}

func (c *check) time(seq int64, l *audit.Leaf) {
	k := &c.clock
	if !k.known {
		c.v.FirstTime = l.TS
		if last, ok := c.o.Memory.Last(c.m.Origin); ok && last.Size == seq && last.Latest > 0 {
			k.latest = last.Latest
		} else if seq > 0 {
			k.latest = l.TSMono // of a leaf before, or of this one
		}
		k.known = true
	}
	k.latest = max(k.latest, l.TS)
	switch {
	case l.TSMono != k.latest:
		c.find(stepTime, CodeTime, &seq, "leaf %d: ts_mono is %s, and the latest ts so far is %s", seq, l.TSMono, k.latest)
	case l.TS < k.latest-audit.Time(c.o.ClockTolerance):
		c.find(stepTime, CodeTime, &seq, "leaf %d: ts %s is behind %s, by more than %s", seq, l.TS, k.latest, c.o.ClockTolerance)
	case l.TS > audit.Time(c.o.Now.Add(future).UnixNano()):
		c.find(stepTime, CodeTime, &seq, "leaf %d: ts %s is in the future", seq, l.TS)
	}
	k.latest = max(k.latest, l.TSMono)
	c.v.LastTime = k.latest
}

// takeErasures: the list must be the one that the leaves give.
func (c *check) takeErasures(f file) {
	if f.Size != c.erasures.size || f.SHA256 != hex.EncodeToString(c.erasures.sum.Sum(nil)) {
		c.find(stepErasures, CodeOrder, nil, "%s does not list the %d erasures that the leaves have", erasuresName, c.v.Erasures)
	}
}

// finish checks what can be told only when everything was read.
func (c *check) finish() {
	if c.m.From == c.m.To {
		c.note("it has no records: the range is empty")
	}
	if c.disclosures && c.v.Disclosed < c.commitments.n {
		c.note("%d of the %d personal values of its records are disclosed: the others were erased, or kept back", c.v.Disclosed, c.commitments.n)
	}
	if !c.disclosures && c.o.Secret != nil {
		c.note("nothing is disclosed in it, although you gave a key")
	}
	if c.next < c.m.To {
		c.missing(c.next, c.m.To)
	}
	if !c.torn {
		c.v.Root = c.tree.root()
		if c.end != nil && c.v.Root != c.end.Root {
			first, last := max(c.m.From, c.anchors.same), c.m.To-1
			if c.anchors.differs > 0 {
				last = c.anchors.differs - 1
			}
			c.find(stepRoot, CodeAltered, nil, "the leaves hash to %v, checkpoint-end has %v: one at least of the leaves %d to %d was altered", c.v.Root, c.end.Root, first, last)
		}
	}
	if c.end != nil && c.v.Leaves > 0 {
		for _, w := range c.end.Cosigned {
			if w.At.Before(time.Unix(0, int64(c.v.LastTime)).Add(-c.o.ClockTolerance)) {
				c.find(stepTime, CodeTime, nil, "%s cosigned at %s, before the last leaf's %s", w.Name, w.At.Format(time.RFC3339), c.v.LastTime)
			}
		}
	}
	switch {
	case c.m.Nonce != "" && !c.fresh:
		c.find(stepFreshness, CodeStale, c.m.Challenge, "leaf %d does not record the nonce", *c.m.Challenge)
	case c.o.Nonce == "":
	case c.m.Nonce != c.o.Nonce:
		c.find(stepFreshness, CodeStale, nil, "it answers the nonce %q, not %.128q", c.m.Nonce, c.o.Nonce)
	}
}
