package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
)

func witnessCommand() command {
	return command{
		name: "audit witness", plain: true, args: "BUNDLE|CHECKPOINT --key FILE --trust FILE --state FILE --out FILE", summary: "cosign the log's head, once it is verified",
		manual: `
Cosigns (C2SP tlog-cosignature) the head that a bundle ends with, into --out, and
the system's head of a tenant's bundle into FILE.system. The bank keeps them with
'audit cosign'; from then on no other history of that size can be shown to anyone
who asks for your signature.

The bundle is verified as 'audit verify' does it, but for the quorum of witnesses.
It must go on from what --state has: the file of this key alone, which is written
before a signature leaves. --first-use takes, once, a head of which the state has
nothing and that does not begin at 0. Never is anything cosigned that is smaller
than what was cosigned before, or contradicts it.

A bare CHECKPOINT proves no records. It is cosigned where the state has that very
head, or nothing of its log and --first-use is given.

A policy whose quorum asks for you asks it of both heads, so the bank keeps both:
FILE as an auditor or compliance, FILE.system as platform_admin. Then it exports the
same range again, with --to, and the bundle carries your signatures.

Exit codes: those of 'audit verify'.

Example:
  gatehouse audit witness bank-2026-q4.ekab --key auditor.key --trust bank.policy --state witness.state --out to-the-bank.checkpoint`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var w witnessFlags
			w.files.define(fs)
			fs.StringVar(&w.key, "key", "", "cosign with the secret key in this `FILE`")
			fs.StringVar(&w.out, "out", "", "write the cosigned checkpoint into this `FILE`")
			fs.StringVar(&w.evidence, "evidence", "", "write the evidence of a fork into this `FILE` (default: BUNDLE.fork.json)")
			fs.BoolVar(&w.firstUse, "first-use", false, "accept a log of which the state has nothing, in the middle")
			defineNonce(fs, &w.nonce)
			return w.run
		},
	}
}

type witnessFlags struct {
	files                     auditorFiles
	key, out, evidence, nonce string
	firstUse                  bool
}

// cosigned are the heads that were cosigned.
type cosigned struct {
	Witness string         `json:"witness"` // its public key
	At      time.Time      `json:"at"`
	Heads   []cosignedHead `json:"heads"`
}

type cosignedHead struct {
	File   string    `json:"file"`
	Origin string    `json:"origin"`
	Size   int64     `json:"size"`
	Root   tlog.Hash `json:"root"`
}

