package main_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

const logOrigin = "clu_1/ten_1/e1"

// testLog is an audit log that a stand-in shows.
type testLog struct {
	t      *testing.T
	leaves []string
	hashes []tlog.Hash
	key    note.Signer
	vkey   string
}

func newLog(t *testing.T, events int, mark string) *testLog {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, logOrigin)
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	l := &testLog{t: t, key: key, vkey: public}
	for i := range int64(events) {
		l.add(i, mark)
	}
	return l
}

func (l *testLog) add(seq int64, mark string) {
	l.t.Helper()
	leaf := &audit.Leaf{V: audit.LeafVersion, Seq: seq, Log: logOrigin, ID: fmt.Sprintf("evt_%d", seq), TS: 1_764_000_000_000_000_000, TSMono: 1_764_000_000_000_000_000, Node: "nod_1",
		Actor: audit.Actor{Type: "client", ID: mark}, Action: audit.SessionCreate, Object: audit.Object{Type: "session", ID: "ses_1"}, Result: audit.OK}
	b, err := leaf.Encode()
	if err != nil {
		l.t.Fatal(err)
	}
	more, _, err := audit.Append(seq, b, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.leaves, l.hashes = append(l.leaves, string(b)), append(l.hashes, more...)
}

func (l *testLog) Hash(i int64) (tlog.Hash, error) { return l.hashes[i], nil }

func (l *testLog) size() int64 { return int64(len(l.leaves)) }

func (l *testLog) checkpoint() string {
	l.t.Helper()
	root, err := audit.Root(l.size(), l)
	if err != nil {
		l.t.Fatal(err)
	}
	c := audit.Checkpoint{Origin: logOrigin, Size: l.size(), Root: root}
	b, err := note.Sign(&note.Note{Text: c.Text()}, l.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

func (l *testLog) proof(seq int64) string {
	l.t.Helper()
	hashes, err := audit.InclusionProof(l.size(), seq, l)
	if err != nil {
		l.t.Fatal(err)
	}
	p := audit.Proof{Index: seq, Hashes: hashes, Checkpoint: []byte(l.checkpoint())}
	return string(p.Encode())
}

func shown(leaf, proof string) reply {
	return reply{200, map[string]any{"leaf": leaf, "proof": proof}}
}

func TestAuditProve(t *testing.T) {
	l, other := newLog(t, 7, "cli_1"), newLog(t, 7, "cli_1")
	for _, c := range []struct {
		name  string
		proof reply
		key   string // that the node gives
		trust string // that is pinned; empty for none
		says  string // where it is not proved
	}{
		{"by the node's key", shown(l.leaves[4], l.proof(4)), l.vkey, "", ""},
		{"by a pinned key", shown(l.leaves[4], l.proof(4)), other.vkey, l.vkey, ""},
		{"a changed event", shown(strings.Replace(l.leaves[4], "cli_1", "cli_2", 1), l.proof(4)), l.vkey, "", "proof does not hold"},
		{"a changed event, pinned key", shown(strings.Replace(l.leaves[4], "cli_1", "cli_2", 1), l.proof(4)), l.vkey, l.vkey, "proof does not hold"},
		{"signed by another key", shown(other.leaves[4], other.proof(4)), l.vkey, "", "not signed by a known key"},
		{"another key, and the node gives that", shown(other.leaves[4], other.proof(4)), other.vkey, l.vkey, "not signed by a known key"},
		{"another event", shown(l.leaves[5], l.proof(5)), l.vkey, "", "event 5"},
		{"another event's bytes", shown(l.leaves[5], l.proof(4)), l.vkey, "", "proof does not hold"},
		{"a proof that is none", shown(l.leaves[4], "proof"), l.vkey, "", "not a proof"},
		{"no key", shown(l.leaves[4], l.proof(4)), "key", "", "no key of a log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newStandIn(t, map[string]reply{"GET /v1/audit/proof/4": c.proof, "GET /v1/audit/key": {200, c.key + "\n"}})
			args := []string{"audit", "prove", "4"}
			if c.trust != "" {
				n.save(t, "vkey", c.trust+"\n")
				args = append(args, "--trust", n.path("vkey"))
			}
			o := n.do(t, append(args, "--json")...)
			if c.says != "" {
				o.fails(t, 1, "", "not proved", c.says)
				return
			}
			p := one[struct {
				Proved       bool
				Pinned       bool `json:"key_pinned"`
				Seq, Size    int64
				Leaf, Origin string
			}](t, o.stdout)
			if o.code != 0 || !p.Proved || p.Pinned != (c.trust != "") || p.Seq != 4 || p.Size != 7 || p.Leaf != l.leaves[4] || p.Origin != logOrigin {
				t.Errorf("%d: %+v", o.code, p)
			}
			human := n.do(t, args...)
			if doubted := strings.Contains(human.stdout, "one that this node gave"); human.code != 0 || doubted != (c.trust == "") || !strings.Contains(human.stdout, "Proved: event 4") || !strings.Contains(human.stdout, "session.create") {
				t.Errorf("%+v", human)
			}
		})
	}
	n := newStandIn(t, nil)
	n.save(t, "vkey", "no key")
	n.do(t, "audit", "prove", "4", "--trust", n.path("vkey"), "--json").fails(t, 3, n.path("vkey"), "no key of a log")
}

// showing answers as a node with that log does, for a proof from a size.
func (l *testLog) showing(from int64) map[string]reply {
	l.t.Helper()
	hashes := []string{}
	if from <= l.size() {
		proof, err := audit.ConsistencyProof(from, l.size(), l)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, h := range proof {
			hashes = append(hashes, h.String())
		}
	}
	return map[string]reply{
		"GET /v1/audit/checkpoint":  {200, l.checkpoint()},
		"GET /v1/audit/key":         {200, l.vkey + "\n"},
		"GET /v1/audit/consistency": {200, map[string]any{"origin": logOrigin, "from": from, "to": l.size(), "hashes": hashes}},
	}
}

func TestAuditConsistency(t *testing.T) {
	l := newLog(t, 5, "cli_1")
	n := newStandIn(t, l.showing(5))
	kept := n.path("kept")
	if o := n.do(t, "audit", "checkpoint", "--out", kept); o.code != 0 || !strings.Contains(o.stdout, "5 events") {
		t.Fatalf("%+v", o)
	}
	b, err := os.ReadFile(kept)
	if err != nil || string(b) != l.checkpoint() {
		t.Fatalf("%q, %v", b, err)
	}
	if o := n.do(t, "audit", "checkpoint"); o.stdout != l.checkpoint() {
		t.Errorf("%+v", o)
	}
	for seq := int64(5); seq < 12; seq++ {
		l.add(seq, "cli_1")
	}
	forked, cut, other := newLog(t, 12, "cli_2"), newLog(t, 3, "cli_1"), newLog(t, 12, "cli_1")
	for _, f := range []*testLog{forked, cut} { // by the same key
		f.key, f.vkey = l.key, l.vkey
	}
	withoutProof := l.showing(5)
	withoutProof["GET /v1/audit/consistency"] = reply{200, map[string]any{"origin": logOrigin, "from": 5, "to": 12, "hashes": []string{}}}
	for _, c := range []struct {
		name    string
		replies map[string]reply
		says    string
	}{
		{"extended", l.showing(5), ""},
		{"rewritten", forked.showing(5), "does not begin with"},
		{"cut", cut.showing(5), "was cut"},
		{"another key", other.showing(5), "not signed by a known key"},
		{"no proof", withoutProof, "does not begin with"},
	} {
		n.replies = c.replies
		o := n.do(t, "audit", "consistency", kept, "--json")
		if c.says != "" {
			o.fails(t, 1, "", "not proved", c.says)
			continue
		}
		if p := one[struct {
			Consistent bool
			From, To   int64
		}](t, o.stdout); o.code != 0 || !p.Consistent || p.From != 5 || p.To != 12 {
			t.Errorf("%s: %d %+v", c.name, o.code, p)
		}
	}
	n.replies = l.showing(5)
	n.save(t, "changed", strings.Replace(string(b), "\n5\n", "\n6\n", 1))
	n.do(t, "audit", "consistency", n.path("changed"), "--json").fails(t, 1, "", "changed")
	n.save(t, "none", "checkpoint")
	n.do(t, "audit", "consistency", n.path("none"), "--json").fails(t, 3, n.path("none"), "audit checkpoint --out")
}

func TestAuditTail(t *testing.T) {
	event := func(seq int) map[string]any {
		return map[string]any{"seq": seq, "ts": "2026-11-24T09:00:00.000000000Z", "action": "session.create", "result": "ok", "actor": map[string]any{"type": "client", "id": "cli_1"}, "object": map[string]any{"id": "ses_\x1b[31m"}}
	}
	n := newStandIn(t, map[string]reply{"GET /v1/audit/events": {200, map[string]any{"origin": logOrigin, "size": 3, "events": []any{event(1), event(2)}}}})
	o := n.do(t, "audit", "tail", "--from", "-2", "--log", "system")
	if o.code != 0 || strings.Count(o.stdout, "session.create") != 2 || strings.Contains(o.stdout, "\x1b") || n.last(t).request != "GET /v1/audit/events?from=-2&log=system" {
		t.Errorf("%+v, %s", o, n.last(t).request)
	}
	page := one[struct {
		Size   int64
		Events []object
	}](t, n.do(t, "audit", "tail", "--json").stdout)
	if page.Size != 3 || len(page.Events) != 2 || string(page.Events[1]["seq"]) != "2" {
		t.Errorf("%+v", page)
	}
}

// --follow is ended by an interrupt, and that is no failure.
func TestAuditFollow(t *testing.T) {
	event := map[string]any{"seq": 1, "action": "session.create"}
	n := newStandIn(t, map[string]reply{"GET /v1/audit/events": {200, map[string]any{"origin": logOrigin, "size": 2, "events": []any{event}}}})
	cmd := command(t, "audit", "tail", "--follow", "--json", "--profile", n.path("profile.json"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, `"seq":1`) {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
