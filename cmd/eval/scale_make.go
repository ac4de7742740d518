package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse"
	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/session"
	"gatehouse/engine/pack"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

func (s *scaleRun) makeFigures() []figure {
	return []figure{info(s.sized("scale_1m_state_gb"), "GB", 2), info(s.sized("scale_1m_segments_gb"), "GB", 2)}
}

// scaleWriters decide sessions at a time: four batches of Raft's, so that one is
// always waiting while another is synced.
const scaleWriters = 256

// make a node's data directory as its own program makes it, and decide the
// sessions in it: through Raft and its log, by the commands of the product.
func (s *scaleRun) make(ctx context.Context) error {
	if err := s.fillUp(ctx, s.before()); err != nil {
		return err
	}
	t := table{title: "What the node has", head: []string{"part", "bytes"}}
	for _, p := range []struct{ what, path, figure string }{
		{"state.db", "state.db", "scale_1m_state_gb"}, {"segments of the audit logs", "audit", "scale_1m_segments_gb"}, {"Raft's log", "raft", ""},
	} {
		size, err := sizeOf(filepath.Join(s.data(), p.path))
		if err != nil {
			return err
		}
		t.add(p.what, gigabytes(size))
		if p.figure != "" {
			s.measure(s.sized(p.figure), float64(size)/1e9)
		}
	}
	s.table(t)
	return nil
}

// fillUp adds to the sessions that are there.
func (s *scaleRun) fillUp(ctx context.Context, before int) error {
	if before == 0 {
		if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o700)); err != nil {
			return err
		}
		if err := s.setUp(ctx); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "%d sessions are of an earlier run, by --keep.\n\n", before)
	}
	if before == s.sessions {
		return nil
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(appliance.Processors())) // as the program does
	begin := time.Now()
	added, err := s.fill(ctx, s.sessions-before)
	s.made.Sessions += added
	if err := errors.Join(err, s.keep()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, `%d sessions were made, given two pictures, submitted and decided, in %.0f s: %d commands
through Raft, each with the product's events (11 a session), a subject with its own key, a
sealed result of %d and %d bytes, and a template of %d random values sealed under that key.
Full segments of the audit log were sealed meanwhile. The pictures are links to one small
file: nothing that is measured here reads any.

`, added, time.Since(begin).Seconds(), 5*added, summaryBytes, detailBytes, faceDimension)
	return nil
}

// setUp has the program make the directory, and two clients.
func (s *scaleRun) setUp(ctx context.Context) error {
	n, err := s.start(ctx, s.data())
	if err != nil {
		return err
	}
	if err := s.enlist(ctx, n); err != nil {
		return errors.Join(err, n.kill())
	}
	return n.stop()
}

func (s *scaleRun) enlist(ctx context.Context, n *scaleNode) error {
	if err := n.hear(); err != nil {
		return err
	}
	nobody, err := client.New(client.Config{Server: n.server, CA: n.ca})
	if err != nil {
		return err
	}
	admin, err := nobody.Setup(ctx, "", api.SetupRequest{Code: n.code, Organisation: "Specimen Bank", Name: "head office"})
	if err != nil {
		return err
	}
	as, err := client.New(client.Config{Server: n.server, CA: n.ca, Key: *admin.Key})
	if err != nil {
		return err
	}
	branch, err := as.CreateClient(ctx, "", api.ClientRequest{Name: "branch", Roles: []api.Role{"operator", "monitor"}})
	if err != nil {
		return err
	}
	s.made = scaleMade{Admin: *admin.Key, Branch: *branch.Key, Tenant: branch.Tenant, Client: branch.Client.Id}
	return nil
}

// decider decides sessions as package session does, in the directory of a node
// that does not run.
type decider struct {
	*member
	acts    *act.Proposer
	key     *keys.Tenant
	caller  access.Caller
	model   string
	blobs   *links
	tellers sync.Pool // of *teller: it is used by one at a time
}

