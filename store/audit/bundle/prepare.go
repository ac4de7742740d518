package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"gatehouse/store/audit"
)

// signatureText is what bundle.sig signs.
func signatureText(origin string, manifest []byte, at time.Time) string {
	return fmt.Sprintf("%s\n%s\n%x\n%s\n", signatureHeader, origin, sha256.Sum256(manifest), at.UTC().Format(time.RFC3339))
}

const signatureHeader = "gatehouse/bundle/1"

// Prepared is a bundle of which everything is known but the leaves are not kept.
type Prepared struct {
	export  *Export
	members []prepared
}

// prepared member; body is nil for entries, which are read again.
type prepared struct {
	file
	body  []byte
	first int64
	end   int64
}

// Prepare reads the leaves once, for sizes and hashes.
func (e *Export) Prepare(ctx context.Context) (*Prepared, error) {
	m, err := e.manifest()
	if err != nil {
		return nil, err
	}
	p := &Prepared{export: e}
	if err := p.before(m); err != nil {
		return nil, err
	}
	if err := p.leaves(ctx, m); err != nil {
		return nil, err
	}
	for _, member := range p.members {
		m.Files = append(m.Files, member.file)
	}
	if _, err := m.match(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	b, err := m.encode()
	if err != nil {
		return nil, err
	}
	sig, err := e.Sign(signatureText(e.Origin, b, e.Now()))
	if err != nil {
		return nil, fmt.Errorf("signing the manifest of the bundle: %w", err)
	}
	if len(sig) > audit.MaxCheckpoint {
		return nil, fmt.Errorf("%w: its signature has %d bytes", ErrExport, len(sig))
	}
	p.members = append([]prepared{inMemory(manifestName, b), inMemory(signatureName, sig)}, p.members...)
	return p, nil
}

func inMemory(name string, body []byte) prepared {
	sum := sha256.Sum256(body)
	if body == nil {
		body = []byte{}
	}
	return prepared{file: file{Name: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}, body: body}
}

func (p *Prepared) add(name string, body []byte) {
	p.members = append(p.members, inMemory(name, body))
}

// before adds what stands before the leaves.
func (p *Prepared) before(m *manifest) error {
	e := p.export
	end, err := e.head(e.End, e.To, endName)
	if err != nil {
		return err
	}
	if e.From > 0 {
		start, err := e.head(e.Start, e.From, startName)
		if err != nil {
			return err
		}
		proof, err := audit.ConsistencyProof(e.From, e.To, e.Hashes)
		if err != nil {
			return err
		}
		if err := audit.VerifyConsistency(e.From, e.To, proof, start.Root, end.Root); err != nil {
			return fmt.Errorf("%w: %w", ErrChanged, err)
		}
		c, err := compactOf(e.From, e.Hashes)
		if err != nil {
			return err
		}
		if c.root() != start.Root {
			return fmt.Errorf("%w: its stored hashes at size %d differ from the checkpoint", ErrChanged, e.From)
		}
		p.add(startName, e.Start)
		p.add(endName, e.End)
		p.add(consistencyName, formatHashes(proof))
		p.add(rangeName, formatHashes(c.hashes))
	} else {
		p.add(endName, e.End)
	}
	if m.System != nil {
		if err := p.system(m, end); err != nil {
			return err
		}
	}
	var keys []byte
	for _, k := range e.Keys {
		b, err := k.encode()
		if err != nil {
			return err
		}
		keys = append(keys, b...)
	}
	p.add(keysName, keys)
	return nil
}

// system adds the slice of the system's log, once it is sure to verify.
func (p *Prepared) system(m *manifest, end *audit.Checkpoint) error {
	s := p.export.System
	head, err := audit.ParseCheckpoint(s.End)
	if err != nil {
		return err
	}
	if m.System.From > 0 {
		start, err := audit.ParseCheckpoint(s.Start)
		if err != nil {
			return err
		}
		if err := audit.VerifyConsistency(start.Size, head.Size, s.Consistency, start.Root, head.Root); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrExport, systemConsistencyName, err)
		}
		p.add(systemStartName, s.Start)
		p.add(systemEndName, s.End)
		p.add(systemConsistencyName, formatHashes(s.Consistency))
	} else {
		p.add(systemEndName, s.End)
	}
	order := newAnchorOrder(m)
	var (
		lines []byte
		last  anchored
	)
	for _, a := range s.Anchors {
		if last, err = a.verify(head, p.export.Origin); err != nil {
			return fmt.Errorf("%w: anchor %d: %w", ErrExport, a.Seq, err)
		}
		if err := order.next(a.Seq, last.size); err != nil {
			return fmt.Errorf("%w: anchor %d: %w", ErrExport, a.Seq, err)
		}
		lines = append(lines, a.encode()...)
	}
	if err := order.end(); err != nil {
		return fmt.Errorf("%w: %w", ErrExport, err)
	}
	p.add(anchorsName, lines)
	if last.size > end.Size {
		if err := audit.VerifyConsistency(end.Size, last.size, s.Beyond, end.Root, last.root); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrExport, beyondName, err)
		}
		p.add(beyondName, formatHashes(s.Beyond))
	}
	return nil
}

