package identify_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/identify"
	"gatehouse/engine/face"
	"gatehouse/engine/pack"
	"gatehouse/engine/specimen"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	home      = "ten_a" // the tenant of most tests
	other     = "ten_b"
	model     = "arc"
	dimension = 128
)

// calibration of the default pack's first and last measured points
// (docs/accuracy.md), without a factor.
func calibration() *pack.MatchCalibration {
	return &pack.MatchCalibration{EmbeddingID: model, DataSet: "specimens", SafetyFactor: 1, FMR: []pack.RatePoint{{Score: 0.153, Rate: 0.1}, {Score: 0.516, Rate: 1e-5}}}
}

// faces of persons, by number; picture 0 is enrolled, others are probes.
var faces = specimen.NewTemplates(1, dimension)

func probe(person, picture uint64) face.Template {
	return face.Template{Model: model, Vector: faces.Template(person, picture)}
}

// world is a state with its keys, and the commands that made it. Commands are
// applied many at a time: flush.
type world struct {
	t     testing.TB
	dir   string // of snapshots
	state *state.State
	keys  *keys.Store

	mu     sync.Mutex
	log    []*command.Command
	done   int               // of the log
	newest map[string]uint64 // enrolment of a tenant
	wraps  map[string][]byte // of tenants
	people map[string]*keys.Subject
}

func founded(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "gallery"), newest: map[string]uint64{}, wraps: map[string][]byte{}, people: map[string]*keys.Subject{}}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "data.seal")
	var err error
	if w.keys, err = keys.Create(t.TempDir(), "clu_a", rand.Reader, func(s *keys.Store) error { _, err := s.AddFile(secret); return err }); err != nil {
		t.Fatal(err)
	}
	w.state = open(t)
	for _, id := range []string{home, other} {
		if w.wraps[id], err = w.keys.NewTenant(id); err != nil {
			t.Fatal(err)
		}
	}
	w.add(command.Type_FOUND, "", "cluster.found", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code")})
	w.add(command.Type_SETUP, "", "setup.complete", &command.Setup{SetupCode: hash("code"), Tenant: w.tenant(home), Admin: w.client(home, state.PlatformAdmin)})
	w.add(command.Type_CREATE_TENANT, "", "tenant.create", &command.CreateTenant{Tenant: w.tenant(other), Admin: w.client(other)})
	w.flush()
	return w
}

