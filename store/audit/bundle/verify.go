package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// Options are what the auditor brings along.
type Options struct {
	Policy *trust.Policy // needed
	// Memory is what was verified before; nil is an empty one. A bundle must begin
	// where it ends, for the log and for the system's log.
	Memory *trust.Memory
	// FirstUse accepts a bundle that begins later than its log, where Memory has
	// nothing of that log.
	FirstUse bool
	Nonce    string  // given before the export; empty: none was
	Secret   *Secret // opens the disclosures; nil leaves them sealed
	// Opened is called for each value that was disclosed and opens its
	// commitment. It counts only if the verdict is good.
	Opened func(seq int64, o audit.Opening)

	Now            time.Time     // needed
	ClockTolerance time.Duration // 0 is five minutes
	Progress       func(read int64)
}

// check is one verification.
type check struct {
	o Options
	v Verdict
	m *manifest

	best step // of v.Finding

	start, end             *head
	systemStart, systemEnd *head
	proof                  []tlog.Hash // from start to end

	anchors  anchors
	next     int64   // the seq that belongs to the next leaf
	tree     compact // of the leaves so far
	torn     bool    // leaves are missing or too many: the tree ends before them
	clock    clock
	fresh    bool
	erasures struct {
		sum  hash.Hash
		size int64
	}
	disclosures bool // there are some, and a key for them
	commitments commitments
}

// Verify reads a bundle once. An error is the reader's, the context's or that of
// the options: what is wrong with the bundle is in the verdict.
func Verify(ctx context.Context, r io.Reader, o Options) (*Verdict, error) {
	if o.Policy == nil || o.Now.IsZero() {
		return nil, fmt.Errorf("%w: a policy and the time are needed", ErrOptions)
	}
	if o.ClockTolerance == 0 {
		o.ClockTolerance = 5 * time.Minute
	}
	c := &check{o: o}
	c.erasures.sum = sha256.New()
	in := &stream{ctx: ctx, r: r, progress: o.Progress}
	err := c.read(&archive{in})
	if in.err != nil {
		return nil, in.err
	}
	if err != nil {
		c.find(stepManifest, CodeManifest, nil, "%s", err)
	}
	if c.v.Finding == nil {
		c.v.Good = true
	} else {
		c.v.Code = c.v.Finding.Code
	}
	return &c.v, nil
}

// find keeps the finding of the earliest step, and of that the first. It tells
// whether it is this one.
func (c *check) find(s step, code int, leaf *int64, format string, args ...any) bool {
	if c.v.Finding != nil && c.best <= s {
		return false
	}
	c.best = s
	c.v.Finding = &Finding{Code: code, Step: s.String(), Leaf: leaf, Detail: fmt.Sprintf(format, args...), Meaning: meaning(code)}
	return true
}

func (c *check) note(format string, args ...any) {
	c.v.Notes = append(c.v.Notes, fmt.Sprintf(format, args...))
}

// read the members in turn. An error says that it is no bundle, or is the
// stream's.
func (c *check) read(a *archive) error {
	b, err := whole(a, manifestName, maxManifest)
	if err != nil {
		return err
	}
	if c.m, err = parseManifest(b); err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	slots, err := c.m.match()
	if err != nil {
		return fmt.Errorf("%s: %w", manifestName, err)
	}
	c.v.Origin, c.v.Tenant, c.v.From, c.v.To, c.v.Nonce = c.m.Origin, c.m.Tenant, c.m.From, c.m.To, c.m.Nonce
	c.next, c.tree.size = c.m.From, c.m.From
	c.anchors.order = newAnchorOrder(c.m)
	for _, s := range slots {
		c.disclosures = c.disclosures || s.name == disclosuresName && c.o.Secret != nil
	}
	sig, err := whole(a, signatureName, audit.MaxCheckpoint)
	if err != nil {
		return err
	}
	if err := c.signature(sig, sha256.Sum256(b)); err != nil {
		return fmt.Errorf("%s: %w", signatureName, err)
	}
	for i, f := range c.m.Files {
		if err := c.member(a, slots[i], f); err != nil {
			return err
		}
	}
	if err := a.end(); err != nil {
		return err
	}
	c.finish()
	return nil
}

