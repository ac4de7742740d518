package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/trust"
	"gatehouse/store/disk"
)

// auditorCommands are the auditor's own: they need no node.
func auditorCommands() []command {
	return []command{verifyBundleCommand(), witnessCommand(), keygenCommand(), forkCommand()}
}

func verifyBundleCommand() command {
	return command{
		name: "audit verify", plain: true, args: "BUNDLE --trust FILE", summary: "verify a bundle of the audit log, offline",
		manual: `
Verifies what 'gatehouse audit export' wrote, without a node and without
believing it: that the bundle begins where your last one ended, that every record
between two signed heads is there, once, in order and byte for byte, and that the
system's log has anchored them. Nothing that the bundle brings along is trusted:
its keys.jsonl and report.html are for reading. BUNDLE - is standard input.

--trust names your policy (C2SP tlog-policy): the keys of the logs, which
'gatehouse audit trust' prints and which you compare by another way than the one
the bundles take, and the witnesses that must have cosigned.

--state names the file with what you verified last, one for each series of
bundles. It is read, and written when the bundle is good, so that the next one
must begin there: records that are kept back and logs that are rewritten come to
light. Only you may be able to write it; FILE.lock beside it keeps two runs apart.
--first-use accepts, once, a bundle that begins later than its log.

--nonce is the text that you gave before the export: a bundle that does not have
it is older than your question.

--secret opens what was disclosed to your key ('gatehouse audit keygen
--disclosure'). --disclosed writes it as JSON lines, with mode 0600: seq, action,
subject, field, value. It is personal data.

A log that contradicts itself (31) leaves evidence in BUNDLE.fork.json or the file
that --evidence names: 'gatehouse audit fork' shows it to whoever has your policy.

Exit codes, of the first step that fails, in this order:
   0  good: nothing is missing, altered or out of order
  10  not a bundle, damaged, or not the files that were listed
  20  a signature does not hold
  21  not signed by a key of the policy, or by one that no longer counts
  22  fewer witnesses have cosigned than the policy asks for
  30  does not begin where the state ends: an older bundle, a gap, a rollback
  31  the log has two histories; the evidence file shows it
  40  records are missing, repeated, in another order or too many
  41  a record is not the one that was logged
  50  times contradict each other or the clock
  60  what is disclosed is not what was logged, or not for this key
  70  not made in answer to the nonce
   1  failure; 2 wrong usage; 3 a file of yours was refused

Example, each quarter; the bank runs the first and the third:
  gatehouse audit trust > bank.policy             # once; compare it by telephone
  openssl rand -hex 16                            # your nonce, for the bank
  gatehouse audit export --from 4711 --nonce NONCE --out q4.ekab
  gatehouse audit verify q4.ekab --trust bank.policy --state bank.state --nonce NONCE

Example:
  gatehouse audit verify bank-2026-q4.ekab --trust bank.policy --state bank.state`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var v verifyFlags
			v.files.define(fs)
			fs.BoolVar(&v.firstUse, "first-use", false, "accept a bundle that begins later than its log, where the state has nothing of it")
			defineNonce(fs, &v.nonce)
			fs.StringVar(&v.secret, "secret", "", "open the disclosures with the secret key in this `FILE`")
			fs.StringVar(&v.disclosed, "disclosed", "", "write what was disclosed into this `FILE`, which must not be there")
			fs.StringVar(&v.evidence, "evidence", "", "write the evidence of a fork into this `FILE` (default: BUNDLE.fork.json)")
			fs.DurationVar(&v.tolerance, "clock-tolerance", 5*time.Minute, "accept clocks that are this much `TIME` behind (default: 5m)")
			return v.run
		},
	}
}

type verifyFlags struct {
	files                              auditorFiles
	firstUse                           bool
	nonce, secret, disclosed, evidence string
	tolerance                          time.Duration
}

func (f *verifyFlags) run(ctx context.Context, c *call, args []string) (err error) {
	if err := arguments(args, "BUNDLE"); err != nil {
		return err
	}
	if err := f.check(args); err != nil {
		return err
	}
	o := bundle.Options{FirstUse: f.firstUse, Nonce: f.nonce, Now: time.Now(), ClockTolerance: f.tolerance}
	if o.Policy, err = f.files.policy(); err != nil {
		return err
	}
	if f.secret != "" {
		if o.Secret, err = readDisclosureKey(f.secret); err != nil {
			return err
		}
	}
	state, err := f.files.hold()
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
	var values *disclosures
	if f.disclosed != "" {
		if values, err = newDisclosures(in, f.disclosed); err != nil {
			return err
		}
		defer values.discard()
		o.Opened = values.add
	}
	v, err := in.verify(ctx, c, o)
	if err != nil {
		return err
	}
	shown := newAudited(args[0], v)
	if !v.Good {
		return f.bad(c, shown, state)
	}
	if values != nil { // before the state: what fails is done again
		if err := values.write(ctx); err != nil {
			return err
		}
		shown.DisclosedFile = f.disclosed
	}
	if state.path != "" {
		err := state.remember(func(m *trust.Memory) error { return v.Remember(m, o.Now) })
		if err != nil && values != nil {
			err = errors.Join(err, os.Remove(f.disclosed)) // else it cannot be done again
		}
		if err != nil {
			return err
		}
		shown.State = state.path
	}
	f.doubts(v)
	show(c, shown, (*audited).describe)
	return nil
}