func open(t testing.TB) *state.State {
	t.Helper()
	s, err := state.Open(filepath.Join(t.TempDir(), "state.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func hash(s string) []byte { h := sha256.Sum256([]byte(s)); return h[:] }

func (w *world) now() int64 {
	return 1_700_000_000_000_000_000 + int64(len(w.log))*int64(time.Microsecond)
}

func (w *world) tenant(id string) *command.Tenant {
	return &command.Tenant{Id: id, Name: "Bank", Key: w.wraps[id], CreatedNs: w.now()}
}

func (w *world) client(tenant string, roles ...string) *command.Client {
	return &command.Client{Id: "cli_" + tenant, Tenant: tenant, Name: "branch", Roles: roles, Key: hash(tenant), Certificate: hash("of " + tenant), CreatedNs: w.now()}
}

// add a command to the log; its index is what is given.
func (w *world) add(typ command.Type, tenant, action string, payload proto.Message) uint64 {
	w.t.Helper()
	c, err := command.New(typ, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	n := len(w.log) + 1
	c.Id, c.Tenant, c.ProposedAtNs, c.Proposer = fmt.Sprintf("cmd_%d", n), tenant, w.now(), "nod_a"
	c.Actor = &command.Actor{Type: "client", Id: "cli_" + home, Authn: "key"}
	c.Events = []*command.Event{{Id: fmt.Sprintf("evt_%d", n), Action: action, Result: "ok", RequestId: fmt.Sprintf("req_%d", n)}}
	w.log = append(w.log, c)
	return uint64(n)
}

// flush applies what was added; nothing of it may be refused.
func (w *world) flush() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range apply(w.t, w.state, w.log[w.done:], w.done) {
		if a.Refusal != "" {
			w.t.Fatalf("%v was refused: %s", w.log[w.done+i].Type, a.Refusal)
		}
	}
	w.done = len(w.log)
}

// try applies the last command, which may be refused.
func (w *world) try() (refusal string) {
	w.t.Helper()
	a := apply(w.t, w.state, w.log[w.done:], w.done)
	w.done = len(w.log)
	return a[len(a)-1].Refusal
}

func apply(t testing.TB, s *state.State, log []*command.Command, before int) (answers []*command.Answer) {
	t.Helper()
	const together = 500
	for i := 0; i < len(log); i += together {
		var entries []state.Entry
		for j, c := range log[i:min(len(log), i+together)] {
			b, err := command.Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, state.Entry{Index: uint64(before + i + j + 1), Term: 1, Data: b})
		}
		a, err := s.Apply(entries)
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a...)
	}
	return answers
}

// person gives a subject's key, also wrapped.
func (w *world) person(tenant, subject string) (*keys.Subject, []byte) {
	w.t.Helper()
	of, err := w.keys.Tenant(tenant, w.wraps[tenant])
	if err != nil {
		w.t.Fatal(err)
	}
	u, wrapped, err := of.NewSubject(subject)
	if err != nil {
		w.t.Fatal(err)
	}
	w.people[tenant+subject] = u
	return u, wrapped
}

// template of a session or entry, sealed for its place.
func (w *world) template(u *keys.Subject, id, model string, vector []float32) *command.Template {
	w.t.Helper()
	sealed, err := u.Seal(identify.Place(model, id), identify.Bytes(vector))
	if err != nil {
		w.t.Fatal(err)
	}
	return &command.Template{Session: id, Model: model, Sealed: sealed}
}

// submitted is a session that waits for its decision; the person of a reference
// may have been there before.
func (w *world) submitted(tenant, session, subject string) {
	w.t.Helper()
	const ttl = 30 * time.Minute
	u := &command.Subject{Id: subject, Tenant: tenant, Reference: hash(tenant + subject), CreatedNs: w.now()}
	if w.people[tenant+subject] == nil {
		_, u.Key = w.person(tenant, subject)
		u.Sealed = []byte("sealed")
	}
	w.add(command.Type_CREATE_SESSION, tenant, "session.create", &command.CreateSession{Subject: u, Session: &command.Session{Id: session, Tenant: tenant, Subject: subject,
		Kind: "identity", Consent: &command.Consent{TextVersion: "1", GivenAtNs: w.now(), Channel: "branch"}, CreatedBy: "cli_" + home, CreatedNs: w.now(), ExpiresNs: w.now() + int64(ttl), TtlNs: int64(ttl)}})
	for _, slot := range []string{"document_front", "selfie"} {
		name := tenant + session + slot
		w.add(command.Type_ADD_EVIDENCE, tenant, "session.evidence.add", &command.AddEvidence{Session: session, Evidence: &command.Evidence{
			Id: "evd_" + name, Slot: slot, Class: "image/jpeg", Blob: fmt.Sprintf("%x", hash(name)), Stored: 5000, Size: 4900, AddedNs: w.now(), Request: hash("request " + name)}})
	}
	w.add(command.Type_SUBMIT, tenant, "session.submit", &command.Submit{Session: session, Node: "nod_a"})
}

// decided completes a session, compared up to an enrolment.
func (w *world) decided(tenant, session, subject string, t face.Template, searched uint64) uint64 {
	w.t.Helper()
	return w.add(command.Type_COMPLETE, tenant, "decision.make", &command.Complete{Session: session, Attempt: 1, Outcome: state.Approved, Reasons: []string{"score"},
		Result:   &command.Result{Session: session, Summary: []byte("sealed"), Detail: []byte("sealed"), Rules: "1"},
		Template: w.template(w.people[tenant+subject], session, t.Model, t.Vector), Searched: searched})
}

// enrol a face; flush has it applied.
func (w *world) enrol(tenant, session, subject string, t face.Template) {
	w.t.Helper()
	w.submitted(tenant, session, subject)
	w.newest[tenant] = w.decided(tenant, session, subject, t, w.newest[tenant])
}

func (w *world) block(tenant, entry string, t face.Template) {
	w.t.Helper()
	subject := "sub_" + entry
	u, wrapped := w.person(tenant, subject)
	w.newest[tenant] = w.add(command.Type_BLOCK, tenant, "blocklist.add", &command.Block{
		Blocked:  &command.Blocked{Id: entry, Tenant: tenant, Subject: subject, CreatedBy: "cli_" + home, CreatedNs: w.now(), Sealed: []byte("sealed why")},
		Subject:  &command.Subject{Id: subject, Tenant: tenant, Key: wrapped, CreatedNs: w.now()},
		Template: w.template(u, entry, t.Model, t.Vector)})
}

// erase a person, at once.
func (w *world) erase(tenant, subject string) {
	w.t.Helper()
	w.add(command.Type_ERASE_SUBJECT, tenant, "subject.erase.restrict", &command.EraseSubject{Subject: subject, Reason: "withdrawn"})
	w.flush()
}

func (w *world) unblock(tenant, entry string) {
	w.t.Helper()
	w.add(command.Type_UNBLOCK, tenant, "blocklist.remove", &command.Unblock{Blocked: entry})
	w.flush()
}

// many persons from..to in the subjects of a tenant, each under its number.
func (w *world) many(tenant string, from, to uint64) {
	w.t.Helper()
	for p := from; p < to; p++ {
		w.enrol(tenant, session(p), subject(p), probe(p, 0))
	}
	w.flush()
}

func (w *world) manyBlocked(tenant string, from, to uint64) {
	w.t.Helper()
	for p := from; p < to; p++ {
		w.block(tenant, blocked(p), probe(p, 0))
	}
	w.flush()
}

func session(p uint64) string { return fmt.Sprintf("ses_%06d", p) }
func subject(p uint64) string { return fmt.Sprintf("sub_%06d", p) }
func blocked(p uint64) string { return fmt.Sprintf("blk_%06d", p) }

// again makes another state by the same commands, but for what change does with
// a copy of each, from the first on; it ends where change says false.
func (w *world) again(change func(i int, c *command.Command) bool) *state.State {
	w.t.Helper()
	var log []*command.Command
	for i, c := range w.log {
		c = proto.Clone(c).(*command.Command)
		if !change(i, c) {
			break
		}
		log = append(log, c)
	}
	s := open(w.t)
	for i, a := range apply(w.t, s, log, 0) {
		if a.Refusal != "" {
			w.t.Fatalf("again: %v was refused: %s", log[i].Type, a.Refusal)
		}
	}
	return s
}