// leaves adds the entries and what is told of them.
func (p *Prepared) leaves(ctx context.Context, m *manifest) error {
	e := p.export
	end, err := e.head(e.End, e.To, endName)
	if err != nil {
		return err
	}
	tree, err := compactOf(e.From, e.Hashes)
	if err != nil {
		return err
	}
	erasures := side{name: erasuresName, max: maxSide}
	var sealed *sealer
	if e.Openings != nil {
		if sealed, err = newSealer(e.Recipient, e.Origin, e.From, e.To); err != nil {
			return err
		}
	}
	commitments := 0
	entries := chunks{to: e.To}
	err = e.pass(ctx, 0, func(seq int64, b []byte) error {
		if done := entries.add(seq, b); done != nil {
			p.members = append(p.members, *done)
		}
		tree.append(b)
		l, err := audit.DecodeLeaf(b)
		if err != nil {
			return fmt.Errorf("%w: leaf %d: %w", ErrChanged, seq, err)
		}
		if m.Challenge != nil && seq == *m.Challenge && !answers(l, m.Nonce) {
			return fmt.Errorf("%w: leaf %d does not have the auditor's nonce", ErrExport, seq)
		}
		if erasure(l.Action) {
			if err := erasures.add(erasureLine(l)); err != nil {
				return err
			}
		}
		if sealed != nil && len(l.PII) > 0 {
			if commitments += len(l.PII); commitments > maxCommitments {
				return fmt.Errorf("%w: more than %d personal values, with disclosures", ErrTooLarge, maxCommitments)
			}
			openings, err := e.Openings(l)
			if err != nil {
				return fmt.Errorf("openings of leaf %d: %w", seq, err)
			}
			if len(openings) > 0 {
				if err := sealed.seal(l, openings); err != nil {
					return err
				}
			}
		}
		if e.Report != nil {
			return e.Report.Add(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if tree.root() != end.Root {
		return fmt.Errorf("%w: its leaves hash to %v at size %d, the checkpoint has %v", ErrChanged, tree.root(), e.To, end.Root)
	}
	p.add(erasuresName, erasures.b)
	if sealed != nil {
		p.add(disclosuresName, sealed.out.b)
	}
	if e.Report != nil {
		page := side{name: reportName, max: maxReport}
		if err := e.Report.Render(&page); err != nil {
			return err
		}
		p.add(reportName, page.b)
	}
	return nil
}

// chunks cuts the leaves into members, and hashes each.
type chunks struct {
	to   int64
	open *prepared
	sum  hash.Hash
}

// add a leaf. It gives the member that the leaf completes.
func (c *chunks) add(seq int64, leaf []byte) *prepared {
	if c.open == nil {
		c.open = &prepared{file: file{Name: entriesName(seq)}, first: seq, end: min(c.to, (seq/chunk+1)*chunk)}
		c.sum = sha256.New()
	}
	c.sum.Write(leaf)
	c.sum.Write([]byte{'\n'})
	c.open.Size += int64(len(leaf)) + 1
	if seq+1 < c.open.end {
		return nil
	}
	done := c.open
	done.SHA256, c.open = hex.EncodeToString(c.sum.Sum(nil)), nil
	return done
}

// side is a member that is kept in memory while the bundle is made.
type side struct {
	name string
	max  int
	b    []byte
}

func (s *side) add(line []byte) error {
	_, err := s.Write(line)
	return err
}

func (s *side) Write(b []byte) (int, error) {
	if len(s.b)+len(b) > s.max {
		return 0, fmt.Errorf("%w: %s has more than %d bytes", ErrTooLarge, s.name, s.max)
	}
	s.b = append(s.b, b...)
	return len(b), nil
}

// answers tells whether a leaf is the record of the auditor's nonce.
func answers(l *audit.Leaf, nonce string) bool {
	return l.Action == audit.AuditChallenge && l.Data["nonce"] == nonce
}
