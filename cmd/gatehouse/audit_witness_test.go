package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
	"gatehouse/store/keys"
)

// observer cosigns, with a key that the command line has made.
type observer struct {
	*auditor
	key, out, vkey string
}

func newObserver(t *testing.T, policy string) *observer {
	t.Helper()
	a := newAuditor(t, policy)
	w := &observer{a, filepath.Join(a.dir, "key"), filepath.Join(a.dir, "out"), ""}
	succeed(t, "audit", "keygen", "--witness", "auditor.example/1", "--out", w.key)
	w.vkey = strings.TrimSpace(string(readFile(t, w.key+".pub")))
	return w
}

// witness a bundle or a checkpoint. What it wrote before is taken away first.
func (w *observer) witness(t *testing.T, b []byte, flags ...string) outcome {
	t.Helper()
	os.Remove(w.out)
	os.Remove(w.out + ".system")
	file := w.save(t, filepath.Join(w.dir, "seen"), b)
	return gatehouse(t, append([]string{"audit", "witness", file, "--key", w.key, "--trust", w.policy, "--state", w.state, "--out", w.out, "--json"}, flags...)...)
}

// cosigns checks that a head of this size was cosigned, and that the state has it.
func (w *observer) cosigns(t *testing.T, origin string, size int64, o outcome) {
	t.Helper()
	if o.code != 0 || o.stderr != "" {
		t.Fatalf("%+v", o)
	}
	signed := readFile(t, w.out)
	c, err := audit.ParseCheckpoint(signed)
	if err != nil || c.Origin != origin || c.Size != size {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := trust.VerifyCosignature(w.vkey, signed); err != nil {
		t.Error(err)
	}
	m, err := trust.ReadMemory(w.state)
	if err != nil {
		t.Fatal(err)
	}
	if last, ok := m.Last(origin); !ok || last.Size != size || last.Root != c.Root {
		t.Errorf("the state has %+v", last)
	}
}

// refuses checks that nothing was cosigned and the state is as it was.
func (w *observer) refuses(t *testing.T, code int, b []byte, flags ...string) {
	t.Helper()
	before, _ := os.ReadFile(w.state)
	o := w.witness(t, b, flags...)
	v := one[verdict](t, o.stdout)
	if o.code != code || v.Code != code || v.Finding == nil || v.Finding.Meaning == "" {
		t.Errorf("exit code %d instead of %d: %s%s", o.code, code, o.stdout, o.stderr)
	}
	for _, file := range []string{w.out, w.out + ".system"} {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s was written", file)
		}
	}
	if after, _ := os.ReadFile(w.state); !bytes.Equal(before, after) {
		t.Error("the state was changed")
	}
	if code == 31 {
		if o := gatehouse(t, "audit", "fork", v.File, "--trust", w.policy); o.code != 0 {
			t.Errorf("the evidence does not convince: %+v", o)
		}
		os.Remove(v.File)
	}
}