// whole reads a member that the manifest does not list.
func whole(a *archive, name string, max int64) ([]byte, error) {
	m, err := a.next(name, -1, max)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, m.close()
}

func (c *check) member(a *archive, s slot, f file) error {
	m, err := a.next(f.Name, f.Size, s.max)
	if err != nil {
		return err
	}
	sum := sha256.New()
	body := io.TeeReader(m, sum)
	if err := c.take(s, f, body); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s does not have the SHA-256 that the manifest has", errForm, f.Name)
	}
	if err := m.close(); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}

// take what a member says. What it leaves unread is only hashed.
func (c *check) take(s slot, f file, r io.Reader) error {
	switch s.name {
	case anchorsName:
		return c.takeAnchors(r)
	case keysName: // all that stands before the leaves was read
		return c.heads()
	case erasuresName:
		c.takeErasures(f)
		return nil
	case disclosuresName:
		c.takeDisclosures(r)
		return nil
	case reportName:
		return nil
	}
	if s.leaves > 0 {
		return c.takeEntries(s, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch s.name {
	case startName:
		c.start, err = c.head(s.name, b, c.m.Origin, c.m.From)
	case endName:
		c.end, err = c.head(s.name, b, c.m.Origin, c.m.To)
	case systemStartName:
		c.systemStart, err = c.head(s.name, b, c.m.System.Origin, c.m.System.From)
	case systemEndName:
		c.systemEnd, err = c.head(s.name, b, c.m.System.Origin, c.m.System.To)
	case consistencyName:
		c.proof, err = parseHashes(b)
	case rangeName:
		err = c.takeRange(b)
	case systemConsistencyName:
		err = c.takeSystemConsistency(b)
	case beyondName:
		err = c.takeBeyond(b)
	}
	return err
}

// signature checks bundle.sig. An error: the manifest is not what was signed.
func (c *check) signature(sig []byte, manifest [sha256.Size]byte) error {
	text, _, err := c.o.Policy.VerifyNote(sig, c.m.Origin, c.m.To)
	if err != nil {
		c.distrust(signatureName, err)
		return nil
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != signatureHeader || lines[1] != c.m.Origin || lines[4] != "" {
		c.find(stepSignature, CodeSignature, nil, "%s signs another thing: %.100q", signatureName, text)
		return nil
	}
	if lines[2] != hex.EncodeToString(manifest[:]) {
		return fmt.Errorf("%w: the manifest is not the one that was signed", errForm)
	}
	at, err := time.Parse(time.RFC3339, lines[3])
	if err != nil || at.UTC().Format(time.RFC3339) != lines[3] {
		return fmt.Errorf("%w: %.40q is not a time", errForm, lines[3])
	}
	c.v.Exported = at
	return nil
}

// distrust records why a signed note is not trusted.
func (c *check) distrust(name string, err error) {
	switch {
	case errors.Is(err, trust.ErrQuorum):
		c.find(stepQuorum, CodeQuorum, nil, "%s: %s", name, err)
	case errors.Is(err, trust.ErrUnknownKey):
		c.find(stepSignature, CodeUnknownKey, nil, "%s: %s", name, err)
	default:
		c.find(stepSignature, CodeSignature, nil, "%s: %s", name, err)
	}
}

// stream is the reader that the bundle comes from.
type stream struct {
	ctx      context.Context
	r        io.Reader
	read     int64
	told     int64
	progress func(int64)
	err      error // that is not the bundle's fault
}

func (s *stream) Read(b []byte) (int, error) {
	const often = 1 << 20 // bytes between two reports of progress
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(b)
	s.read += int64(n)
	if s.progress != nil && (s.read-s.told >= often || err != nil) {
		s.told = s.read
		s.progress(s.read)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
