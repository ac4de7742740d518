package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/keys"
)

// The bad cases of an audit log, through the command line: who lies has the
// bank's own key, unless the case says otherwise. Those below need more than a
// bundle, and are tested elsewhere:
//
//   - killed between propose, commit, apply and sign: TestKilledAtRandomMoments
//     and cmd/chaos;
//   - disk full, a torn write while a segment is written: store/audit/segment,
//     TestFaults and TestCrash (dm-flakey needs a block device of its own);
//   - a follower's snapshot, two nodes that sign at a time, RecoverCluster: there
//     is one node; that it signs no second tree, and no earlier epoch, is tested
//     with audit.Signer;
//   - tokens of a time-stamping authority, tiles over HTTP: a bundle has none;
//   - zstd bombs: a bundle is not compressed; those of segments are tested in
//     store/audit/segment.
type badCase struct {
	name   string
	code   int
	leaf   int64    // that the finding names; 0: not asked
	bundle []byte   // that is verified
	before [][]byte // bundles that were verified before; nil: the log up to 12
	policy string   // empty: the bank's keys, no witness
	state  string   // "none": no --state
	flags  []string
	fork   bool // evidence is written that convinces
}

// lie has what the cases are made of: a log of 60 records and its auditor, who
// has verified the first 12. The bundle to lie about goes from 12 to 29.
type lie struct {
	t     *testing.T
	keys  *keys.Store
	bank  *bank
	first []byte
}

func newLie(t *testing.T) *lie {
	k := newKeys(t)
	b := newBank(t, k, 60, 12, 29, 45, 60)
	return &lie{t, k, b, b.write(b.forge(0, 12))}
}

// signed is the bundle after the forger has changed what he likes: its manifest
// fits, and is signed.
func (l *lie) signed(change func(*forgery)) []byte {
	l.t.Helper()
	f := l.bank.forge(12, 29)
	change(f)
	return l.bank.write(f)
}

// unsigned is the bundle with members changed and nothing else.
func (l *lie) unsigned(change func([]stored) []stored) []byte {
	l.t.Helper()
	return pack(l.t, change(l.bank.members(l.bank.forge(12, 29))))
}

// logged is the bundle of a log that has recorded other things since 12, all of
// it signed and anchored.
func (l *lie) logged(change func(*audit.Leaf) []byte) []byte {
	l.t.Helper()
	b := newBank(l.t, l.keys, 12, 12).grow(40, change, 29, 40)
	return b.write(b.forge(12, 29))
}

// at changes one record.
func (l *lie) at(seq int64, change func(*audit.Leaf)) func(*audit.Leaf) []byte {
	return func(leaf *audit.Leaf) []byte {
		if leaf.Seq == seq {
			change(leaf)
		}
		return l.bank.encode(leaf)
	}
}

// raw changes the bytes of one record.
func (l *lie) raw(seq int64, change func([]byte) []byte) func(*audit.Leaf) []byte {
	return func(leaf *audit.Leaf) []byte {
		b := l.bank.encode(leaf)
		if leaf.Seq == seq {
			b = change(b)
		}
		return b
	}
}

// body gives a member to change.
func body(t testing.TB, all []stored, name string) *[]byte {
	t.Helper()
	i := slices.IndexFunc(all, func(s stored) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("there is no member %s", name)
	}
	return &all[i].body
}

const entries12 = "entries/000000000012.jsonl"

// flipped has one bit changed.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

func TestBadCases(t *testing.T) {
	t.Parallel()
	l := newLie(t)
	start := newAuditor(t, l.bank.policy())
	start.good(t, l.first)
	remembered := readFile(t, start.state)
	names := map[string]bool{}
	for _, c := range slices.Concat(l.archives(), l.bits(), l.signatures(), l.witnesses(), l.starts(), l.forks(), l.orders(), l.altered(), l.times(), l.disclosing(), l.stale()) {
		if names[c.name] {
			t.Errorf("two cases are named %q", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.policy == "" {
				c.policy = l.bank.policy()
			}
			a := newAuditor(t, c.policy)
			if c.before == nil {
				a.save(t, a.state, remembered)
			}
			for _, b := range c.before {
				a.good(t, b)
			}
			if c.state == "none" {
				a.state = ""
			}
			a.bad(t, c)
		})
	}
	t.Logf("%d cases", len(names))
}