func TestWitness(t *testing.T) {
	l := newLie(t)
	b := l.bank
	w := newObserver(t, b.policy())
	// Its own policy may ask for its own signature, which nobody has yet.
	w.save(t, w.policy, []byte(b.policy("witness me "+w.vkey, "quorum me")))
	second := b.write(b.forge(12, 29))

	w.refuses(t, 30, second)
	w.cosigns(t, b.log.origin, 12, w.witness(t, l.first))
	if c, err := audit.ParseCheckpoint(readFile(t, w.out+".system")); err != nil || c.Origin != b.system.origin {
		t.Errorf("%+v, %v", c, err)
	}
	w.cosigns(t, b.log.origin, 12, w.witness(t, l.first)) // once more, as a copy got lost
	// The state is written before a signature leaves: one that could not be
	// written can be had again, and none for another head of that size.
	out := w.out
	w.out = filepath.Join(w.dir, "missing", "out")
	w.witness(t, second).fails(t, 1, "", "cannot be written")
	w.out = out
	w.refuses(t, 31, l.logged(l.at(20, other)))
	w.refuses(t, 30, l.first)
	w.cosigns(t, b.log.origin, 29, w.witness(t, second))

	w.refuses(t, 31, func() []byte {
		past := b.rewritten(l.at(5, other))
		return past.write(past.forge(29, 45))
	}())
	w.refuses(t, 40, func() []byte {
		f := b.forge(29, 45)
		f.leaves = f.leaves[1:]
		return b.write(f)
	}())
	w.refuses(t, 70, b.write(b.forge(29, 45)), "--nonce", nonce)

	// Bare checkpoints.
	w.cosigns(t, b.log.origin, 29, w.witness(t, b.checkpoint(b.log, 29)))
	if _, err := os.Lstat(w.out + ".system"); err == nil {
		t.Error("the system's head was not given")
	}
	w.refuses(t, 30, b.checkpoint(b.log, 45))
	w.refuses(t, 30, b.checkpoint(b.log, 45), "--first-use")
	w.refuses(t, 30, b.checkpoint(b.log, 12))
	w.refuses(t, 31, b.head(b.log.origin, 29, tlog.Hash{1}))
	w.refuses(t, 21, newBank(t, newKeys(t), 29, 29).checkpoint(b.log, 29))
	altered := b.checkpoint(b.log, 29)
	if at := len(altered) - 6; altered[at] == 'A' { // still base64
		altered[at] = 'B'
	} else {
		altered[at] = 'A'
	}
	w.refuses(t, 20, altered)
	w.refuses(t, 10, []byte("neither\n"))

	fresh := newObserver(t, b.policy())
	fresh.refuses(t, 30, b.checkpoint(b.log, 29))
	fresh.cosigns(t, b.log.origin, 29, fresh.witness(t, b.checkpoint(b.log, 29), "--first-use"))
	fresh.cosigns(t, b.log.origin, 45, fresh.witness(t, b.write(b.forge(29, 45)), "--first-use")) // of the system's log
	human := gatehouse(t, "audit", "witness", filepath.Join(fresh.dir, "seen"), "--key", fresh.key, "--trust", fresh.policy, "--state", fresh.state, "--out", fresh.out)
	if human.code != 0 || !strings.Contains(human.stdout, "Cosigned: "+b.log.origin+" at size 45") || strings.Contains(human.stdout, "PRIVATE") {
		t.Errorf("%+v", human)
	}
}

func TestWitnessRefuses(t *testing.T) {
	l := newLie(t)
	w := newObserver(t, l.bank.policy())
	file := w.save(t, filepath.Join(w.dir, "bundle"), l.first)
	complete := []string{"--key", w.key, "--trust", w.policy, "--state", w.state, "--out", w.out}
	for i := 0; i < len(complete); i += 2 {
		args := append([]string{"audit", "witness", file, "--json"}, complete[:i]...)
		gatehouse(t, append(args, complete[i+2:]...)...).fails(t, 2, "", complete[i])
	}
	if err := os.Chmod(w.key, 0o640); err != nil {
		t.Fatal(err)
	}
	w.witness(t, l.first).fails(t, 3, w.key, "chmod 600")
	secret := l.disclosureKey("mine")[0]
	w.key = secret
	o := w.witness(t, l.first)
	o.fails(t, 3, secret, "not the key of a witness")
	if strings.Contains(o.stdout+o.stderr, strings.TrimSpace(string(readFile(t, secret)))) {
		t.Error("the key is shown")
	}
}

