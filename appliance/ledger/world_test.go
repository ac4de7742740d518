package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	bank      = "ten_a"
	reference = "customer 1" // of sub_1
)

// world is a state with its keys and the log of entries that made it; who
// proposes to it has agreement at once.
type world struct {
	dir  string
	s    *state.State
	keys *keys.Store

	mu  sync.Mutex
	now int64
	log []state.Entry
	// failing commands of this type are not agreed on once so many were.
	failing  command.Type
	failFrom int
}

var errNoQuorum = errors.New("no quorum")

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += int64(time.Millisecond)
	return time.Unix(0, w.now)
}

func (w *world) Read(ctx context.Context) error { return ctx.Err() }

func (w *world) Propose(_ context.Context, c *command.Command) (*command.Answer, error) {
	b, err := command.Encode(c)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Type == w.failing && c.Type != command.Type_NONE {
		if w.failFrom--; w.failFrom < 0 {
			return nil, errNoQuorum
		}
	}
	e := state.Entry{Index: uint64(len(w.log) + 1), Term: 1, Data: b}
	a, err := w.s.Apply([]state.Entry{e})
	if err != nil {
		return nil, err
	}
	w.log = append(w.log, e)
	return a[0], nil
}

func (w *world) proposer() *act.Proposer {
	return &act.Proposer{Node: "nod_a", Cluster: w, Now: w.clock, Rand: rand.Reader}
}

func (w *world) do(t testing.TB, tenant string, typ command.Type, payload proto.Message, events ...*command.Event) {
	t.Helper()
	if _, err := w.proposer().Propose(context.Background(), access.Caller{Tenant: tenant}, typ, payload, nil, events...); err != nil {
		t.Fatalf("%v: %v", typ, err)
	}
}

func event(action audit.Action, kind, object string) *command.Event {
	return &command.Event{Action: string(action), ObjectType: kind, ObjectId: object, Result: string(audit.OK)}
}

func hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// found makes a cluster with the tenants bank and ten_b.
func found(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{dir: dir, now: time.Now().Add(-24 * time.Hour).UnixNano()}
	var err error
	w.keys, err = keys.Create(dir, "clu_a", rand.Reader, func(s *keys.Store) error {
		_, err := s.AddFile(filepath.Join(dir, "seal"))
		return err
	})
	must(t, err)
	w.s, err = state.Open(filepath.Join(dir, "state.db"), true)
	must(t, err)
	w.do(t, "", command.Type_FOUND, &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code")}, event(audit.ClusterFound, "cluster", "clu_a"))
	admin := &command.Client{Id: "cli_admin", Tenant: bank, Name: "administrator", Roles: []string{state.PlatformAdmin}, Key: hash("key"), CreatedNs: w.now}
	w.do(t, "", command.Type_SETUP, &command.Setup{SetupCode: hash("code"), Tenant: w.tenant(t, bank), Admin: admin}, event(audit.SetupComplete, "tenant", bank))
	w.enrol(t, "ten_b")
	owner, err := w.keys.Tenant(bank, w.row(t, bank).Key)
	must(t, err)
	blind, err := owner.Index("subject_ref", []byte(reference))
	must(t, err)
	_, wrapped, err := owner.NewSubject("sub_1")
	must(t, err)
	w.do(t, bank, command.Type_CREATE_SESSION, &command.CreateSession{
		Session: &command.Session{Id: "ses_1", Tenant: bank, Kind: "identity", Consent: &command.Consent{TextVersion: "1", Channel: "branch", GivenAtNs: w.now}, CreatedBy: "cli_admin",
			CreatedNs: w.now, ExpiresNs: w.now + int64(365*24*time.Hour), TtlNs: int64(time.Hour)},
		Subject: &command.Subject{Id: "sub_1", Tenant: bank, Key: wrapped, Reference: blind, CreatedNs: w.now}}, event(audit.SessionCreate, "session", "ses_1"))
	return w
}

func (w *world) tenant(t testing.TB, id string) *command.Tenant {
	t.Helper()
	key, err := w.keys.NewTenant(id)
	must(t, err)
	return &command.Tenant{Id: id, Name: "Bank", Key: key, CreatedNs: w.now}
}

func (w *world) enrol(t testing.TB, id string) {
	t.Helper()
	admin := &command.Client{Id: "cli_" + id, Tenant: id, Name: "administrator", Roles: []string{"tenant_admin"}, Key: hash("key of " + id), CreatedNs: w.now}
	w.do(t, "", command.Type_CREATE_TENANT, &command.CreateTenant{Tenant: w.tenant(t, id), Admin: admin}, event(audit.TenantCreate, "tenant", id))
}

func (w *world) row(t testing.TB, id string) (row *command.Tenant) {
	t.Helper()
	must(t, w.s.View(func(v *state.View) (err error) { row, err = v.Tenant(id); return err }))
	return row
}

// some events of many kinds, by several clients, of a tenant.
func (w *world) some(tenant string, n int) error {
	actions := []audit.Action{audit.AccessResult, audit.SessionCreate, audit.DecisionMake, audit.AccessEvidence, audit.SessionSubmit}
	var all []*command.Event
	for i := range min(command.MaxEvents, n) {
		e := event(actions[(n+i)%len(actions)], "session", fmt.Sprint("ses_", (n*7+i*13)%900))
		if e.Subject = fmt.Sprint("sub_", (n+i)%60); i%9 == 0 {
			e.ObjectType, e.ObjectId, e.Facts = "evidence", fmt.Sprint("evd_", i), map[string]string{"session": fmt.Sprint("ses_", n%900)}
		}
		all = append(all, e)
	}
	_, err := w.proposer().Propose(context.Background(), access.Caller{Tenant: tenant, Client: fmt.Sprint("cli_", n%5), Authn: access.ByKey}, command.Type_RECORD, nil, nil, all...)
	return err
}

func (w *world) size(t testing.TB, log string) int64 {
	t.Helper()
	h, err := w.s.Log(log).Head()
	must(t, err)
	return h.Size
}

func (w *world) sealed(t testing.TB) int64 {
	t.Helper()
	h, err := w.s.Log(bank).Head()
	must(t, err)
	return h.Sealed
}

// ledger over the world, as after a start: it knows nothing yet.
func (w *world) ledger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := openLedger(w)
	must(t, err)
	return l
}

