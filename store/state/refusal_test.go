package state_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// refusals are ways to be refused, after whatever they need. The command is
// proposed last.
var refusals = []struct {
	name string
	code state.Refusal
	make func(w *world) *command.Command
}{
	{"a second cluster", state.Exists, func(w *world) *command.Command {
		return w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_b", SetupCode: hash("x")})
	}},
	{"setup again", state.SetUpAlready, func(w *world) *command.Command {
		return w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("code"), Tenant: tenant("ten_x"), Admin: admin("ten_x", "cli_x")})
	}},
	{"a setup code after setup", state.SetUpAlready, func(w *world) *command.Command {
		return w.command(command.Type_RENEW_CODE, "", &command.RenewCode{SetupCode: hash("x")})
	}},
	{"a tenant that exists", state.Exists, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant("ten_a"), Admin: client("ten_a", "cli_x")})
	}},
	{"the system's name", state.Exists, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant(audit.System), Admin: client(audit.System, "cli_x")})
	}},
	{"a tenant whose name names no log", state.Malformed, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant("ten/x"), Admin: client("ten/x", "cli_x")})
	}},
	{"no tenant", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_CREATE_TENANT, "", nil) }},
	{"another tenant's administrator", state.Malformed, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant("ten_x"), Admin: client("ten_a", "cli_x")})
	}},
	{"a client of another tenant", state.Malformed, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_CLIENT, "ten_b", &command.CreateClient{Client: client("ten_a", "cli_x")})
	}},
	{"a client of no tenant", state.NoTenant, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_CLIENT, "ten_x", &command.CreateClient{Client: client("ten_x", "cli_x")})
	}},
	{"a client that exists", state.Exists, func(w *world) *command.Command {
		return w.command(command.Type_CREATE_CLIENT, "ten_a", &command.CreateClient{Client: admin("ten_a", "cli_admin")})
	}},
	{"a key that another client has", state.Exists, func(w *world) *command.Command {
		c := client("ten_a", "cli_x")
		c.Key = hash("key of ten_bcli_b")
		return w.command(command.Type_CREATE_CLIENT, "ten_a", &command.CreateClient{Client: c})
	}},
	{"a key that is no hash", state.Malformed, func(w *world) *command.Command {
		c := client("ten_a", "cli_x")
		c.Key = []byte("gh_plain")
		return w.command(command.Type_CREATE_CLIENT, "ten_a", &command.CreateClient{Client: c})
	}},
	{"no client", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_CREATE_CLIENT, "ten_a", nil) }},
	{"to revoke nobody", state.NoClient, func(w *world) *command.Command {
		return w.command(command.Type_REVOKE_CLIENT, "ten_b", &command.RevokeClient{Client: "cli_admin"})
	}},
	{"to revoke the last administrator", state.LastAdministrator, func(w *world) *command.Command {
		return w.command(command.Type_REVOKE_CLIENT, "ten_a", &command.RevokeClient{Client: "cli_admin"})
	}},
	{"a version that is not known", state.VersionUnsupported, func(w *world) *command.Command {
		return w.command(command.Type_FINALISE, "", &command.Finalise{Version: command.Version + 1})
	}},
	{"version 0", state.VersionUnsupported, func(w *world) *command.Command { return w.command(command.Type_FINALISE, "", nil) }},
	{"a session of no tenant", state.NoTenant, func(w *world) *command.Command {
		c := w.create("ses_x", "sub_x", "")
		c.Tenant = "ten_x"
		return c
	}},
	{"a session that exists", state.Exists, func(w *world) *command.Command { return w.create("ses_1", "sub_x", "") }},
	{"a session without an id", state.Malformed, func(w *world) *command.Command { return w.create("", "sub_x", "") }},
	{"a session whose id ends a key", state.Malformed, func(w *world) *command.Command { return w.create("ses\x00x", "sub_x", "") }},
	{"a session with an endless id", state.Malformed, func(w *world) *command.Command { return w.create(strings.Repeat("x", 40_000), "sub_x", "") }},
	{"a session of another tenant", state.Malformed, func(w *world) *command.Command {
		c := w.create("ses_x", "sub_x", "")
		c.Tenant = "ten_b"
		return c
	}},
	{"a session of nobody", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_CREATE_SESSION, "ten_a", nil) }},
	{"a subject without a key", state.NoSubject, func(w *world) *command.Command {
		c := w.create("ses_x", "sub_x", "")
		return w.with(c, &command.CreateSession{Session: &command.Session{Id: "ses_x", Tenant: "ten_a", ExpiresNs: w.now + 1, TtlNs: 1}, Subject: &command.Subject{Id: "sub_x", Tenant: "ten_a"}}, "ses_x", "sub_x")
	}},
	{"an erased subject", state.SubjectErased, func(w *world) *command.Command {
		w.ok(w.erase("sub_ses_1"))
		return w.create("ses_x", "sub_ses_1", "")
	}},
	{"evidence of no session", state.NoSession, func(w *world) *command.Command { return w.evidence("ses_x", "selfie", 1) }},
	{"evidence of another tenant's session", state.NoSession, func(w *world) *command.Command {
		c := w.evidence("ses_1", "selfie", 2)
		c.Tenant = "ten_b"
		return c
	}},
	{"no evidence", state.TriesUsedUp, func(w *world) *command.Command {
		return w.with(w.command(command.Type_ADD_EVIDENCE, "ten_a", nil), &command.AddEvidence{Session: "ses_1"}, "ses_1", "")
	}},
	{"an unknown slot", state.TriesUsedUp, func(w *world) *command.Command { return w.evidence("ses_1", "liveness_frame_6", 1) }},
	{"a fourth selfie", state.TriesUsedUp, func(w *world) *command.Command {
		w.ok(w.evidence("ses_1", "selfie", 2))
		w.ok(w.evidence("ses_1", "selfie", 3))
		return w.evidence("ses_1", "selfie", 4)
	}},
	{"evidence without an object", state.Malformed, func(w *world) *command.Command {
		return w.with(w.evidence("ses_1", "selfie", 2), &command.AddEvidence{Session: "ses_1", Evidence: &command.Evidence{Id: "evd_x", Slot: "selfie"}}, "ses_1", "")
	}},
	{"an object that other evidence names", state.Exists, func(w *world) *command.Command {
		w.ok(w.create("ses_2", "sub_2", ""))
		first := w.session("ses_1").Evidence[0]
		return w.with(w.evidence("ses_2", "selfie", 1), &command.AddEvidence{Session: "ses_2", Evidence: &command.Evidence{Id: "evd_x", Slot: "selfie", Blob: first.Blob}}, "ses_2", "")
	}},
	{"to submit without a selfie", state.EvidenceMissing, func(w *world) *command.Command {
		w.ok(w.create("ses_2", "sub_2", ""))
		w.ok(w.evidence("ses_2", "document_front", 1))
		return w.submit("ses_2")
	}},
	{"to submit twice", state.SessionClosed, func(w *world) *command.Command {
		w.ok(w.submit("ses_1"))
		return w.submit("ses_1")
	}},
	{"to submit too late", state.SessionExpired, func(w *world) *command.Command {
		w.now += int64(ttl)
		return w.submit("ses_1")
	}},
	{"a stale attempt", state.StaleAttempt, func(w *world) *command.Command {
		w.ok(w.submit("ses_1"))
		w.ok(w.retry("ses_1", 1))
		return w.complete("ses_1", 1, state.Approved)
	}},
	{"an outcome that is none", state.Malformed, func(w *world) *command.Command {
		w.ok(w.submit("ses_1"))
		return w.complete("ses_1", 1, "maybe")
	}},
	{"a decision without a result", state.Malformed, func(w *world) *command.Command {
		w.ok(w.submit("ses_1"))
		return w.with(w.complete("ses_1", 1, state.Approved), &command.Complete{Session: "ses_1", Attempt: 1, Outcome: state.Approved}, "ses_1", "")
	}},
	{"a template without a model", state.Malformed, func(w *world) *command.Command {
		return w.completeWith(func(p *command.Complete) { p.Template.Model = "" })
	}},
	{"a template of nothing", state.Malformed, func(w *world) *command.Command {
		return w.completeWith(func(p *command.Complete) { p.Template.Sealed = nil })
	}},
	{"another session's template", state.Malformed, func(w *world) *command.Command {
		return w.completeWith(func(p *command.Complete) { p.Template.Session = "ses_2" })
	}},
	{"a face that nothing was compared with", state.SearchAgain, func(w *world) *command.Command {
		w.collected("ses_2")
		w.ok(w.submit("ses_2"))
		w.ok(w.complete("ses_2", 1, state.Approved))
		return w.completeWith(func(p *command.Complete) { p.Searched = 0 })
	}},
	{"a face that was not compared with the newest", state.SearchAgain, func(w *world) *command.Command {
		index := w.ok(w.block("blk_1", "")).Index
		return w.completeWith(func(p *command.Complete) { p.Searched = index - 1 })
	}},
	{"to block nothing", state.Malformed, func(w *world) *command.Command {
		return w.with(w.command(command.Type_BLOCK, "ten_a", nil), nil, "blk_1", "")
	}},
	{"to block a face of no tenant", state.NoTenant, func(w *world) *command.Command {
		c := w.block("blk_1", "")
		c.Tenant = "ten_x"
		return c
	}},
	{"to block another tenant's face", state.Malformed, func(w *world) *command.Command {
		c := w.block("blk_1", "")
		c.Tenant = "ten_b"
		return c
	}},
	{"to block a face that is blocked", state.Exists, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		p := blocking("blk_1", "", w.now)
		p.Blocked.Subject, p.Subject.Id = "sub_x", "sub_x"
		return w.blockWith(p)
	}},
	{"to block under a session's name", state.Exists, func(w *world) *command.Command {
		p := blocking("ses_1", "", w.now)
		p.Blocked.Subject, p.Subject.Id = "sub_x", "sub_x"
		return w.blockWith(p)
	}},
	{"a session under a blocklist entry's name", state.Exists, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		return w.create("blk_1", "sub_x", "")
	}},
	{"to block a person's own subject", state.Exists, func(w *world) *command.Command {
		p := blocking("blk_1", "", w.now)
		p.Blocked.Subject, p.Subject.Id = "sub_ses_1", "sub_ses_1"
		return w.blockWith(p)
	}},
	{"to block a face of no session", state.NoSession, func(w *world) *command.Command { return w.block("blk_1", "ses_x") }},
	{"to block a face of an erased session", state.SubjectErased, func(w *world) *command.Command {
		w.ok(w.erase("sub_ses_1"))
		return w.block("blk_1", "ses_1")
	}},
	{"to unblock what is not blocked", state.NoBlocked, func(w *world) *command.Command { return w.unblock("ses_1") }},
	{"to unblock twice", state.NoBlocked, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		w.ok(w.unblock("blk_1"))
		return w.unblock("blk_1")
	}},
	{"to unblock in another tenant", state.NoBlocked, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		c := w.unblock("blk_1")
		c.Tenant = "ten_b"
		return c
	}},
	{"to erase a blocklist entry's subject", state.NoSubject, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		return w.erase("sub_blk_1")
	}},
	{"to erase an ended blocklist entry's subject", state.NoSubject, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		w.ok(w.unblock("blk_1"))
		return w.erase("sub_blk_1")
	}},
	{"a session of a blocklist entry's subject", state.NoSubject, func(w *world) *command.Command {
		w.ok(w.block("blk_1", ""))
		return w.create("ses_x", "sub_blk_1", "")
	}},
	{"a person who calls itself blocked", state.Malformed, func(w *world) *command.Command {
		return w.with(w.create("ses_x", "sub_x", ""), &command.CreateSession{Session: &command.Session{Id: "ses_x", Tenant: "ten_a", ExpiresNs: w.now + 1, TtlNs: 1},
			Subject: &command.Subject{Id: "sub_x", Tenant: "ten_a", Key: []byte("k"), Blocked: "blk_1"}}, "ses_x", "sub_x")
	}},
	{"to return what is not there", state.EvidenceMissing, func(w *world) *command.Command {
		w.ok(w.submit("ses_1"))
		return w.back("ses_1", 1, "document_back")
	}},
	{"to erase nobody", state.NoSubject, func(w *world) *command.Command { return w.erase("sub_x") }},
	{"to erase twice", state.SubjectErased, func(w *world) *command.Command {
		w.ok(w.erase("sub_ses_1"))
		return w.erase("sub_ses_1")
	}},
	{"another request with a key", state.KeyReused, func(w *world) *command.Command {
		w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "one"))
		return keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "two")
	}},
	{"a key that is no hash", state.Malformed, func(w *world) *command.Command {
		c := keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "one")
		c.Idempotency.Key = []byte("k")
		return c
	}},
	{"events of no tenant", state.NoTenant, func(w *world) *command.Command { return w.command(command.Type_RECORD, "ten_x", nil) }},
	{"no event", state.Malformed, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Events = nil
		return c
	}},
	{"no time", state.Malformed, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.ProposedAtNs = 0
		return c
	}},
	{"a tick before all time", state.Malformed, func(w *world) *command.Command {
		c := w.tick(w.now)
		c.ProposedAtNs = -int64(time.Hour)
		return c
	}},
	{"no proposer", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Proposer = ""
		return c
	}},
	{"free text in an event", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Events[0].Reason = "his name is X"
		return c
	}},
	{"an actor that cannot be written", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Actor.Id = "a\nb"
		return c
	}},
	{"a commitment that is none", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Events[0].Commitments = map[string][]byte{"name": []byte("X")}
		return c
	}},
	{"an event that is too large", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Events[0].Facts = map[string]string{"a": strings.Repeat("x", audit.MaxLeaf)}
		return c
	}},
	{"a second event that cannot be written", state.LeafRefused, func(w *world) *command.Command {
		c := w.submit("ses_1")
		c.Events = append(c.Events, &command.Event{Id: "evt_x", Action: "session.submit", Result: "well"})
		return c
	}},
}