func TestKeygen(t *testing.T) {
	dir := t.TempDir()
	for kind, flags := range map[string][]string{"witness": {"--witness", "auditor.example"}, "disclosure": {"--disclosure"}} {
		file := filepath.Join(dir, kind)
		args := append([]string{"audit", "keygen", "--out", file, "--json"}, flags...)
		out := succeed(t, args...)
		made := one[struct {
			File       string
			PublicFile string `json:"public_file"`
			Public     string
			PolicyLine string `json:"policy_line"`
		}](t, out)
		secret := readFile(t, file)
		st, err := os.Stat(file)
		if err != nil || st.Mode().Perm() != 0o600 || made.File != file || made.PublicFile != file+".pub" || string(readFile(t, file+".pub")) != made.Public+"\n" {
			t.Errorf("%s: %v, %v, %+v", kind, st, err, made)
		}
		if (made.PolicyLine == "") != (kind == "disclosure") || strings.Contains(out, strings.TrimSpace(string(secret))) {
			t.Errorf("%s: %s", kind, out)
		}
		gatehouse(t, args...).fails(t, 3, file+".pub", "not overwritten")
		if err := os.Remove(file + ".pub"); err != nil {
			t.Fatal(err)
		}
		gatehouse(t, args...).fails(t, 3, file, "not overwritten")
		if !bytes.Equal(readFile(t, file), secret) {
			t.Error("a key was overwritten")
		}
	}
	for _, args := range []string{"", "--out x", "--out x --witness a --disclosure", "--witness a", "--out x --witness a+b", "--disclosure --out x y"} {
		if o := gatehouse(t, append([]string{"audit", "keygen"}, strings.Fields(args)...)...); o.code != 2 {
			t.Errorf("%s: %+v", args, o)
		}
	}
	if left, err := filepath.Glob("x*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Evidence that shows nothing, or is of other keys.
func TestForkIsNotTakenOnTrust(t *testing.T) {
	l := newLie(t)
	b, past := l.bank, l.bank.rewritten(l.at(5, other))
	a := newAuditor(t, b.policy())
	stranger := newBank(t, newKeys(t), 60, 60)
	later := past.log.consistency(12, 29)
	check := func(name string, code int, e *trust.Evidence, says string) {
		t.Helper()
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		file := a.save(t, filepath.Join(a.dir, "evidence"), text)
		o := gatehouse(t, "audit", "fork", file, "--trust", a.policy, "--json")
		if code == 0 {
			if o.code != 0 {
				t.Errorf("%s: %+v", name, o)
			}
			return
		}
		o.fails(t, code, "", says)
	}
	check("one size, two roots", 0, trust.NewEvidence(b.checkpoint(b.log, 29), past.checkpoint(past.log, 29), tlog.Hash{}, nil), "")
	check("a larger tree that begins otherwise", 0, trust.NewEvidence(b.checkpoint(b.log, 12), past.checkpoint(past.log, 29), past.log.root(12), later), "")
	check("the same head twice", 1, trust.NewEvidence(b.checkpoint(b.log, 29), b.checkpoint(b.log, 29), tlog.Hash{}, nil), "same tree")
	check("a tree that goes on", 1, trust.NewEvidence(b.checkpoint(b.log, 12), b.checkpoint(b.log, 29), b.log.root(12), b.log.consistency(12, 29)), "begins with")
	check("a proof that does not hold", 1, trust.NewEvidence(b.checkpoint(b.log, 12), b.checkpoint(b.log, 29), past.log.root(12), later), "not proved")
	check("one head by another cluster", 1, trust.NewEvidence(b.checkpoint(b.log, 29), stranger.checkpoint(past.log, 29), tlog.Hash{}, nil), "pinned key")
	file := a.save(t, filepath.Join(a.dir, "evidence"), []byte("{}"))
	gatehouse(t, "audit", "fork", file, "--trust", a.policy, "--json").fails(t, 3, file, "not evidence")
	gatehouse(t, "audit", "fork", file, "--json").fails(t, 2, "", "--trust FILE")
	gatehouse(t, "audit", "fork", "--trust", a.policy, "--json").fails(t, 2, "", "EVIDENCE")
}

// A bank forges with the key that lies in its own data directory, and with the
// bundle that its own node wrote.
func TestForgedFromTheDataDirectory(t *testing.T) {
	s := serve(t)
	s.enrol(t, "audit", "auditor")
	bundle := filepath.Join(s.dir, "bundle.ekab")
	a := newAuditor(t, s.as(t, "audit", "audit", "trust").stdout)
	if o := s.as(t, "audit", "audit", "export", "--out", bundle); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	honest := readFile(t, bundle)
	a.good(t, honest)
	s.stop(t)

	all := unpack(t, honest)
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(all[0].body))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	origin := m["origin"].(string)
	k, err := keys.Open(s.Data, m["cluster"].(string))
	if err == nil {
		err = k.UnsealFile()
	}
	if err != nil {
		t.Fatal(err)
	}
	b := &bank{t: t, keys: k}
	forged := func(change func(leaves *history, all []stored)) []byte {
		t.Helper()
		changed := unpack(t, honest)[2:]
		h := &history{t: t, origin: origin}
		entries := body(t, changed, "entries/000000000000.jsonl")
		for line := range bytes.Lines(*entries) {
			h.add(bytes.TrimSuffix(bytes.Replace(line, []byte(`"result":"ok"`), []byte(`"result":"denied"`), 1), []byte("\n")))
		}
		*entries = append(bytes.Join(h.leaves, []byte("\n")), '\n')
		change(h, changed)
		return pack(t, b.manifest(origin, m, changed, nil))
	}
	state := a.state
	a.state = ""
	a.bad(t, badCase{code: 41, bundle: forged(func(*history, []stored) {})})
	signAgain := func(h *history, all []stored) { *body(t, all, "checkpoint-end") = b.checkpoint(h, h.size()) }
	a.bad(t, badCase{code: 31, bundle: forged(signAgain)}) // the anchor is of the other tree
	a.state = state
	a.bad(t, badCase{code: 31, fork: true, bundle: forged(signAgain)})
}