func (w *witnessFlags) run(ctx context.Context, c *call, args []string) error {
	if err := arguments(args, "BUNDLE or CHECKPOINT"); err != nil {
		return err
	}
	if w.key == "" || w.files.trust == "" || w.files.state == "" || w.out == "" {
		return fmt.Errorf("%w: it needs --key FILE, --trust FILE, --state FILE and --out FILE", errUsage)
	}
	for _, out := range []string{w.out, w.out + ".system"} {
		for _, in := range []string{w.key, w.files.trust, w.files.state, args[0]} {
			if sameFile(out, in) {
				return &inputError{out, errors.New("it would overwrite what is read: name another file with --out")}
			}
		}
	}
	key, err := w.readKey()
	if err != nil {
		return err
	}
	o := bundle.Options{FirstUse: w.firstUse, Nonce: w.nonce, Now: time.Now()}
	if o.Policy, err = w.files.policy(); err == nil {
		o.Policy, err = withoutQuorum(o.Policy)
	}
	if err != nil {
		return err
	}
	state, err := w.files.hold()
	if err != nil {
		return err
	}
	defer state.release()
	o.Memory = state.memory
	in, err := openBundle(args[0])
	if err != nil {
		return err
	}
	defer in.Close()
	note := in.checkpoint()
	var v *bundle.Verdict
	if note != nil && w.nonce != "" {
		return fmt.Errorf("%w: a bare CHECKPOINT answers no nonce: give the BUNDLE, or no --nonce", errUsage)
	}
	if note != nil {
		v = bare(note, o)
	} else if v, err = in.verify(ctx, c, o); err != nil {
		return err
	}
	if !v.Good && !repeated(v, state.memory) {
		shown := newAudited(args[0], v)
		shown.keep(c, w.evidence)
		shown.Next = next(v, state)
		c.exit = v.Code
		show(c, shown, (*audited).describe)
		return nil
	}
	if v.Good {
		err := state.remember(func(m *trust.Memory) error {
			if note != nil {
				return m.Remember(&v.End.Checkpoint, note, 0, o.Now)
			}
			return v.Remember(m, o.Now)
		})
		if err != nil {
			return err
		}
	}
	done, err := w.cosign(key, v, state.memory, o.Now)
	if err != nil {
		return err
	}
	show(c, done, (*cosigned).describe)
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false // nothing is there yet
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func (w *witnessFlags) readKey() (*trust.Witness, error) {
	b, err := readPrivate(w.key)
	if err != nil {
		return nil, err
	}
	k, err := trust.ParseWitness(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, &inputError{w.key, err}
	}
	return k, nil
}

// withoutQuorum is the policy of one who cosigns first.
func withoutQuorum(p *trust.Policy) (*trust.Policy, error) {
	text := p.String()
	return trust.ParsePolicy([]byte(text[:strings.LastIndex(text, "quorum ")] + "quorum none\n"))
}

// checkpoint gives what the file is where it is a bare checkpoint, else nil.
func (b *bundleFile) checkpoint() []byte {
	start := bufio.NewReaderSize(b.r, audit.MaxCheckpoint+1)
	b.r = start
	note, err := start.Peek(audit.MaxCheckpoint + 1)
	if !errors.Is(err, io.EOF) {
		return nil
	}
	if _, err := audit.ParseCheckpoint(note); err != nil {
		return nil
	}
	return bytes.Clone(note)
}

// bare gives the verdict on a checkpoint without records.
func bare(note []byte, o bundle.Options) *bundle.Verdict {
	v := &bundle.Verdict{}
	find := func(code int, step, meaning, format string, args ...any) *bundle.Verdict {
		v.Code, v.Finding = code, &bundle.Finding{Code: code, Step: step, Detail: fmt.Sprintf(format, args...), Meaning: meaning}
		return v
	}
	c, err := audit.ParseCheckpoint(note)
	if err == nil {
		v.Origin, v.From, v.To = c.Origin, c.Size, c.Size
		v.End, err = o.Policy.Verify(note, c.Origin)
	}
	switch {
	case errors.Is(err, trust.ErrUnknownKey):
		return find(bundle.CodeUnknownKey, "signature", "It is not signed by a key that you have pinned.", "%s", err)
	case err != nil:
		return find(bundle.CodeSignature, "signature", "A signature does not hold.", "%s", err)
	}
	last, known := o.Memory.Last(c.Origin)
	switch {
	case !known && !o.FirstUse:
		return find(bundle.CodeStart, "start", "Nothing was verified of this log before.", "your state has nothing of %s", c.Origin)
	case known && c.Size == last.Size && c.Root != last.Root:
		if e := trust.NewEvidence([]byte(last.Checkpoint), note, tlog.Hash{}, nil); e.Check(o.Policy) == nil {
			v.Evidence = e
		}
		return find(bundle.CodeFork, "start", "The log contradicts itself: it has signed two histories.", "%s at size %d has the root %v, it was %v", c.Origin, c.Size, c.Root, last.Root)
	case known && c.Size < last.Size:
		return find(bundle.CodeStart, "start", "It is older than what you cosigned.", "it is of size %d, your state has %d", c.Size, last.Size)
	case known && c.Size > last.Size:
		return find(bundle.CodeStart, "start", "Nothing shows that it goes on from what you verified.", "it is of size %d, your state has %d: a bundle is needed", c.Size, last.Size)
	}
	v.Good = true
	return v
}

// repeated tells whether a bundle ends with the very heads that the state has: it
// was verified before, and what was to be cosigned then may be cosigned now.
func repeated(v *bundle.Verdict, m *trust.Memory) bool {
	same := func(h *trust.Verified) bool {
		last, ok := m.Last(h.Origin)
		return ok && last.Size == h.Size && last.Root == h.Root
	}
	return v.Code == bundle.CodeStart && v.End != nil && same(v.End) && (v.SystemEnd == nil || same(v.SystemEnd))
}

// cosign the heads as the state has them: it was written before.
func (w *witnessFlags) cosign(key *trust.Witness, v *bundle.Verdict, m *trust.Memory, at time.Time) (*cosigned, error) {
	done := &cosigned{Witness: key.Vkey(), At: at.UTC().Truncate(time.Second)}
	files := map[string]string{v.Origin: w.out}
	origins := []string{v.Origin}
	if v.SystemEnd != nil {
		files[v.SystemEnd.Origin] = w.out + ".system"
		origins = append(origins, v.SystemEnd.Origin)
	}
	for _, origin := range origins {
		head, ok := m.Last(origin)
		if !ok {
			return nil, fmt.Errorf("%s is empty: there is nothing to cosign", origin)
		}
		b, err := key.Cosign([]byte(head.Checkpoint), at)
		if err != nil {
			return nil, err
		}
		if err := writeWhole(files[origin], b); err != nil {
			return nil, err
		}
		done.Heads = append(done.Heads, cosignedHead{files[origin], origin, head.Size, head.Root})
	}
	return done, nil
}

func (k *cosigned) describe() string {
	var w strings.Builder
	for _, h := range k.Heads {
		fmt.Fprintf(&w, "Cosigned: %s at size %d\n", oneLine(h.Origin), h.Size)
		line(&w, "root", h.Root.String())
		line(&w, "written to", h.File)
	}
	w.WriteString("\nGive them to the bank, which keeps them with 'gatehouse audit cosign'.\n")
	return w.String()
}
