package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/ledger"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

const (
	// commitLeaves events are between two commits: a node commits each 100 ms,
	// so that this is one that logs 5,000 a second.
	commitLeaves = 500
	// raftBatch entries are applied at a time (package cluster).
	raftBatch = 64
	// eventEvery so often by the log's clock: four verifications a second, which
	// is about what one node decides, have twelve events each.
	eventEvery = 20 * time.Millisecond
	// anchorEvery so often time passes in the state, as a node has it.
	anchorEvery = time.Minute
)

// auditLog is the log of a tenant in a state of its own, with the keys and the
// ledger of a node.
type auditLog struct {
	dir     string
	now     time.Time // zero: what the system says
	random  *mathrand.ChaCha8
	cluster *direct
	acts    *act.Proposer // agreed on at once
	waiting *queue
	bulk    *act.Proposer // that wait
	keys    *keys.Store
	ledger  *ledger.Ledger
	teller  *teller

	tenant   string
	spent    spending
	anchored time.Time
}

// spending is the CPU time of what was appended so far.
type spending struct {
	leaves      int64
	apply, seal time.Duration
	segments    int
}

func (a spending) since(b spending) spending {
	return spending{a.leaves - b.leaves, a.apply - b.apply, a.seal - b.seal, a.segments - b.segments}
}

// direct applies commands to a state at once. It stands for a cluster of one:
// what was answered is durable.
type direct struct {
	state *state.State
	index uint64
	// The longest that the state was held, by an entry that seals and by a
	// commit.
	sealing, committing time.Duration
}

func (d *direct) Read(context.Context) error { return nil }

func (d *direct) entry(c *command.Command) (state.Entry, error) {
	b, err := command.Encode(c)
	d.index++
	return state.Entry{Index: d.index, Term: 1, Data: b}, err
}

func (d *direct) Propose(_ context.Context, c *command.Command) (*command.Answer, error) {
	e, err := d.entry(c)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	a, err := d.state.Apply([]state.Entry{e})
	if err != nil {
		return nil, err
	}
	if c.Type == command.Type_SEAL_SEGMENT { // the next one commits it, as in a node
		d.sealing = max(d.sealing, time.Since(begin))
		return a[0], nil
	}
	return a[0], d.commit()
}

func (d *direct) commit() error {
	begin := time.Now()
	err := d.state.Commit()
	d.committing = max(d.committing, time.Since(begin))
	return err
}

// queue keeps commands until they are applied together.
type queue struct {
	*direct
	entries []state.Entry
	leaves  int64
}

func (q *queue) Propose(_ context.Context, c *command.Command) (*command.Answer, error) {
	e, err := q.entry(c)
	q.entries, q.leaves = append(q.entries, e), q.leaves+int64(len(c.Events))
	return &command.Answer{}, err
}

// apply what waits, and commit it.
func (q *queue) apply() error {
	for len(q.entries) > 0 {
		n := min(len(q.entries), raftBatch)
		answers, err := q.state.Apply(q.entries[:n])
		if err != nil {
			return err
		}
		for _, a := range answers {
			if a.Refusal != "" {
				return fmt.Errorf("entry %d was refused: %s", a.Index, a.Refusal)
			}
		}
		q.entries = q.entries[n:]
	}
	q.entries, q.leaves = q.entries[:0], 0
	return q.commit()
}

