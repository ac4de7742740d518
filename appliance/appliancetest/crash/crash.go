// Package crash kills the real binary at random moments, starts it again, and
// holds it against a ledger of everything that it has acknowledged: nothing may
// be lost, nothing done twice, and no audit log may differ from what was ever
// signed of it.
//
// It knows the node from outside alone: over the API and by 'gatehouse data
// check', and of the data directory only which files are there. It must never
// accept less after a crash than before it.
package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// Config of a run.
type Config struct {
	Binary string
	// Dir must be empty or new. It keeps the data directory, what the node said
	// and the timeline; the caller removes it.
	Dir string
	// JPEG pictures that the node decides on.
	Document, Selfie []byte
	Kills            int
	Seed             uint64
	// Progress is told after each kill; may be nil.
	Progress func(kill int, r *Report)
}

const (
	workers = 4
	// A kill comes this long after the load begins at most: several commits of
	// the state (one in 100 ms) and about one verification. One in three comes
	// up to four times as late: on a busy machine too there are decisions to
	// lose.
	underLoad   = 600 * time.Millisecond
	late        = 3
	timesAsLate = 4
	// One kill in five comes at start, while the state is read, the log
	// replayed and the models are loaded; one in ten while the seal is closed
	// and opened.
	atStart     = 5
	sealing     = 10
	beforeServe = 1500 * time.Millisecond
	// So many kills apart the node is stopped as it should be, and everything
	// is checked.
	stopEvery = 10
	// One killed node in so many is checked offline before it is started.
	checkEvery = 3
	// A check of the small directory takes about this long.
	cutCheck = 100 * time.Millisecond
	// One check of a node must come to its end.
	checkTime = 2 * time.Minute
)

// run is one run as it goes.
type run struct {
	Config
	program        Program
	random         *rand.Rand
	report         *Report
	workers        []*worker
	adminKey       string
	admin          *client.Client
	tenant, system *log
	auditor        *auditor
	node           *Node
	timeline       *os.File
	began          time.Time
}

// Run kills a node so many times, or until a promise is broken. An error says
// that the run could not go on; what the node did wrong is in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Kills < 1 || len(c.Document) < 2 || len(c.Selfie) < 2 {
		return nil, fmt.Errorf("%w: it needs kills and two pictures", ErrConfig)
	}
	said, err := openDir(c.Dir)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	r := &run{Config: c, random: rand.New(rand.NewPCG(c.Seed, 0)), report: &Report{Seed: c.Seed}, began: time.Now(),
		program: Program{Binary: c.Binary, Data: filepath.Join(c.Dir, "data"), Log: said}}
	if r.timeline, err = os.Create(filepath.Join(c.Dir, "timeline.jsonl")); err != nil {
		return nil, err
	}
	defer r.timeline.Close()
	r.tenant, r.system = r.newLog("", 1), r.newLog(api.LogSystem, 2)
	r.auditor = &auditor{report: r.report}
	err = r.run(ctx)
	if r.node != nil {
		r.node.Kill()
	}
	r.sum()
	return r.report, err
}

func (r *run) newLog(name api.Log, stream uint64) *log {
	return &log{name: name, report: r.report, events: map[event]int{}, faces: map[string]bool{}, random: rand.New(rand.NewPCG(r.Seed, stream))}
}

func (r *run) run(ctx context.Context) error {
	if err := r.setUp(ctx); err != nil {
		return err
	}
	for r.report.Kills < r.Kills {
		if r.report.Kills%atStart == atStart-1 {
			if err := r.killAtStart(); err != nil {
				return err
			}
		} else {
			r.killUnderLoad(ctx, r.report.Kills%sealing == 1)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.report.Kills%checkEvery == 0 {
			if err := r.offline(ctx, true); err != nil {
				return err
			}
		}
		last := r.report.Kills == r.Kills
		if err := r.restart(ctx, last || r.report.Kills%stopEvery == 0); err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(r.report.Kills, r.report)
		}
		if len(r.report.Broken) > 0 { // the directory is to be looked at as it is
			return nil
		}
	}
	return r.finish(ctx)
}

// setUp makes a node with one client for each worker.
func (r *run) setUp(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	anonymous, err := r.node.Client("")
	if err != nil {
		return err
	}
	first, err := anonymous.Setup(ctx, "", api.SetupRequest{Code: r.node.SetupCode, Name: "administrator", Organisation: "bank"})
	if err != nil {
		return err
	}
	r.adminKey = *first.Key
	if r.admin, err = r.node.Client(r.adminKey); err != nil {
		return err
	}
	for i := range workers {
		name := fmt.Sprintf("branch-%d", i)
		made, err := r.admin.CreateClient(ctx, "", api.ClientRequest{Name: name, Roles: []api.Role{api.RoleOperator, api.RoleCompliance, api.RoleAuditor}})
		if err != nil {
			return err
		}
		r.workers = append(r.workers, &worker{name: name, key: *made.Key, random: rand.New(rand.NewPCG(r.Seed, uint64(10+i))), report: r.report,
			document: r.Document, selfie: r.Selfie})
	}
	return r.connect()
}

func (r *run) start(ctx context.Context) (err error) {
	if r.node, err = r.program.Start(ctx); err == nil {
		r.tell("started", "took", r.node.Took.String())
	}
	return err
}