// completeWith decides ses_1, but for a change.
func (w *world) completeWith(change func(*command.Complete)) *command.Command {
	w.t.Helper()
	w.ok(w.submit("ses_1"))
	c := w.complete("ses_1", 1, state.Approved)
	p := &command.Complete{}
	if err := proto.Unmarshal(c.Payload, p); err != nil {
		w.t.Fatal(err)
	}
	change(p)
	return w.with(c, p, "ses_1", "sub_ses_1")
}

func TestEveryRefusalLeavesOnlyItsLeaf(t *testing.T) {
	seen := map[state.Refusal]bool{state.WrongSetupCode: true} // below
	for _, r := range refusals {
		seen[r.code] = true
		t.Run(r.name, func(t *testing.T) {
			t.Parallel() // what takes time is the disk
			w := founded(t)
			w.collected("ses_1")
			c := r.make(w)
			log := c.Tenant
			if log != "ten_a" && log != "ten_b" {
				log = audit.System
			}
			refusedWith(t, w, c, r.code, log)
		})
	}
	for _, code := range []state.Refusal{state.Exists, state.Malformed, state.NoTenant, state.NoClient, state.NoSession, state.NoSubject, state.NoBlocked, state.SubjectErased,
		state.WrongSetupCode, state.SetUpAlready, state.LastAdministrator, state.SessionClosed, state.SessionExpired, state.TriesUsedUp,
		state.EvidenceMissing, state.StaleAttempt, state.SearchAgain, state.KeyReused, state.LeafRefused, state.VersionUnsupported} {
		if !seen[code] {
			t.Errorf("nothing is refused with %s", code)
		}
	}
}

