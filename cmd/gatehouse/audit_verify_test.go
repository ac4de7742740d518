package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/disk"
)

// The forger writes what the product writes, byte for byte: the bad cases differ
// from a good bundle by what they say and nothing else.
func TestTheForgerKnowsTheFormat(t *testing.T) {
	b := newBank(t, newKeys(t), 60, 12, 29, 45, 60)
	for _, r := range [][2]int64{{0, 12}, {12, 29}, {12, 33}, {0, 60}} {
		from, to := r[0], r[1]
		f := b.forge(from, to)
		e := bundle.Export{
			Origin: f.origin, From: from, To: to, Challenge: -1, Start: f.start, End: f.end, Hashes: b.log,
			Leaves: func(_ context.Context, from, to int64, do func(int64, []byte) error) error {
				for seq := from; seq < to; seq++ {
					if err := do(seq, b.log.leaves[seq]); err != nil {
						return err
					}
				}
				return nil
			},
			System: &bundle.System{Start: f.sysStart, End: f.sysEnd, Consistency: f.sysConsistency},
			Sign:   func(text string) ([]byte, error) { return b.sign(f.origin, text), nil },
			Now:    func() time.Time { return opened.Add(24 * time.Hour) },
		}
		for _, line := range f.anchors {
			var a struct {
				Leaf   string
				Seq    int64
				Hashes []tlog.Hash
			}
			if err := json.Unmarshal(line, &a); err != nil {
				t.Fatal(err)
			}
			e.System.Anchors = append(e.System.Anchors, bundle.Anchor{Leaf: []byte(a.Leaf), Seq: a.Seq, Hashes: a.Hashes})
		}
		if f.beyond != nil {
			e.System.Beyond = b.log.consistency(to, 45)
		}
		p, err := e.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var written bytes.Buffer
		if err := p.Write(t.Context(), &written); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(written.Bytes(), b.write(f)) {
			t.Errorf("%d to %d: the forger's bundle differs", from, to)
		}
	}
}

// Logs of the sizes at which trees have another shape. The second bundle goes on
// where the first ended, and so does an empty one.
func TestBundlesOfAllShapes(t *testing.T) {
	t.Parallel()
	sizes := []int64{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65}
	b := newBank(t, newKeys(t), 70, append(sizes, 70)...)
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			a := newAuditor(t, b.policy())
			if v := a.good(t, b.write(b.forge(0, n))); v.Leaves != n || v.To != n || v.End.Size != n {
				t.Errorf("%+v", v)
			}
			if v := a.good(t, b.write(b.forge(n, n))); v.Leaves != 0 {
				t.Errorf("an empty range: %+v", v)
			}
			if v := a.good(t, b.write(b.forge(n, 70))); v.From != n || v.Leaves != 70-n {
				t.Errorf("%+v", v)
			}
		})
	}
	a := newAuditor(t, b.policy())
	none := b.forge(0, 0)
	none.anchors, none.beyond, none.sysTo, none.sysEnd = nil, nil, 1, b.checkpoint(b.system, 1)
	a.good(t, b.write(none))
	a.good(t, b.write(b.forge(0, 70)))
}

// A log of 2^33 records: nothing is counted in 32 bits.
func TestABundleBeyond32Bits(t *testing.T) {
	b := newBank(t, newKeys(t), 0)
	const from, to = 1 << 33, 1<<33 + 3
	before := tlog.Hash{1, 2, 3} // of what nobody has here
	rest := &history{t: t, origin: b.log.origin}
	for seq := int64(from); seq < to; seq++ {
		rest.add(b.encode(event(rest.origin, seq)))
	}
	root := tlog.NodeHash(before, rest.root(3))
	anchor := func(size int64, root tlog.Hash) int64 {
		seq := b.system.size()
		b.system.add(b.anchorLeaf(seq, rest.origin, size, root))
		return seq
	}
	first, last := anchor(from, before), anchor(to, root)
	f := &forgery{
		origin: rest.origin, from: from, to: to, challenge: -1, start: b.head(rest.origin, from, before), end: b.head(rest.origin, to, root),
		consistency: []tlog.Hash{rest.root(3)}, subtrees: []tlog.Hash{before}, leaves: rest.leaves,
		system: b.system.origin, sysFrom: first + 1, sysTo: last + 1, sysStart: b.checkpoint(b.system, first+1), sysEnd: b.checkpoint(b.system, last+1),
		sysConsistency: b.system.consistency(first+1, last+1), anchors: [][]byte{b.anchorLine(last, last+1)},
	}
	f.list()
	a := newAuditor(t, b.policy())
	v := a.good(t, b.write(f), "--first-use")
	if v.From != from || v.To != to || v.Leaves != 3 || !slices.ContainsFunc(v.Notes, func(n string) bool { return strings.Contains(n, "first use") }) {
		t.Errorf("%+v", v)
	}
	f.leaves[1], f.leaves[2] = f.leaves[2], f.leaves[1]
	a.state += "2"
	a.bad(t, badCase{code: 40, leaf: from + 1, bundle: b.write(f), flags: []string{"--first-use"}})
}