// check the flags before anything is read.
func (f *verifyFlags) check(args []string) error {
	switch {
	case f.files.trust == "":
		return fmt.Errorf("%w: it needs --trust FILE", errUsage)
	case f.tolerance <= 0:
		return fmt.Errorf("%w: --clock-tolerance is more than nothing, not %s", errUsage, f.tolerance)
	case f.disclosed != "" && f.secret == "":
		return fmt.Errorf("%w: --disclosed needs --secret FILE", errUsage)
	case args[0] == "-" && (f.files.trust == "-" || f.secret == "-") || f.files.trust == "-" && f.secret == "-":
		return fmt.Errorf("%w: one of the files at most is - (standard input)", errUsage)
	case f.disclosed != "" && args[0] == "-":
		return fmt.Errorf("%w: --disclosed reads BUNDLE twice: give a file, not standard input", errUsage)
	}
	return nil
}

// bad prints the finding, with the evidence put where it will be found.
func (f *verifyFlags) bad(c *call, shown *audited, s *state) error {
	shown.keep(c, f.evidence)
	shown.Next = next(shown.Verdict, s)
	c.exit = shown.Code
	show(c, shown, (*audited).describe)
	return nil
}

// doubts adds what a good bundle does not show.
func (f *verifyFlags) doubts(v *bundle.Verdict) {
	if f.files.state == "" {
		v.Notes = append(v.Notes, "it was not compared with what you verified before: keep that with --state FILE")
	}
	if f.nonce == "" {
		v.Notes = append(v.Notes, "it may be an old bundle, without what happened since: give the bank a nonce before the export, and --nonce here")
	}
	if len(v.End.Cosigned) == 0 {
		v.Notes = append(v.Notes, "no witness of your policy has cosigned: the log may show others another history")
	}
	if len(v.End.Unknown) > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("it is signed too by %s, which your policy does not pin: if that is a new key of the log, add it once you have it by another way", strings.Join(v.End.Unknown, ", ")))
	}
}

func defineNonce(fs *flag.FlagSet, to *string) {
	fs.Func("nonce", "the bundle must answer this `TEXT`, which you gave before the export", func(text string) error {
		if *to = text; text == "" { // as of a variable that was not set
			return errors.New("it is empty")
		}
		return nil
	})
}

// auditorFiles are what the auditor trusts and what he remembers.
type auditorFiles struct{ trust, state string }

func (a *auditorFiles) define(fs *flag.FlagSet) {
	fs.StringVar(&a.trust, "trust", "", "trust the keys in this policy `FILE`")
	fs.StringVar(&a.state, "state", "", "go on from what this `FILE` has, and remember the bundle in it")
}

// maxPolicy bytes are as many as trust reads.
const maxPolicy = 64 << 10

func (a *auditorFiles) policy() (*trust.Policy, error) {
	b, err := readSmall(a.trust, maxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := trust.ParsePolicy(b)
	if err != nil {
		return nil, &inputError{a.trust, err}
	}
	return p, nil
}

// state is what the auditor remembers, which no other process changes meanwhile.
type state struct {
	path   string // empty: nothing is remembered
	memory *trust.Memory
	lock   io.Closer
}

func (a *auditorFiles) hold() (*state, error) {
	s := &state{path: a.state, memory: &trust.Memory{}}
	if s.path == "" {
		return s, nil
	}
	var err error
	if s.lock, err = disk.Lock(s.path + ".lock"); errors.Is(err, disk.ErrLocked) {
		return nil, err
	} else if err != nil {
		return nil, &inputError{s.path, fmt.Errorf("it cannot be locked: %w; keep it in a directory where this user may write", cause(err))}
	}
	if s.memory, err = trust.ReadMemory(s.path); err != nil {
		s.release()
		return nil, &inputError{s.path, cause(err)}
	}
	return s, nil
}

func (s *state) release() {
	if s.lock != nil {
		s.lock.Close()
	}
}

// remember what is good, durably.
func (s *state) remember(do func(*trust.Memory) error) error {
	err := do(s.memory)
	if err == nil {
		err = s.memory.Write(s.path)
	}
	if err != nil {
		return fmt.Errorf("it is good, but %s cannot be written: %w", s.path, cause(err))
	}
	return nil
}

// bundleFile is a bundle that is read.
type bundleFile struct {
	*os.File
	name string
	r    io.Reader
	size int64 // 0 where it is not known
}

func openBundle(name string) (*bundleFile, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, &inputError{name, fmt.Errorf("it cannot be opened: %w; check the path and its permissions", cause(err))}
		}
	}
	b := &bundleFile{File: f, name: name, r: f}
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
		b.size = st.Size()
	}
	return b, nil
}

func (b *bundleFile) verify(ctx context.Context, c *call, o bundle.Options) (*bundle.Verdict, error) {
	if b.size > 0 {
		tell := c.progress("MiB")
		o.Progress = func(read int64) { tell(int(read>>20), int(b.size>>20)) }
	}
	const readBuffer = 256 << 10 // the headers of a tar are small
	v, err := bundle.Verify(ctx, bufio.NewReaderSize(b.r, readBuffer), o)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", b.name, cause(err))
	}
	return v, nil
}
