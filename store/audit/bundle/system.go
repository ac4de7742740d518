package bundle

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// anchors that the slice of the system's log has of the log.
type anchors struct {
	order  anchorOrder
	ahead  []anchored // whose sizes the tree has not yet reached
	last   anchored
	wrong  bool // they cannot be relied on, which is a finding
	beyond bool // the proof from the end to the last was there

	same    int64 // up to this size the leaves are those that were anchored
	differs int64 // up to this, they are not; 0: not seen
}

func (c *check) takeSystemConsistency(b []byte) error {
	proof, err := parseHashes(b)
	if err != nil {
		return err
	}
	s := c.m.System
	if c.systemStart == nil || c.systemEnd == nil {
		return nil
	}
	if err := audit.VerifyConsistency(s.From, s.To, proof, c.systemStart.Root, c.systemEnd.Root); err != nil {
		c.fork(stepSystem, c.systemStart.note, c.systemEnd.note, tlog.Hash{}, proof, "%s: %s", s.Origin, err)
	}
	return nil
}

// takeAnchors checks each as it comes, and keeps size and root.
func (c *check) takeAnchors(r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxAnchorLine+1)
	for {
		line, err := oneLine(lines)
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		a, err := parseAnchor(line)
		if err != nil {
			return err
		}
		c.anchor(a)
	}
	if c.anchors.wrong {
		return nil
	}
	if err := c.anchors.order.end(); err != nil {
		c.anchors.wrong = true
		c.find(stepSystem, CodeOrder, nil, "%s: %s", anchorsName, err)
	}
	return nil
}

func (c *check) anchor(a *Anchor) {
	s := &c.anchors
	if s.wrong = s.wrong || c.systemEnd == nil; s.wrong {
		return
	}
	said, err := a.verify(&c.systemEnd.Checkpoint, c.m.Origin)
	if err == nil {
		err = s.order.next(a.Seq, said.size)
	}
	if err != nil {
		s.wrong = true
		c.find(stepSystem, CodeFork, nil, "leaf %d of %s: %s", a.Seq, c.m.System.Origin, err)
		return
	}
	s.last = said
	if said.size <= c.m.To {
		s.ahead = append(s.ahead, said)
	}
}

// takeBeyond checks that the last anchor, of a tree that has grown since, is of
// a tree that begins with this one.
func (c *check) takeBeyond(b []byte) error {
	proof, err := parseHashes(b)
	if err != nil {
		return err
	}
	s := &c.anchors
	s.beyond = true
	if s.wrong || c.end == nil {
		return nil
	}
	if s.last.size <= c.m.To {
		return fmt.Errorf("%w: the last anchor is not beyond the end", errForm)
	}
	if err := audit.VerifyConsistency(c.m.To, s.last.size, proof, c.end.Root, s.last.root); err != nil {
		c.find(stepSystem, CodeFork, nil, "the system's log anchors %s at size %d: %s", c.m.Origin, s.last.size, err)
	}
	return nil
}

// covered: a last anchor beyond the end needs its proof.
func (s *anchors) covered(to int64) error {
	if !s.wrong && s.last.size > to && !s.beyond {
		return fmt.Errorf("%w: %s is missing before it", errForm, beyondName)
	}
	return nil
}

// compareAnchors compares what was anchored of the tree as it is now.
func (c *check) compareAnchors() {
	s := &c.anchors
	if len(s.ahead) == 0 || s.ahead[0].size != c.tree.size {
		return
	}
	said := s.ahead[0]
	s.ahead = s.ahead[1:]
	switch root := c.tree.root(); {
	case root == said.root:
		s.same = said.size
	case s.differs == 0:
		s.differs = said.size
		c.find(stepSystem, CodeFork, nil, "%s at size %d has the root %v, the system's log has anchored %v", c.m.Origin, said.size, root, said.root)
	}
}

// oneLine gives the next line without its end; io.EOF after the last.
func oneLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case err == nil:
		return bytes.TrimSuffix(line, []byte{'\n'}), nil
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err == io.EOF:
		return nil, fmt.Errorf("%w: the last line does not end", errForm)
	case err == bufio.ErrBufferFull:
		return nil, fmt.Errorf("%w: a line is too long", errForm)
	}
	return nil, err
}
