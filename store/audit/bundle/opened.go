package bundle

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"gatehouse/store/audit"
)

// committed is a commitment of a leaf, with its field, as a hash.
type committed struct {
	seq int64
	sum [sha256.Size]byte
}

func commitmentSum(field string, c audit.Commitment) [sha256.Size]byte {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(field)))
	h.Write(n[:])
	io.WriteString(h, field)
	h.Write(c[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// commitments waits for the disclosures, which come after the leaves.
type commitments struct {
	blocks [][]committed // so that it grows without being copied
	n      int
	at     int // reading position
}

// commitmentBlock entries are 1.3 MB.
const commitmentBlock = 1 << 15

// add those of a leaf; false where there are too many.
func (s *commitments) add(seq int64, pii map[string]audit.Commitment) bool {
	if s.n+len(pii) > maxCommitments {
		return false
	}
	for field, c := range pii {
		if s.n%commitmentBlock == 0 {
			s.blocks = append(s.blocks, make([]committed, 0, commitmentBlock))
		}
		last := &s.blocks[len(s.blocks)-1]
		*last = append(*last, committed{seq, commitmentSum(field, c)})
		s.n++
	}
	return true
}

// of a leaf. Calls must come with rising seq.
func (s *commitments) of(seq int64) map[[sha256.Size]byte]bool {
	found := map[[sha256.Size]byte]bool{}
	for ; s.at < s.n; s.at++ {
		c := &s.blocks[s.at/commitmentBlock][s.at%commitmentBlock]
		if c.seq > seq {
			break
		}
		if c.seq == seq {
			found[c.sum] = true
		}
	}
	return found
}

// takeDisclosures checks their form, and with a key that they open commitments.
// What ends the bundle too early is found again by whoever reads on.
func (c *check) takeDisclosures(r io.Reader) {
	if !c.disclosures {
		c.note("there are disclosures, which were not opened: no key was given")
	}
	if seq, err := c.disclosed(bufio.NewReaderSize(r, maxSealedLine+1)); err != nil {
		c.find(stepDisclosures, CodeDisclosure, seq, "%s: %s", disclosuresName, err)
	}
}

// disclosed reads all lines. With an error it gives the leaf, where it is one's.
func (c *check) disclosed(lines *bufio.Reader) (*int64, error) {
	line, err := oneLine(lines)
	if err != nil {
		return nil, err
	}
	h, err := parseLine(line, (*sealHeader).encode)
	if err != nil {
		return nil, err
	}
	if h.AEAD != aead().ID() || h.KDF != kdf().ID() || h.KEM != kem().ID() {
		return nil, fmt.Errorf("%w: sealed by algorithms that this program does not know", errForm)
	}
	if h.Info != sealInfo(c.m.Origin, c.m.From, c.m.To) {
		return nil, fmt.Errorf("%w: sealed for another bundle", errForm)
	}
	var o *opener
	if c.disclosures {
		if o, err = newOpener(c.o.Secret, h); err != nil {
			return nil, fmt.Errorf("sealed for another key, or altered: %w", err)
		}
	}
	for last := c.m.From - 1; ; {
		line, err := oneLine(lines)
		if err == io.EOF {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		l, err := parseLine(line, (*sealedLine).encode)
		if err != nil {
			return nil, err
		}
		if l.Seq <= last || l.Seq >= c.m.To {
			return nil, fmt.Errorf("%w: leaf %d is not in its place", errForm, l.Seq)
		}
		last = l.Seq
		if o == nil {
			continue
		}
		if err := c.open(o, l); err != nil {
			return &l.Seq, err
		}
	}
}

// open the values of a leaf: they must be what was logged.
func (c *check) open(o *opener, l *sealedLine) error {
	openings, err := o.open(l)
	if err != nil {
		return fmt.Errorf("leaf %d: sealed for another key, or altered: %w", l.Seq, err)
	}
	logged := c.commitments.of(l.Seq)
	for _, opening := range openings {
		made, err := opening.Commit(c.m.Tenant)
		if err != nil || !logged[commitmentSum(opening.Field, made)] {
			return fmt.Errorf("leaf %d: what is disclosed as %.60q is not what was logged", l.Seq, opening.Field)
		}
		c.v.Disclosed++
		if c.o.Opened != nil {
			c.o.Opened(l.Seq, opening)
		}
	}
	return nil
}