// fill decides sessions, and gives how many there are more.
func (s *scaleRun) fill(ctx context.Context, sessions int) (added int, err error) {
	of, err := ownerOf(s.data())
	if err != nil {
		return 0, err
	}
	m, err := openMember(context.WithoutCancel(ctx), s.data(), of.Cluster, of.Node)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	k, err := keys.Open(s.data(), of.Cluster)
	if err != nil {
		return 0, err
	}
	if err := k.UnsealFile(); err != nil {
		return 0, err
	}
	defer k.Seal()
	d, err := s.decider(m, k)
	if err != nil {
		return 0, err
	}
	seals, err := ledger.Open(ledger.Config{Proposer: d.acts, Dir: filepath.Join(s.data(), "audit"), Cluster: m.node, State: m.state, Leading: m.node.Leading,
		Keys: k, Tick: d.tick, Log: slog.New(slog.NewTextHandler(s.progress, &slog.HandlerOptions{Level: slog.LevelWarn})), Version: "eval"})
	if err != nil {
		return 0, err
	}
	sealing, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { seals.Run(sealing) })
	beside.Go(func() { d.tickEvery(sealing, anchorEvery) })
	var done atomic.Int64
	err = each(ctx, s.progress, "sessions", sessions, scaleWriters, func(ctx context.Context, _ int) error {
		err := d.life(ctx)
		if err == nil {
			done.Add(1)
		}
		return err
	})
	stop()
	beside.Wait()
	if err == nil {
		err = errors.Join(d.tick(ctx), seals.Seal(ctx))
	}
	return int(done.Load()), err
}

func (s *scaleRun) decider(m *member, k *keys.Store) (*decider, error) {
	p, err := pack.Open(gatehouse.DefaultPack.Bytes())
	if err != nil {
		return nil, err
	}
	d := &decider{member: m, model: p.Calibration.Match.EmbeddingID, blobs: &links{dir: filepath.Join(s.data(), "blobs")},
		acts:   &act.Proposer{Node: m.id, Cluster: m.node, Now: time.Now, Rand: rand.Reader},
		caller: access.Caller{Tenant: s.made.Tenant, Client: s.made.Client, Authn: access.ByKey}}
	var wrapped []byte
	err = m.state.View(func(v *state.View) error {
		row, err := v.Tenant(s.made.Tenant)
		if err == nil {
			wrapped = row.Key
		}
		return err
	})
	if err == nil {
		d.key, err = k.Tenant(s.made.Tenant, wrapped)
	}
	if err != nil {
		return nil, err
	}
	d.tellers.New = func() any {
		var seed [32]byte
		_, _ = rand.Read(seed[:]) // it never fails
		return newTeller(&auditLog{random: mathrand.NewChaCha8(seed), bulk: d.acts}, time.Now())
	}
	return d, nil
}

// tick lets time pass in the state: the log's head goes into the system's.
func (d *decider) tick(ctx context.Context) error {
	_, err := d.acts.Propose(ctx, access.Caller{}, command.Type_TICK, nil, nil)
	return err
}

func (d *decider) tickEvery(ctx context.Context, t time.Duration) {
	tick := time.NewTicker(t)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = d.tick(ctx) // it is done again at the end
		}
	}
}

