package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A year of an auditor with a real node, by the command line alone: bundles that
// continue each other, a nonce, a witness whose signature comes back, a person who
// is erased, a key that is replaced, and what the bank discloses.
func TestAuditorsYear(t *testing.T) {
	s := serve(t)
	s.enrol(t, "branch", "operator")
	s.enrol(t, "audit", "auditor", "compliance")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ok := func(o outcome) string {
		t.Helper()
		if o.code != 0 {
			t.Fatalf("%+v", o)
		}
		return o.stdout
	}
	policy := ok(s.as(t, "audit", "audit", "trust"))
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	write("policy", policy)
	export := func(name string, flags ...string) string {
		t.Helper()
		ok(s.as(t, "audit", append([]string{"audit", "export", "--out", at(name)}, flags...)...))
		return at(name)
	}
	verify := func(code int, bundle string, flags ...string) verdict {
		t.Helper()
		o := gatehouse(t, append([]string{"audit", "verify", bundle, "--json"}, flags...)...)
		if o.code != code {
			t.Fatalf("%s: exit code %d instead of %d: %s%s", bundle, o.code, code, o.stdout, o.stderr)
		}
		return one[verdict](t, o.stdout)
	}
	trusting := []string{"--trust", at("policy"), "--state", at("state")}

	// The first bundle, with a nonce.
	person := write("person", "customer 1\n")
	v := s.verify(t, "branch", "--subject-ref-file", person)
	first := export("first.ekab", "--nonce", "2026-q1-nonce")
	got := verify(0, first, append(trusting, "--nonce", "2026-q1-nonce")...)
	if got.From != 0 || got.Leaves != got.To || got.To < 10 {
		t.Errorf("%+v", got)
	}
	verify(70, first, "--trust", at("policy"), "--nonce", "2026-q2-nonce")
	verify(30, first, trusting...) // seen already
	again := export("again.ekab", "--to", fmt.Sprint(got.To), "--nonce", "2026-q1-nonce")
	a, b := unpack(t, readFile(t, first)), unpack(t, readFile(t, again))
	for i, m := range a { // all but the signature, which has a time
		if m.name != "bundle.sig" && (i >= len(b) || b[i].name != m.name || !bytes.Equal(b[i].body, m.body)) {
			t.Errorf("the same range gives another %s", m.name)
		}
	}

	// A witness.
	ok(gatehouse(t, "audit", "keygen", "--witness", "auditor.example", "--out", at("witness")))
	vkey := strings.TrimSpace(string(readFile(t, at("witness.pub"))))
	write("quorum", strings.Replace(policy, "quorum none\n", "witness auditor "+vkey+"\nquorum auditor\n", 1))
	verify(22, again, "--trust", at("quorum"))
	ok(gatehouse(t, "audit", "witness", first, "--key", at("witness"), "--trust", at("policy"), "--state", at("witness.state"), "--out", at("cosigned")))
	for _, read := range []string{"witness", "policy", "witness.state", "first.ekab"} { // what is read is never overwritten
		held := readFile(t, at(read))
		o := gatehouse(t, "audit", "witness", first, "--key", at("witness"), "--trust", at("policy"), "--state", at("witness.state"), "--out", at(read))
		if o.code == 0 || !strings.Contains(o.stderr, "overwrite") || !bytes.Equal(readFile(t, at(read)), held) {
			t.Errorf("--out %s: %+v", read, o)
		}
	}
	if o := gatehouse(t, "audit", "witness", at("cosigned"), "--key", at("witness"), "--trust", at("policy"), "--state", at("witness.state"), "--out", at("twice"), "--nonce", "2026-q1-nonce"); o.code != 2 {
		t.Errorf("a nonce for a checkpoint: %+v", o)
	}
	if o := gatehouse(t, "audit", "verify", first, "--trust", at("policy"), "--models", "x"); o.code != 2 {
		t.Errorf("models for a bundle: %+v", o)
	}
	ok(s.as(t, "audit", "audit", "cosign", at("cosigned"), "--witness", at("witness.pub")))
	ok(s.as(t, "admin", "audit", "cosign", at("cosigned.system"), "--witness", at("witness.pub")))
	if o := s.as(t, "audit", "audit", "cosign", at("cosigned"), "--witness", at("witness.pub")); o.code != 3 || !strings.Contains(o.stderr, "exists") {
		t.Errorf("the same again: %+v", o)
	}
	verify(0, export("cosigned.ekab", "--to", fmt.Sprint(got.To)), "--trust", at("quorum"))

	// A person is erased. What was given away before verifies as it did.
	ok(gatehouse(t, "audit", "keygen", "--disclosure", "--out", at("reader")))
	before := export("before.ekab", "--disclose-to", at("reader.pub"), "--purpose", "audit")
	opened := verify(0, before, "--trust", at("policy"), "--secret", at("reader"), "--disclosed", at("opened"))
	text := string(readFile(t, at("opened")))
	if opened.Disclosed == 0 || !strings.Contains(text, `"surname"`) || strings.Count(text, "\n") != opened.Disclosed {
		t.Errorf("%d disclosed: %s", opened.Disclosed, text)
	}
	found := func(flags ...string) int {
		t.Helper()
		return len(does[struct{ Events []any }](t, s, "audit", append([]string{"audit", "search"}, flags...)...).Events)
	}
	if found("--reference", "customer 1") == 0 || found("--session", v.ID) < 8 || found("--action", "session.create", "--session", v.ID) != 1 || found("--reference", "customer 2") != 0 {
		t.Error("the search finds another number of events")
	}
	ok(s.as(t, "audit", "subject", "erase", v.Subject, "--yes", "--reason", "subject_request"))
	after := export("after.ekab", "--disclose-to", at("reader.pub"), "--purpose", "audit")
	closed := verify(0, after, "--trust", at("policy"), "--secret", at("reader"))
	if closed.Disclosed != 0 || closed.Erasures != 1 {
		t.Errorf("after the erasure: %+v", closed)
	}
	verify(0, before, "--trust", at("policy"), "--secret", at("reader"))
	if found("--reference", "customer 1") != 0 || found("--subject", v.Subject) == 0 {
		t.Error("a reference is found after its person was erased, or the log has forgotten")
	}

	// A key is replaced. Who has pinned either verifies.
	ok(s.as(t, "audit", "audit", "checkpoint", "--out", at("earlier"), "--trust", at("policy")))
	ok(s.as(t, "admin", "audit", "rotate-key"))
	write("new", ok(s.as(t, "audit", "audit", "trust")))
	second := export("second.ekab", "--from", fmt.Sprint(got.To))
	verify(0, second, "--trust", at("new"), "--first-use")
	next := verify(0, second, trusting...)
	if next.From != got.To {
		t.Errorf("%+v", next)
	}
	ok(s.as(t, "admin", "audit", "retire-key", "--early"))
	write("retired", ok(s.as(t, "audit", "audit", "trust"))) // has the earlier key too, bounded
	s.stop(t)
	s.start(t)
	third := export("third.ekab", "--from", fmt.Sprint(next.To))
	verify(21, third, trusting...)
	verify(0, third, "--trust", at("retired"), "--state", at("state"))
	verify(0, first, "--trust", at("retired"))
	ok(s.as(t, "audit", "audit", "consistency", at("earlier"), "--trust", at("retired")))
	if o := s.as(t, "audit", "audit", "consistency", at("earlier")); o.code != 1 || !strings.Contains(o.stderr, "was replaced") {
		t.Errorf("a head under a key that is gone: %+v", o)
	}
	ok(s.as(t, "audit", "audit", "prove", "3", "--trust", at("retired")))

	// Another bank's log is not this one's.
	other := serve(t)
	other.enrol(t, "audit", "auditor")
	ok(other.as(t, "audit", "audit", "export", "--out", at("other.ekab")))
	verify(21, at("other.ekab"), "--trust", at("retired"))
	if o := other.as(t, "audit", "audit", "cosign", at("cosigned"), "--witness", at("witness.pub")); o.code != 3 {
		t.Errorf("another bank's checkpoint: %+v", o)
	}
}

