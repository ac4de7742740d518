package state_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// start of the commands' clock: the tests have no other.
const start = int64(1_700_000_000_000_000_000)

// actions of the event that a command carries, and what it is about.
var actions = map[command.Type]string{
	command.Type_FOUND: "cluster.found", command.Type_SETUP: "setup.complete", command.Type_CREATE_TENANT: "tenant.create",
	command.Type_CREATE_CLIENT: "client.create", command.Type_REVOKE_CLIENT: "client.revoke", command.Type_CREATE_SESSION: "session.create",
	command.Type_ADD_EVIDENCE: "session.evidence.add", command.Type_SUBMIT: "session.submit", command.Type_RETRY: "session.retry",
	command.Type_COMPLETE: "decision.make", command.Type_RETURN: "session.return", command.Type_FAIL: "session.fail",
	command.Type_RECORD: "access.result", command.Type_ERASE_SUBJECT: "subject.erase.restrict", command.Type_FINALISE: "cluster.finalise",
	command.Type_RENEW_CODE: "node.start", command.Type_BLOCK: "blocklist.add", command.Type_UNBLOCK: "blocklist.remove",
	command.Type_COSIGN: "audit.cosign", command.Type_SET_AUTHORITY: "key.create", command.Type_SET_RING: "key.rotate",
	command.Type_INVITE: "node.member.invite", command.Type_JOIN: "node.member.join", command.Type_CHANGE_MEMBER: "node.member.change",
	command.Type_REMOVE_MEMBER: "node.member.remove", command.Type_REASSIGN: "session.reassign",
	command.Type_START_EPOCH: "cluster.recover", command.Type_CHANGE_AUTHORITY: "key.rotate",
}

func hash(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// world is a state, the log that made it, and a clock.
type world struct {
	t    testing.TB
	path string
	s    *state.State
	now  int64
	log  []state.Entry
}

// empty state.
func empty(t testing.TB) *world {
	w := &world{t: t, path: filepath.Join(t.TempDir(), "state.db"), now: start}
	var err error
	if w.s, err = state.Open(w.path, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.s.Close() })
	return w
}

// founded has a cluster, the tenant ten_a with an administrator, and ten_b.
func founded(t testing.TB) *world { return foundedAt(t, 0) }