func (r *run) connect() (err error) {
	if r.admin, err = r.node.Client(r.adminKey); err != nil {
		return err
	}
	for _, w := range r.workers {
		if w.client, err = r.node.Client(w.key); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) killUnderLoad(ctx context.Context, sealing bool) {
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	for _, w := range r.workers {
		parts.Go(func() { w.load(loading) })
	}
	where := "load"
	if sealing {
		where = "sealing"
		parts.Go(func() { r.sealAndUnseal(loading) })
	}
	window := underLoad
	if r.random.IntN(late) == 0 {
		window *= timesAsLate
	}
	after := time.Duration(r.random.Int64N(int64(window)))
	pause(ctx, after)
	r.node.Kill()
	cancel()
	parts.Wait()
	r.killed(where, after)
}

// sealAndUnseal closes the seal and has the key file open it, again and again.
func (r *run) sealAndUnseal(ctx context.Context) {
	file := true
	for ctx.Err() == nil {
		pause(ctx, 50*time.Millisecond)
		_, err := r.admin.Seal(ctx)
		if err == nil {
			_, err = r.admin.Unseal(ctx, api.UnsealRequest{File: &file})
		}
		if p := (*client.Problem)(nil); errors.As(err, &p) {
			r.report.broken(Damage, "sealing: refused with %d %s: %s", p.Status, p.Type, p.Detail)
		}
		if err != nil {
			return
		}
	}
}

// killAtStart stops a node and kills the next one before or while it serves.
func (r *run) killAtStart() error {
	r.node.Kill() // idle: this one does not count
	n, _, err := r.program.Begin()
	if err != nil {
		return err
	}
	after := time.Duration(r.random.Int64N(int64(beforeServe)))
	time.Sleep(after)
	n.Kill()
	r.killed("start", after)
	return nil
}

func (r *run) killed(where string, after time.Duration) {
	r.node = nil
	r.report.Kills++
	r.tell("killed", "where", where, "after", after.String())
}

// restart starts the node again and checks it; whole stops it once more in
// between, as it should be stopped.
func (r *run) restart(ctx context.Context, whole bool) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	r.report.Restarts = append(r.report.Restarts, r.node.Took)
	if whole {
		if err := r.stop(ctx); err != nil {
			return err
		}
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	if err := r.connect(); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := r.check(limit, whole); err != nil {
		return fmt.Errorf("checking after kill %d: %w", r.report.Kills, err)
	}
	r.tell("checked", "broken", len(r.report.Broken))
	return nil
}

// stop ends the node as it should be ended; nothing may be wrong then.
func (r *run) stop(ctx context.Context) error {
	n := r.node
	r.node = nil
	if err := n.Stop(); err != nil {
		r.report.broken(Damage, "%v", err)
	}
	return r.offline(ctx, false)
}

// offline checks the directory. Right after a kill the newest entries may be in
// the Raft log alone, which is a note; after a stop there is none.
func (r *run) offline(ctx context.Context, killed bool) error {
	if killed { // and a check that is killed leaves nothing behind
		cut, cancel := context.WithTimeout(ctx, time.Duration(r.random.Int64N(int64(cutCheck))))
		_, _ = r.program.Check(cut)
		cancel()
	}
	found, err := r.program.Check(ctx)
	if err != nil {
		return err
	}
	for _, f := range found.Findings {
		r.report.broken(Damage, "data check: %v", f)
	}
	for _, note := range found.Notes {
		if !killed {
			r.report.broken(Damage, "data check of a stopped node notes: %s", note)
		}
	}
	r.tell("data check", "findings", len(found.Findings), "notes", len(found.Notes))
	return nil
}

// finish brings every session to its end, so that each key's outcome is known,
// and checks everything once more.
func (r *run) finish(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	for _, w := range r.workers {
		if err := w.finish(limit); err != nil {
			return fmt.Errorf("finishing: %w", err)
		}
	}
	if err := r.check(limit, true); err != nil {
		return fmt.Errorf("the last check: %w", err)
	}
	keys := 0
	for _, w := range r.workers {
		keys += len(w.sessions)
	}
	listed, err := list(limit, r.workers[0].client)
	if err != nil {
		return err
	}
	created, sessions := r.tenant.total(audit.SessionCreate)
	if len(listed) != keys || created != keys || sessions != keys {
		r.report.broken(Twice, "%d keys made %d sessions; the log has %d creations of %d", keys, len(listed), created, sessions)
	}
	return r.stop(ctx)
}

// finish works without new sessions until none is open.
func (w *worker) finish(ctx context.Context) error {
	for _, s := range w.sessions {
		for !settled(s.state) || s.erasing && !s.erased {
			err := w.advance(ctx, s)
			if p := (*client.Problem)(nil); errors.As(err, &p) && p.Status == 429 {
				pause(ctx, p.RetryAfter)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// sum counts what was acknowledged.
func (r *run) sum() {
	for _, w := range r.workers {
		for _, s := range w.sessions {
			if s.id == "" {
				continue
			}
			r.report.Sessions++
			r.report.Evidence += len(s.evidence)
			if s.decision != nil {
				r.report.Decisions++
			}
			if s.erased {
				r.report.Erasures++
			}
		}
	}
	r.report.Checkpoints = len(r.tenant.heads) + len(r.system.heads)
	r.report.Leaves = r.tenant.size + r.system.size
}

// tell writes a line into the timeline.
func (r *run) tell(what string, more ...any) {
	line := map[string]any{"ms": time.Since(r.began).Milliseconds(), "kill": r.report.Kills, "what": what}
	for i := 0; i+1 < len(more); i += 2 {
		line[fmt.Sprint(more[i])] = more[i+1]
	}
	if b, err := json.Marshal(line); err == nil {
		_, _ = r.timeline.Write(append(b, '\n')) // a timeline is a help, not a promise
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