// life of a session, from its creation to its decision, by which its face is
// enrolled.
func (d *decider) life(ctx context.Context) error {
	t := d.tellers.Get().(*teller)
	defer d.tellers.Put(t)
	now := time.Now()
	one, person := id.New(id.Session, now, rand.Reader), id.New(id.Subject, now, rand.Reader)
	u, wrapped, err := d.key.NewSubject(person)
	if err != nil {
		return err
	}
	caller := d.caller
	caller.Request, caller.Route = d.acts.ID(id.Request), "POST /v1/verifications"
	about := func(c access.Caller, a audit.Action, facts map[string]string) *command.Event {
		e := act.Event(c, a, "session", one)
		e.Subject, e.Facts = person, facts
		return e
	}
	do := func(c access.Caller, of command.Type, p proto.Message, events ...*command.Event) {
		if err == nil {
			_, err = d.acts.Propose(ctx, c, of, p, nil, events...)
		}
	}
	ttl := 30 * time.Minute
	do(caller, command.Type_CREATE_SESSION, &command.CreateSession{
		Session: &command.Session{Id: one, Tenant: caller.Tenant, Kind: "identity", CreatedBy: caller.Client, CreatedNs: now.UnixNano(), ExpiresNs: now.Add(ttl).UnixNano(), TtlNs: int64(ttl),
			Consent: &command.Consent{TextVersion: "2026-03", GivenAtNs: now.UnixNano(), Channel: "branch"}},
		Subject: &command.Subject{Id: person, Tenant: caller.Tenant, Key: wrapped, CreatedNs: now.UnixNano()},
	}, about(caller, audit.SessionCreate, nil), about(caller, audit.ConsentRecord, map[string]string{"channel": "branch", "given_at": now.UTC().Format(time.RFC3339), "text_version": "2026-03"}))
	for _, slot := range state.Required() {
		name := t.bytes(32)
		if err == nil {
			err = d.blobs.add(hex.EncodeToString(name))
		}
		e := t.evidence(caller, &verified{session: one, subject: person}, slot)
		e.ObjectSha256 = name
		do(caller, command.Type_ADD_EVIDENCE, &command.AddEvidence{Session: one, Evidence: &command.Evidence{Id: e.ObjectId, Slot: slot, Class: "image/jpeg",
			Blob: hex.EncodeToString(name), Stored: linkSize, Size: linkSize, AddedNs: now.UnixNano(), Request: t.bytes(32)}}, e)
	}
	do(caller, command.Type_SUBMIT, &command.Submit{Session: one, Node: d.id}, about(caller, audit.SessionSubmit, nil))
	if err != nil {
		return err
	}
	made, err := d.decision(t, u, one)
	if err != nil {
		return err
	}
	node := access.Caller{Tenant: caller.Tenant}
	events := t.decided(true, func(a audit.Action, facts map[string]string) *command.Event { return about(node, a, facts) })
	t.told++
	opened := t.bytes(openingBytes)
	if events[0].Openings, err = u.Seal(keys.Place{Table: "openings", Field: string(audit.DocumentProcess), Row: one, Version: 1}, opened); err != nil {
		return err
	}
	do(node, command.Type_COMPLETE, made, events...)
	return err
}

// openingBytes of what opens the commitments to a passport's eight fields, as
// JSON.
const openingBytes = 800

// decision with its result and its template.
func (d *decider) decision(t *teller, u *keys.Subject, one string) (*command.Complete, error) {
	summary, err := json.Marshal(session.Decision{Outcome: state.Approved, Reasons: []session.Reason{{Rule: "specimen", Signal: "face.match", Outcome: state.Approved, Text: strings.Repeat("as long as one ", summaryBytes/15-10)}}, Rules: t.policy})
	if err != nil {
		return nil, err
	}
	detail, err := json.Marshal(map[string]string{"document": strings.Repeat("as long as one ", detailBytes/15)})
	if err != nil {
		return nil, err
	}
	vector := make([]float32, faceDimension)
	var sum float64
	for i := range vector {
		v := t.random.NormFloat64()
		vector[i], sum = float32(v), sum+v*v
	}
	for i := range vector {
		vector[i] /= float32(math.Sqrt(sum))
	}
	c := &command.Complete{Session: one, Attempt: 1, Outcome: state.Approved, Reasons: []string{"score"}, Searched: math.MaxUint64, // nobody is searched for here
		Result: &command.Result{Session: one, Rules: t.policy}, Template: &command.Template{Session: one, Model: d.model}}
	at := func(field string) keys.Place { return keys.Place{Table: "results", Field: field, Row: one, Version: 1} }
	if c.Result.Summary, err = u.Seal(at("summary"), summary); err != nil {
		return nil, err
	}
	if c.Result.Detail, err = u.Seal(at("detail"), detail); err != nil {
		return nil, err
	}
	c.Template.Sealed, err = u.Seal(identify.Place(d.model, one), identify.Bytes(vector))
	return c, err
}

// links are names of pictures, all of one small file.
type links struct {
	dir string

	mu    sync.Mutex
	first string
	n     int
}

const (
	linkSize = 64
	// linksOfOne file: ext4 allows 65,000.
	linksOfOne = 60_000
)

func (l *links) add(name string) error {
	dir := filepath.Join(l.dir, name[:2], name[2:4])
	path := filepath.Join(dir, name)
	l.mu.Lock()
	first := l.first
	if l.n%linksOfOne == 0 {
		l.first, first = path, ""
	}
	l.n++
	l.mu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if first == "" {
		return os.WriteFile(path, bytesOf(linkSize), 0o600)
	}
	for {
		err := os.Link(first, path)
		if !errors.Is(err, os.ErrNotExist) { // the first is still being made
			return err
		}
		time.Sleep(time.Millisecond)
	}
}