// While two keys sign, who has pinned either verifies; a bound key counts within
// its bounds.
func TestBundlesOfTwoKeys(t *testing.T) {
	k := newKeys(t)
	b := newBank(t, k, 60, 12, 29, 45, 60)
	before := b.policy()
	if _, _, err := k.RotateSigning(opened); err != nil {
		t.Fatal(err)
	}
	bundle := b.write(b.forge(0, 29))
	both := strings.SplitAfter(b.policy(), "\n") // new and old of the tenant's, new and old of the system's
	fresh := both[0] + both[2] + both[4]
	for name, policy := range map[string]string{
		"the earlier key": before, "the new key": fresh, "both": b.policy(),
		"the earlier one within its bounds": strings.Replace(before, "quorum", "valid "+id(before)+" - 30\nquorum", 1),
		"the new one within its bounds":     strings.Replace(fresh, "quorum", "valid "+id(fresh)+" 29 -\nquorum", 1),
	} {
		a := newAuditor(t, policy)
		if v := a.good(t, bundle); len(v.End.Keys) != strings.Count(policy, "\nlog ")/2+1 || len(v.End.Keys)+len(v.End.UnknownKeys) != 2 {
			t.Errorf("%s: %+v", name, v.End)
		}
	}
}

func TestBundlesThatAreCosigned(t *testing.T) {
	b := newBank(t, newKeys(t), 60, 12, 29, 45, 60)
	one, oneKey := newWitness(t, "one.example")
	two, twoKey := newWitness(t, "two.example")
	_, threeKey := newWitness(t, "three.example")
	unknown, _ := newWitness(t, "unknown.example")
	a := newAuditor(t, b.policy("witness a "+oneKey, "witness b "+twoKey, "witness c "+threeKey, "group most 2 a b c", "quorum most"))
	f := b.forge(0, 29)
	f.start, f.sysStart = f.end, f.sysEnd // are not written
	f.cosigned(t, opened.Add(time.Hour), one, unknown, two)
	v := a.good(t, b.write(f))
	if len(v.End.Cosigned) != 2 || v.End.Cosigned[0].Name != "a" || len(v.SystemEnd.Cosigned) != 2 || len(v.End.UnknownKeys) != 1 {
		t.Errorf("%+v %+v", v.End, v.SystemEnd)
	}
	if slices.ContainsFunc(v.Notes, func(n string) bool { return strings.Contains(n, "no witness") }) {
		t.Errorf("%q", v.Notes)
	}
}