// foundedAt begins with a version of the commands.
func foundedAt(t testing.TB, version uint32) *world {
	w := empty(t)
	w.ok(w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code"), Version: version}))
	w.ok(w.command(command.Type_SETUP, "", &command.Setup{SetupCode: hash("code"), Tenant: tenant("ten_a"), Admin: admin("ten_a", "cli_admin")}))
	w.ok(w.command(command.Type_CREATE_TENANT, "", &command.CreateTenant{Tenant: tenant("ten_b"), Admin: client("ten_b", "cli_b")}))
	return w
}

func tenant(id string) *command.Tenant {
	return &command.Tenant{Id: id, Name: "Bank", Key: []byte("wrapped"), CreatedNs: start}
}

func client(tenant, id string, roles ...string) *command.Client {
	return &command.Client{Id: id, Tenant: tenant, Name: "branch", Roles: roles, Key: hash("key of " + tenant + id), Certificate: hash("cert of " + tenant + id), CreatedNs: start}
}

func admin(tenant, id string) *command.Client { return client(tenant, id, state.PlatformAdmin) }

// command of a type, with the event that belongs to it.
func (w *world) command(typ command.Type, tenant string, payload proto.Message) *command.Command {
	c, err := command.New(typ, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now += int64(time.Millisecond)
	n := len(w.log) + 1
	c.Id, c.Tenant, c.ProposedAtNs, c.Proposer = fmt.Sprintf("cmd_%d", n), tenant, w.now, "nod_a"
	c.Actor = &command.Actor{Type: "client", Id: "cli_admin", Authn: "key"}
	if a := actions[typ]; a != "" {
		c.Events = []*command.Event{{Id: fmt.Sprintf("evt_%d", n), Action: a, Result: "ok", RequestId: fmt.Sprintf("req_%d", n)}}
	}
	return c
}

// entry puts a command into the log.
func (w *world) entry(c *command.Command) state.Entry {
	b, err := command.Encode(c)
	if err != nil {
		w.t.Fatal(err)
	}
	e := state.Entry{Index: uint64(len(w.log) + 1), Term: 1 + uint64(len(w.log)/100), Data: b}
	w.log = append(w.log, e)
	return e
}

// do applies a command.
func (w *world) do(c *command.Command) *command.Answer {
	w.t.Helper()
	a, err := w.s.Apply([]state.Entry{w.entry(c)})
	if err != nil {
		w.t.Fatal(err)
	}
	return a[0]
}

func (w *world) ok(c *command.Command) *command.Answer {
	w.t.Helper()
	a := w.do(c)
	if a.Refusal != "" {
		w.t.Fatalf("%v was refused: %s", c.Type, a.Refusal)
	}
	return a
}

func (w *world) view(read func(v *state.View)) {
	w.t.Helper()
	if err := w.s.View(func(v *state.View) error { read(v); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) session(id string) (s *command.Session) {
	w.t.Helper()
	w.view(func(v *state.View) {
		var err error
		if s, err = v.Session("ten_a", id); err != nil {
			w.t.Fatalf("session %s: %v", id, err)
		}
	})
	return s
}

func (w *world) size(log string) uint64 {
	w.t.Helper()
	h, err := w.s.Log(log).Head()
	if err != nil {
		w.t.Fatal(err)
	}
	return uint64(h.Size)
}

func (w *world) leaf(log string, seq uint64) []byte {
	w.t.Helper()
	b, err := w.s.Log(log).Leaf(int64(seq))
	if err != nil {
		w.t.Fatalf("leaf %d of %s: %v", seq, log, err)
	}
	return b
}

// reopen closes and opens the file.
func (w *world) reopen() {
	w.t.Helper()
	if err := w.s.Close(); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if w.s, err = state.Open(w.path, false); err != nil {
		w.t.Fatal(err)
	}
}

// Commands of ten_a. The session's subject is its own unless it is named.

const ttl = 30 * time.Minute

func (w *world) create(session, subject, reference string) *command.Command {
	c := w.command(command.Type_CREATE_SESSION, "ten_a", nil)
	u := &command.Subject{Id: subject, Tenant: "ten_a", Key: []byte("wrapped " + subject), CreatedNs: w.now}
	if reference != "" {
		u.Reference, u.Sealed = hash(reference), []byte("sealed")
	}
	return w.with(c, &command.CreateSession{Subject: u, Session: &command.Session{Id: session, Tenant: "ten_a", Subject: subject, Kind: "onboarding",
		Consent: &command.Consent{TextVersion: "1", GivenAtNs: w.now, Channel: "branch"}, CreatedBy: "cli_admin", CreatedNs: w.now, ExpiresNs: w.now + int64(ttl), TtlNs: int64(ttl)}}, session, subject)
}

// with sets a payload, and what the first event is about.
func (w *world) with(c *command.Command, payload proto.Message, session, subject string) *command.Command {
	p, err := command.New(c.Type, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	c.Payload = p.Payload
	c.Events[0].ObjectType, c.Events[0].ObjectId, c.Events[0].Subject = "session", session, subject
	return c
}

// evidence n of a slot: other bytes for each n.
func (w *world) evidence(session, slot string, n int) *command.Command {
	what := fmt.Sprintf("%s %s %d", session, slot, n)
	c := w.command(command.Type_ADD_EVIDENCE, "ten_a", nil)
	c.Events[0].ObjectSha256 = hash(what)
	c.Events[0].Openings = []byte("sealed opening")
	return w.with(c, &command.AddEvidence{Session: session, Evidence: &command.Evidence{
		Id: fmt.Sprintf("evd_%s_%s_%d", session, slot, n), Slot: slot, Class: "image/jpeg", Blob: fmt.Sprintf("%x", hash(what)),
		Stored: 5000, Size: 4900, AddedNs: w.now, Request: hash("request " + what)}}, session, "sub_"+session)
}

func (w *world) submit(session string) *command.Command {
	return w.with(w.command(command.Type_SUBMIT, "ten_a", nil), &command.Submit{Session: session, Node: "nod_a"}, session, "sub_"+session)
}

func (w *world) retry(session string, attempt uint32) *command.Command {
	return w.with(w.command(command.Type_RETRY, "ten_a", nil), &command.Retry{Session: session, Attempt: attempt, Reason: "worker_lost", Node: "nod_b"}, session, "sub_"+session)
}

// complete a session whose face was compared with all that are enrolled.
func (w *world) complete(session string, attempt uint32, outcome string) *command.Command {
	var newest uint64
	w.view(func(v *state.View) { newest = v.NewestEnrolment("ten_a") })
	return w.completeAt(session, attempt, outcome, newest)
}

// completeAt says up to which enrolment the face was compared.
func (w *world) completeAt(session string, attempt uint32, outcome string, searched uint64) *command.Command {
	return w.with(w.command(command.Type_COMPLETE, "ten_a", nil), &command.Complete{Session: session, Attempt: attempt, Outcome: outcome, Reasons: []string{"score"},
		Result:   &command.Result{Session: session, Summary: []byte("sealed"), Detail: []byte("sealed"), Rules: "1"},
		Template: &command.Template{Session: session, Model: "arc", Sealed: []byte("sealed")}, Searched: searched}, session, "sub_"+session)
}

func (w *world) back(session string, attempt uint32, slot string) *command.Command {
	return w.with(w.command(command.Type_RETURN, "ten_a", nil), &command.Return{Session: session, Attempt: attempt, Slot: slot, Reason: "blurred"}, session, "sub_"+session)
}

func (w *world) fail(session string, attempt uint32) *command.Command {
	return w.with(w.command(command.Type_FAIL, "ten_a", nil), &command.Fail{Session: session, Attempt: attempt, Reason: "models_failed"}, session, "sub_"+session)
}

func (w *world) erase(subject string) *command.Command {
	c := w.command(command.Type_ERASE_SUBJECT, "ten_a", &command.EraseSubject{Subject: subject, Reason: "withdrawn"})
	c.Events[0].ObjectType, c.Events[0].ObjectId, c.Events[0].Subject = "subject", subject, subject
	return c
}

// blocking a face of a session, or of a picture where it is "".
func blocking(id, session string, at int64) *command.Block {
	return &command.Block{Blocked: &command.Blocked{Id: id, Tenant: "ten_a", Subject: "sub_" + id, Session: session, CreatedBy: "cli_admin", CreatedNs: at, Sealed: []byte("sealed why")},
		Subject:  &command.Subject{Id: "sub_" + id, Tenant: "ten_a", Key: []byte("wrapped sub_" + id), CreatedNs: at},
		Template: &command.Template{Session: id, Model: "arc", Sealed: []byte("sealed")}}
}

func (w *world) block(id, session string) *command.Command {
	return w.blockWith(blocking(id, session, w.now))
}

func (w *world) blockWith(p *command.Block) *command.Command {
	c := w.with(w.command(command.Type_BLOCK, "ten_a", nil), p, p.Blocked.GetId(), p.Subject.GetId())
	c.Events[0].ObjectType = "blocklist_entry"
	c.Events[0].Openings = []byte("sealed opening")
	return c
}

func (w *world) unblock(id string) *command.Command {
	c := w.with(w.command(command.Type_UNBLOCK, "ten_a", nil), &command.Unblock{Blocked: id}, id, "sub_"+id)
	c.Events[0].ObjectType = "blocklist_entry"
	return c
}

// tick lets time pass until the clock shows at.
func (w *world) tick(at int64) *command.Command {
	c := w.command(command.Type_TICK, "", &command.Tick{})
	w.now = at
	c.ProposedAtNs = at
	return c
}

// keyed gives a command an idempotency key.
func keyed(c *command.Command, key, request string) *command.Command {
	c.Idempotency = &command.Idempotency{Principal: "cli_admin", Key: hash(key), Request: hash(request), Answer: []byte("sealed answer")}
	return c
}

// collected is a session that can be submitted.
func (w *world) collected(session string) {
	w.ok(w.create(session, "sub_"+session, ""))
	w.ok(w.evidence(session, "document_front", 1))
	w.ok(w.evidence(session, "selfie", 1))
}