// A node that was put back to an earlier copy, and has gone on otherwise, is found
// out by who has seen what came between.
func TestARewrittenLogIsFoundOut(t *testing.T) {
	s := serve(t)
	s.enrol(t, "audit", "auditor")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("policy"), []byte(s.as(t, "audit", "audit", "trust").stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	n := s.Node
	s.Node = nil
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(at("copy"), os.DirFS(filepath.Join(s.dir, "data"))); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	for range 5 {
		s.as(t, "audit", "audit", "tail")
	}
	if o := s.as(t, "audit", "audit", "export", "--out", at("a.ekab")); o.code != 0 {
		t.Fatalf("%+v", o)
	}
	seen := one[verdict](t, succeed(t, "audit", "verify", at("a.ekab"), "--trust", at("policy"), "--state", at("state"), "--json"))
	n = s.Node
	s.Node = nil
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := restored(at("copy"), filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	for range 12 {
		s.as(t, "audit", "audit", "tail", "--from", "0")
	}
	for _, from := range []string{fmt.Sprint(seen.To), "0"} {
		s.as(t, "audit", "audit", "export", "--force", "--from", from, "--out", at("b.ekab"))
		o := gatehouse(t, "audit", "verify", at("b.ekab"), "--trust", at("policy"), "--state", at("state"), "--evidence", at("fork"+from))
		switch {
		case from == "0" && o.code != 30:
			t.Errorf("the whole of another history: %+v", o)
		case from != "0" && o.code != 31:
			t.Errorf("its continuation: %+v", o)
		}
	}
	if o := gatehouse(t, "audit", "fork", at(fmt.Sprint("fork", seen.To)), "--trust", at("policy")); o.code != 0 {
		t.Errorf("the evidence does not convince: %+v", o)
	}
}

// restored puts a copy back, with the modes that a node asks for.
func restored(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

func TestAuditVerifyWithoutBundle(t *testing.T) {
	for _, args := range [][]string{{"audit", "verify"}, {"audit", "verify", "--trust", "policy"}, {"audit", "verify", "a", "b", "--trust", "policy"}} {
		if o := gatehouse(t, args...); o.code != 2 || !strings.Contains(o.stderr, "BUNDLE") || strings.Contains(o.stderr, "panic") {
			t.Errorf("%q: %+v", args, o)
		}
	}
}