func TestDisclosures(t *testing.T) {
	l := newLie(t)
	mine := l.disclosureKey("mine")
	bundle := l.signed(func(f *forgery) {
		f.disclose(t, mine[1], func(seq int64, all []audit.Opening) []audit.Opening {
			if seq == 21 { // erased: its opening is gone
				return nil
			}
			return all
		})
	})
	a := newAuditor(t, l.bank.policy())
	a.good(t, l.first)
	remembered := readFile(t, a.state)
	out := filepath.Join(a.dir, "opened")
	if v := a.good(t, bundle, "--secret", mine[0], "--disclosed", out); v.Disclosed != 6 {
		t.Errorf("%+v", v)
	}
	st, err := os.Stat(out)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	type line struct {
		Seq                           int64
		Action, Subject, Field, Value string
	}
	all := decode[line](t, string(readFile(t, out)))
	if len(all) != 6 || all[1] != (line{13, "document.process", "sub_3", "document.number", "P0000013"}) || all[4].Seq != 25 {
		t.Errorf("%+v", all)
	}
	a.save(t, a.state, remembered)
	if v := a.good(t, bundle); v.Disclosed != 0 || !slices.ContainsFunc(v.Notes, func(n string) bool { return strings.Contains(n, "not opened") }) {
		t.Errorf("without a key: %+v", v)
	}
	a.save(t, a.state, remembered)
	a.verify(t, bundle, "--secret", mine[0], "--disclosed", out, "--json").fails(t, 3, out, "already")
	if !bytes.Equal(readFile(t, a.state), remembered) {
		t.Error("the state went on although nothing was written")
	}
	// Of a bundle that is not good, no value is written.
	bad := l.signed(func(f *forgery) {
		f.disclose(t, mine[1], func(_ int64, all []audit.Opening) []audit.Opening { return all })
		f.erasures = nil
	})
	none := filepath.Join(a.dir, "none")
	if o := a.verify(t, bad, "--secret", mine[0], "--disclosed", none); o.code != 40 {
		t.Errorf("%+v", o)
	}
	if left, err := filepath.Glob(filepath.Join(a.dir, "*none*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := filepath.Glob(filepath.Join(a.dir, ".gatehouse-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNonce(t *testing.T) {
	l := newLie(t)
	a := newAuditor(t, l.bank.policy())
	a.good(t, l.first)
	if v := a.good(t, l.answering(nonce, l.at(20, asked(nonce))), "--nonce", nonce); v.Nonce != nonce || slices.ContainsFunc(v.Notes, func(n string) bool { return strings.Contains(n, "old") }) {
		t.Errorf("%+v", v)
	}
}

func TestClocksThatAreALittleBehind(t *testing.T) {
	l := newLie(t)
	back := l.logged(func(leaf *audit.Leaf) []byte {
		if leaf.Seq == 17 {
			leaf.TS -= audit.Time(time.Hour)
			leaf.TSMono -= audit.Time(time.Second)
		}
		return l.bank.encode(leaf)
	})
	a := newAuditor(t, l.bank.policy())
	a.good(t, l.first)
	a.bad(t, badCase{code: 50, leaf: 17, bundle: back})
	a.good(t, back, "--clock-tolerance", "2h")
}

// What a person reads.
func TestVerdictsForPeople(t *testing.T) {
	l := newLie(t)
	a := newAuditor(t, l.bank.policy())
	read := func(o outcome, code int, says ...string) {
		t.Helper()
		if o.code != code || o.stderr != "" {
			t.Errorf("%+v", o)
		}
		for _, w := range says {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("it lacks %q: %s", w, o.stdout)
			}
		}
	}
	state := a.state
	a.state = ""
	read(a.verify(t, l.first), 0, "Good: 12 records", l.bank.log.origin, "2026-03-02 08:00:00 UTC to 2026-03-02 08:00:11 UTC", l.bank.log.root(12).String(),
		id(l.bank.policy()), "Not shown by it:", "--state", "nonce", "no witness", "erasures       1")
	a.state = state
	read(a.verify(t, l.first), 0, "the next bundle begins at 12")
	read(a.verify(t, l.first), 30, "NOT GOOD: code 30, at the step start", "audit export --from 12", "Nothing of it was remembered.")
	read(a.verify(t, l.signed(func(f *forgery) { f.leaves = slices.Delete(f.leaves, 5, 6) })), 40, "code 40, at the step order", "record         17", "What to do: ")

	// From standard input the evidence has its place in the working directory.
	past := l.bank.rewritten(l.at(5, other))
	cmd := command(t, "audit", "verify", "-", "--trust", a.policy, "--state", a.state)
	cmd.Dir, cmd.Stdin = t.TempDir(), bytes.NewReader(past.write(past.forge(12, 29)))
	read(run(t, cmd), 31, "evidence       bundle.fork.json", "'gatehouse audit fork'")
	file := filepath.Join(cmd.Dir, "bundle.fork.json")
	read(gatehouse(t, "audit", "fork", file, "--trust", a.policy), 0, "It convinces", l.bank.log.root(12).String(), past.log.root(12).String())
}

// Evidence is never written over, and a verdict never waits for it.
func TestEvidenceIsKept(t *testing.T) {
	l := newLie(t)
	a := newAuditor(t, l.bank.policy())
	a.good(t, l.first)
	past := l.bank.rewritten(l.at(5, other))
	forged := past.write(past.forge(12, 29))
	file := a.save(t, filepath.Join(a.dir, "evidence"), []byte("of last year"))
	o := a.verify(t, forged, "--evidence", file, "--json")
	v := one[verdict](t, o.stdout)
	if o.code != 31 || v.File != "" || v.Evidence == nil || string(readFile(t, file)) != "of last year" {
		t.Errorf("%+v", o)
	}
	o.says(t, "not overwritten", "--evidence")
	for range 2 { // the second finds its own
		o := a.verify(t, forged, "--evidence", file+"2", "--json")
		if v := one[verdict](t, o.stdout); o.code != 31 || v.File != file+"2" || o.stderr != "" {
			t.Errorf("%+v", o)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	l := newLie(t)
	a := newAuditor(t, l.bank.policy())
	a.good(t, l.first)
	good := a.save(t, filepath.Join(a.dir, "good.ekab"), l.bank.write(l.bank.forge(12, 29)))
	garbage := a.save(t, filepath.Join(a.dir, "garbage"), []byte("garbage"))
	missing, secret := filepath.Join(a.dir, "missing"), l.disclosureKey("mine")[0]
	open := a.save(t, filepath.Join(a.dir, "open.key"), readFile(t, secret))
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		file string
		says string
	}{
		{"", 2, "", "BUNDLE"},
		{good, 2, "", "--trust FILE"},
		{good + " x --trust " + a.policy, 2, "", "BUNDLE"},
		{good + " --trust " + a.policy + " --clock-tolerance 0s", 2, "", "--clock-tolerance"},
		{good + " --trust " + a.policy + " --nonce=", 2, "", "empty"},
		{good + " --trust " + a.policy + " --disclosed x", 2, "", "--secret"},
		{"- --trust " + a.policy + " --disclosed x --secret " + secret, 2, "", "twice"},
		{"- --trust -", 2, "", "standard input"},
		{missing + " --trust " + a.policy, 3, missing, "check the path"},
		{good + " --trust " + missing, 3, missing, "check the path"},
		{good + " --trust " + garbage, 3, garbage, "policy"},
		{good + " --trust " + a.policy + " --state " + garbage, 3, garbage, "state"},
		{good + " --trust " + a.policy + " --state " + missing + "/state", 3, missing + "/state", "directory"},
		{good + " --trust " + a.policy + " --secret " + open, 3, open, "chmod 600"},
		{good + " --trust " + a.policy + " --secret " + garbage, 3, garbage, "gatehouse-hpke-secret-1:"},
		{a.dir + " --trust " + a.policy, 1, "", "directory"},
	} {
		o := gatehouse(t, append([]string{"audit", "verify", "--json"}, strings.Fields(c.args)...)...)
		t.Log(c.args)
		o.fails(t, c.code, c.file, c.says)
	}
	held, err := disk.Lock(a.state + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	gatehouse(t, "audit", "verify", good, "--trust", a.policy, "--state", a.state, "--json").fails(t, 1, "", "another process")
}

func TestAuditorsHelp(t *testing.T) {
	overview := succeed(t, "help")
	for name, says := range map[string][]string{
		"audit verify":  {"  0  good", " 10  not a bundle", " 20  ", " 21  ", " 22  ", " 30  ", " 31  ", " 40  ", " 41  ", " 50  ", " 60  ", " 70  ", "3 a file of yours was refused", "--first-use", "--clock-tolerance TIME"},
		"audit witness": {"--key FILE", "--out FILE"},
		"audit keygen":  {"--witness NAME", "--disclosure"},
		"audit fork":    {"1 it does not"},
	} {
		page := succeed(t, append([]string{"help"}, words(name)...)...)
		for _, w := range append(says, "Usage: gatehouse "+name, "Example:\n  gatehouse ") {
			if !strings.Contains(page, w) {
				t.Errorf("%s lacks %q: %s", name, w, page)
			}
		}
		if !strings.Contains(overview, "\n  "+name+" ") || strings.Contains(page, "--profile") {
			t.Errorf("%s: it is not in the overview, or calls a node", name)
		}
	}
}