func openLedger(w *world) (*ledger.Ledger, error) {
	p, dir := w.proposer(), filepath.Join(w.dir, "audit")
	if err := disk.MkdirAll(dir); err != nil {
		return nil, err
	}
	return ledger.Open(ledger.Config{Proposer: p, Dir: dir, Cluster: w, State: w.s, Keys: w.keys, Log: slog.New(slog.DiscardHandler), Version: "test",
		Custody: alone{w.keys}, Leading: func() bool { return true },
		Tick: func(ctx context.Context) error {
			_, err := p.Propose(ctx, access.Caller{}, command.Type_TICK, nil, nil)
			return err
		}})
}

// grown is a world whose bank has a full segment and some more, made once: each
// test has its own copy.
type grown struct {
	once sync.Once
	dir  string
	keys *keys.Store
	now  int64
	log  []state.Entry
}

var shared grown

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

func (g *grown) make(t testing.TB) {
	t.Helper()
	var err error
	g.dir, err = os.MkdirTemp("", "ledger")
	must(t, err)
	w := found(t, g.dir)
	defer w.s.Close()
	for n := 0; w.size(t, bank) < segment.Leaves+300; n++ {
		must(t, w.some(bank, command.MaxEvents+n))
		if n%500 == 0 {
			w.do(t, "", command.Type_TICK, nil) // an anchor
		}
	}
	w.do(t, "", command.Type_TICK, nil)
	g.keys, g.now, g.log = w.keys, w.now, w.log
}

// world of its own for a test.
func (g *grown) world(t testing.TB) *world {
	t.Helper()
	g.once.Do(func() { g.make(t) })
	w := &world{dir: t.TempDir(), keys: g.keys, now: g.now, log: g.log[:len(g.log):len(g.log)]}
	must(t, os.CopyFS(w.dir, os.DirFS(g.dir)))
	w.open(t)
	return w
}

// open what the disk has, and bring it up to the log.
func (w *world) open(t testing.TB) {
	t.Helper()
	var err error
	w.s, err = state.Open(filepath.Join(w.dir, "state.db"), false)
	must(t, err)
	t.Cleanup(func() { w.s.Close() })
	if index, _ := w.s.Applied(); index < uint64(len(w.log)) {
		_, err := w.s.Apply(w.log[index:])
		must(t, err)
	}
}

// killed is the world as a kill leaves it: nothing was closed or committed.
func (w *world) killed(t testing.TB) *world {
	t.Helper()
	left := &world{dir: t.TempDir(), keys: w.keys, now: w.now, log: w.log[:len(w.log):len(w.log)]}
	must(t, os.CopyFS(left.dir, os.DirFS(w.dir)))
	left.open(t)
	return left
}

// leaves of the bank's log by reading all of it.
func (w *world) leaves(t testing.TB) (all []*audit.Leaf, raw [][]byte) {
	t.Helper()
	must(t, w.s.Log(bank).Scan(t.Context(), 0, w.size(t, bank), func(_ int64, b []byte) error {
		l, err := audit.DecodeLeaf(b)
		all, raw = append(all, l), append(raw, bytes.Clone(b))
		return err
	}))
	return all, raw
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alone is the custody of a node without others.
type alone struct{ keys *keys.Store }

func (a alone) RotateSigning(context.Context) (old, fresh keys.SigningKey, err error) {
	return a.keys.RotateSigning(time.Now())
}

func (a alone) RetireSigning(_ context.Context, id uint32) error { return a.keys.RetireSigning(id) }