// refusedWith applies c, and compares every row of the file before and after.
func refusedWith(t *testing.T, w *world, c *command.Command, code state.Refusal, log string) {
	t.Helper()
	before, n := rows(t, w), w.size(log)
	a := w.do(c)
	if a.Refusal != string(code) {
		t.Fatalf("answer %v, want the refusal %s", a, code)
	}
	if a.Id != "" || a.Replay != nil || a.Log != log || a.Seq != n {
		t.Errorf("answer %v; its leaf is %d of %s", a, n, log)
	}
	leaf, err := audit.DecodeLeaf(w.leaf(log, n))
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Action != audit.CommandRefused || leaf.Result != audit.Refused || leaf.Reason != string(code) || leaf.Index != uint64(len(w.log)) {
		t.Errorf("leaf %+v", leaf)
	}
	if got := w.size(log); got != n+1 {
		t.Errorf("%d leaves, then %d", n, got)
	}
	for name, after := range rows(t, w) {
		if name != "heads" && name != "leaves" && name != "hashes" && after != before[name] {
			t.Errorf("table %s was changed", name)
		}
	}
}

func TestRefusedSetup(t *testing.T) {
	for name, c := range map[string]func(w *world) (*command.Command, state.Refusal){
		"wrong code": func(w *world) (*command.Command, state.Refusal) {
			return w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("other"), Tenant: tenant("ten_a"), Admin: admin("ten_a", "cli_a")}), state.WrongSetupCode
		},
		"no code": func(w *world) (*command.Command, state.Refusal) {
			return w.command(command.Type_SETUP, "", &command.Setup{Tenant: tenant("ten_a"), Admin: admin("ten_a", "cli_a")}), state.WrongSetupCode
		},
		"no administrator": func(w *world) (*command.Command, state.Refusal) {
			return w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("code"), Tenant: tenant("ten_a")}), state.Malformed
		},
		"another code that is none": func(w *world) (*command.Command, state.Refusal) {
			return w.command(command.Type_RENEW_CODE, "", &command.RenewCode{SetupCode: []byte("code")}), state.Malformed
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := empty(t)
			w.ok(w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code")}))
			made, code := c(w)
			refusedWith(t, w, made, code, audit.System)
			w.ok(w.command(command.Type_RENEW_CODE, "", &command.RenewCode{SetupCode: hash("new")}))
			w.view(func(v *state.View) {
				if v.SetUp() {
					t.Error("set up")
				}
			})
			w.ok(w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("new"), Tenant: tenant("ten_a"), Admin: admin("ten_a", "cli_a")}))
			w.view(func(v *state.View) {
				if !v.SetUp() {
					t.Error("not set up")
				}
			})
		})
	}
}