// newAuditLog founds a cluster with a tenant, whose log begins so that by its
// clock it has all its events now.
func newAuditLog(ctx context.Context, dir string, events int64) (_ *auditLog, err error) {
	begins := time.Now().Add(-time.Duration(events) * eventEvery).Add(-time.Hour)
	l := &auditLog{dir: dir, now: begins, anchored: begins, random: mathrand.NewChaCha8([32]byte{1})}
	if err := disk.MkdirAll(filepath.Join(dir, "audit")); err != nil {
		return nil, err
	}
	l.cluster = &direct{}
	l.waiting = &queue{direct: l.cluster}
	node, cluster := l.id(id.Node), l.id(id.Cluster)
	l.acts = &act.Proposer{Node: node, Cluster: l.cluster, Now: l.time, Rand: l.random}
	l.bulk = &act.Proposer{Node: node, Cluster: l.waiting, Now: l.time, Rand: l.random}
	if l.cluster.state, err = state.Open(l.path(), true); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	l.keys, err = keys.Create(dir, cluster, rand.Reader, func(k *keys.Store) error {
		_, err := k.AddFile(filepath.Join(dir, "seal"))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := l.found(ctx, cluster); err != nil {
		return nil, err
	}
	l.teller = newTeller(l, begins)
	return l, l.openLedger()
}

func (l *auditLog) found(ctx context.Context, cluster string) error {
	code := bytesOf(32)
	t := &command.Tenant{Id: l.id(id.Tenant), Name: "Specimen Bank", CreatedNs: l.now.UnixNano()}
	admin := &command.Client{Id: l.id(id.Client), Tenant: t.Id, Name: "head office", Roles: []string{state.PlatformAdmin}, Key: bytesOf(32), CreatedNs: l.now.UnixNano()}
	var err error
	if t.Key, err = l.keys.NewTenant(t.Id); err != nil {
		return err
	}
	l.tenant = t.Id
	for _, c := range []struct {
		by      access.Caller
		of      command.Type
		payload proto.Message
		action  audit.Action
		object  string
	}{
		{access.Caller{}, command.Type_FOUND, &command.Found{Cluster: cluster, Node: l.acts.Node, SetupCode: code}, audit.ClusterFound, cluster},
		{access.Caller{Authn: access.ByCode}, command.Type_SETUP, &command.Setup{SetupCode: code, Tenant: t, Admin: admin}, audit.SetupComplete, ""},
	} {
		if _, err := l.acts.Propose(ctx, c.by, c.of, c.payload, nil, act.Event(c.by, c.action, "cluster", c.object)); err != nil {
			return err
		}
	}
	return nil
}

func (l *auditLog) openLedger() (err error) {
	l.ledger, err = ledger.Open(ledger.Config{Proposer: l.acts, Dir: filepath.Join(l.dir, "audit"), Cluster: l.cluster, State: l.cluster.state, Keys: l.keys,
		Leading: func() bool { return true }, Tick: func(ctx context.Context) error { return l.tick(ctx, l.acts) }, Log: slog.New(slog.DiscardHandler), Version: "eval"})
	return err
}

func (l *auditLog) path() string { return filepath.Join(l.dir, "state.db") }

func (l *auditLog) time() time.Time {
	if l.now.IsZero() {
		return time.Now()
	}
	return l.now
}

func (l *auditLog) id(k id.Kind) string { return id.New(k, l.now, l.random) }

// pass lets so many events' time pass, as much on average.
func (l *auditLog) pass(events int) {
	l.now = l.now.Add(time.Duration(l.teller.random.Int64N(int64(events) * int64(2*eventEvery))))
}

// tick lets time pass in the state: the log's head goes into the system's.
func (l *auditLog) tick(ctx context.Context, by *act.Proposer) error {
	_, err := by.Propose(ctx, access.Caller{}, command.Type_TICK, nil, nil)
	return err
}

// view of the log.
func (l *auditLog) view() *state.Log { return l.cluster.state.Log(l.tenant) }

// fill the log up to a size; a verification more is possible. Segments that are
// full are sealed.
func (l *auditLog) fill(ctx context.Context, to int64) error {
	for l.spent.leaves < to {
		for until := min(commitLeaves, to-l.spent.leaves); l.waiting.leaves < until; {
			if err := l.verification(ctx); err != nil {
				return err
			}
		}
		added := l.waiting.leaves
		ms, err := cost(l.waiting.apply)
		if err != nil {
			return err
		}
		l.spent.apply += time.Duration(ms * float64(time.Millisecond))
		l.spent.leaves += added
		if err := l.seal(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *auditLog) verification(ctx context.Context) error {
	if err := l.teller.tell(ctx); err != nil {
		return err
	}
	if l.now.Sub(l.anchored) < anchorEvery {
		return nil
	}
	l.anchored = l.now
	return l.tick(ctx, l.bulk)
}

func (l *auditLog) seal(ctx context.Context) error {
	h, err := l.view().Head()
	if err != nil {
		return err
	}
	if _, full := h.Full(); !full {
		return nil
	}
	ms, err := cost(func() error { return errors.Join(l.ledger.Seal(ctx), l.cluster.commit()) })
	l.spent.seal += time.Duration(ms * float64(time.Millisecond))
	l.spent.segments++
	return err
}

// reopen the log as a new process does, without what the system has kept of its
// files.
func (l *auditLog) reopen() error {
	if err := l.cluster.state.Close(); err != nil {
		return err
	}
	err := filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return forget(path)
	})
	if err != nil {
		return err
	}
	opened, err := state.Open(l.path(), false)
	if err != nil {
		return err
	}
	l.cluster.state = opened
	return l.openLedger()
}

func (l *auditLog) close() error {
	if l.keys != nil {
		l.keys.Seal()
	}
	return l.cluster.state.Close()
}