// auditor has a directory with his policy and his state.
type auditor struct{ dir, policy, state string }

func newAuditor(t testing.TB, policy string) *auditor {
	t.Helper()
	dir := t.TempDir()
	a := &auditor{dir, filepath.Join(dir, "policy"), filepath.Join(dir, "state")}
	a.save(t, a.policy, []byte(policy))
	return a
}

func (a *auditor) save(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// verify a bundle, as a file.
func (a *auditor) verify(t *testing.T, b []byte, flags ...string) outcome {
	t.Helper()
	args := []string{"audit", "verify", a.save(t, filepath.Join(a.dir, "bundle.ekab"), b), "--trust", a.policy}
	if a.state != "" {
		args = append(args, "--state", a.state)
	}
	return gatehouse(t, append(args, flags...)...)
}

// verdict as --json prints it.
type verdict struct {
	Good      bool
	Code      int
	Origin    string
	From, To  int64
	Leaves    int64
	Erasures  int64
	Disclosed int
	Notes     []string
	Next      string
	State     string
	Evidence  *json.RawMessage
	File      string `json:"evidence_file"`
	End       *shownHead
	SystemEnd *shownHead `json:"system_end"`
	Nonce     string
	Finding   *struct {
		Code                  int
		Step, Detail, Meaning string
		Leaf                  *int64
	}
}

type shownHead struct {
	Origin      string
	Size        int64
	Keys        []string
	UnknownKeys []string `json:"unknown_keys"`
	Cosigned    []struct{ Name string }
}

func (a *auditor) good(t *testing.T, b []byte, flags ...string) verdict {
	t.Helper()
	o := a.verify(t, b, append(flags, "--json")...)
	v := one[verdict](t, o.stdout)
	if o.code != 0 || o.stderr != "" || !v.Good || v.Code != 0 || v.Finding != nil || v.End == nil || v.State != a.state {
		t.Fatalf("exit code %d: %s%s", o.code, o.stdout, o.stderr)
	}
	return v
}

// bad verifies the bundle of a case, and that nothing of it stays.
func (a *auditor) bad(t *testing.T, c badCase) {
	t.Helper()
	before, _ := os.ReadFile(a.state)
	o := a.verify(t, c.bundle, append(c.flags, "--json")...)
	v := one[verdict](t, o.stdout)
	if o.code != c.code || v.Good || v.Code != c.code || v.Finding == nil || o.stderr != "" {
		t.Fatalf("exit code %d instead of %d: %s%s", o.code, c.code, o.stdout, o.stderr)
	}
	f := v.Finding
	if f.Code != c.code || f.Step == "" || f.Detail == "" || f.Meaning == "" || v.Next == "" || v.State != "" {
		t.Errorf("the verdict is not told whole: %s", o.stdout)
	}
	if c.leaf != 0 && (f.Leaf == nil || *f.Leaf != c.leaf) {
		t.Errorf("the finding is not about record %d: %s", c.leaf, o.stdout)
	}
	if after, _ := os.ReadFile(a.state); !bytes.Equal(before, after) {
		t.Error("the state was changed")
	}
	evidence := filepath.Join(a.dir, "bundle.ekab.fork.json")
	if !c.fork {
		if _, err := os.Stat(evidence); !errors.Is(err, fs.ErrNotExist) || v.File != "" || v.Evidence != nil {
			t.Errorf("there is evidence: %v, %s", err, o.stdout)
		}
		return
	}
	if v.File != evidence || v.Evidence == nil {
		t.Fatalf("no evidence was written: %s", o.stdout)
	}
	if o := gatehouse(t, "audit", "fork", evidence, "--trust", a.policy, "--json"); o.code != 0 || !one[struct{ Fork bool }](t, o.stdout).Fork {
		t.Errorf("the evidence does not convince: %+v", o)
	}
}
