package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	alarm "gatehouse/cluster/watch"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

const (
	// lookEvery so often each member asks the others how they are. Leases are
	// counted in these looks, not in time: a node that was stopped for a minute
	// has missed none by its own clock.
	lookEvery = time.Second
	// away after so many looks in a row without an answer.
	away = 3
	// lost after so many, and its jobs go to others. A machine that computes with
	// all its cores may not answer for seconds; one that refuses the connection has
	// no process.
	lost = 8
	// stable for so many looks is a node that may vote (R16).
	stable = 10
	// farewell to a member that was removed: for so long it is still let in. The
	// command is on its way to it, and entries are sent, and known to be agreed on,
	// within a heartbeat. Cut off at once it would only know that nobody lets it in.
	farewell = 2 * time.Second
	// near the leader's entry is a node that keeps up: what is written within a
	// look.
	near = 1024
	// maxReport has room for two authorities and the members, also those that were.
	maxReport = 256 << 10
)

// Report is what a node says of itself.
type Report struct {
	Node     string    `json:"node"`
	Release  string    `json:"release"`
	Role     string    `json:"role"`
	Leader   string    `json:"leader,omitempty"`
	Applied  uint64    `json:"applied"`
	Hash     string    `json:"hash"` // of the state there
	Sealed   bool      `json:"sealed"`
	Ring     string    `json:"ring"` // SHA-256 of its key-ring's file
	Waiting  int       `json:"waiting"`
	Running  int       `json:"running"`
	Workers  int       `json:"workers"`
	Free     uint64    `json:"disk_free_bytes"`
	Full     bool      `json:"disk_full"`
	Missing  int       `json:"missing"` // blobs that it still lacks; -1: not known yet
	Clock    time.Time `json:"clock"`
	Commands uint32    `json:"commands"`
	Stalled  bool      `json:"disk_stalled"`
	// Alarms that have not ended there; a newer release may know others.
	Alarms []alarm.Kind `json:"alarms,omitempty"`
	// Trusts are the authorities that count there, Certified the one of its
	// certificate: each SHA-256 of the authority's certificate, hex. Releases that
	// cannot rotate it say neither.
	Trusts    []string `json:"trusts,omitempty"`
	Certified string   `json:"certified,omitempty"`
	Marks     []Mark   `json:"marks,omitempty"` // of its state, for comparison
	// Directory is for who asked with an older one: a node that was away may not know
	// who leads by now, whom it would refuse.
	Directory *News `json:"directory,omitempty"`
}

// News of the members, as of an entry of the state.
type News struct {
	Index       uint64   `json:"index"`
	Members     []Known  `json:"members"`
	Authorities [][]byte `json:"authorities,omitempty"`
}

// Mark is what a node's state was after an entry.
type Mark struct {
	Index uint64 `json:"i"`
	Hash  []byte `json:"h"`
}

// marksTold are enough for nodes that are some thousand entries apart.
const marksTold = 16

// Mark adds the newest marks of a state.
func (r *Report) Mark(all []state.Mark) {
	for _, m := range all[max(0, len(all)-marksTold):] {
		r.Marks = append(r.Marks, Mark{m.Index, m.Hash[:]})
	}
}

// Marked gives them back.
func (r *Report) Marked() (all []state.Mark) {
	for _, m := range r.Marks {
		if len(m.Hash) == len(state.Mark{}.Hash) {
			all = append(all, state.Mark{Index: m.Index, Hash: [32]byte(m.Hash)})
		}
	}
	return all
}

// Told is what a member has said of itself last; false where it does not answer.
func (s *Service) Told(node string) (Told, bool) {
	w := s.watch.of(node)
	return Told{w.report, w.at.Sub(w.report.Clock)}, w.missed < away && !w.at.IsZero()
}

// Told by a member.
type Told struct {
	Report
	Behind time.Duration // its clock, by this node's
}

// Skew is the largest difference of a member's clock from this node's.
func (s *Service) Skew() (most time.Duration) {
	for _, node := range s.Directory.Others(s.Node) {
		if t, ok := s.Told(node); ok {
			most = max(most, t.Behind.Abs())
		}
	}
	return most
}

func (s *Service) report() Report {
	r := s.Local()
	status := s.Raft.Status()
	index, hash := s.State.Applied()
	r.Node, r.Release, r.Commands, r.Role, r.Leader, r.Applied, r.Hash = s.Node, s.Release, command.Version, status.Role, status.Leader, index, fmt.Sprintf("%x", hash)
	sum := s.Keys.RingSum()
	r.Sealed, r.Ring, r.Clock = s.Keys.Sealed(), fmt.Sprintf("%x", sum), s.Now().UTC()
	r.Trusts, r.Certified = s.Directory.Trusts(), s.Identity.Certified()
	return r
}

// watch is what is known of the others.
type watch struct {
	mu   sync.Mutex
	seen map[string]*seen
}

type seen struct {
	report Report
	at     time.Time // of the report
	missed int       // looks without an answer since
	kept   int       // looks in a row in which it kept up
	idle   int       // looks in a row in which it took no jobs: sealed, or still starting
	err    error
	// refused this node, when it was reached last. It stays over other errors: the
	// connection may have ended before it was said why.
	refused bool
}

func (w *watch) of(node string) seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.seen[node]; s != nil {
		return *s
	}
	return seen{missed: away}
}

// up says whether a member answers.
func (w *watch) up(node string) bool { return w.of(node).missed < away }

// gone says whether a member's jobs must be done by others.
func (w *watch) gone(node string) bool {
	s := w.of(node)
	return s.missed >= lost || s.missed >= away && errors.Is(s.err, syscall.ECONNREFUSED) || s.idle >= lost
}

// Up says whether a member answers; this node does.
func (s *Service) Up(node string) bool { return node == s.Node || s.watch.up(node) }

// Run looks at the others until ctx ends, and, where this node leads, makes
// Raft's members those of the state.
func (s *Service) Run(ctx context.Context) {
	var own sync.WaitGroup
	defer own.Wait()
	own.Go(func() { s.keep(ctx) })
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.look(ctx)
		s.sayOutside()
		if s.Raft.Leading() {
			// Who leads by now makes the change.
			if err := s.lead(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, cluster.ErrElsewhere) {
				s.Log.Warn("the members could not be changed", "error", err)
			}
		}
		s.Directory.keep()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keep what the others know of this node as it is, until ctx ends: beside Run's looks,
// as a leader that hangs is asked for it too.
func (s *Service) keep(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.keepCertificate(ctx)
		s.callHome(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look at all others at one time.
func (s *Service) look(ctx context.Context) {
	if s.Port == nil {
		return
	}
	for _, node := range s.Directory.Gone() {
		s.Port.Drop(node)
	}
	var all sync.WaitGroup
	for _, node := range s.Directory.Others(s.Node) {
		all.Go(func() {
			r, err := s.ask(ctx, node)
			if err == nil && r.Directory != nil {
				err = s.Directory.Set(r.Directory.Index, r.Directory.Members, r.Directory.Authorities)
				r.Directory = nil
			}
			s.note(node, r, err)
		})
	}
	all.Wait()
}

func (s *Service) ask(ctx context.Context, node string) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?directory=%d", statusPath, s.Directory.Index()), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.Port.Do(peer.RPC, node, r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	out := &Report{}
	return out, json.NewDecoder(io.LimitReader(answer.Body, maxReport)).Decode(out)
}

func (s *Service) note(node string, r *Report, err error) {
	index, _ := s.State.Applied()
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	o := s.watch.seen[node]
	if o == nil {
		o = &seen{missed: away}
		s.watch.seen[node] = o
	}
	before := o.missed
	o.refused = err != nil && (o.refused || turnedAway(err))
	if o.err = err; err != nil {
		o.missed, o.kept, o.idle = o.missed+1, 0, 0
		if o.missed == away && before < away {
			s.Log.Warn("a node does not answer", "node", node, "name", s.Directory.Name(node), "error", err)
		}
		return
	}
	if before >= away {
		s.Log.Info("a node answers", "node", node, "name", s.Directory.Name(node))
	}
	o.report, o.at, o.missed = *r, s.Now(), 0
	if r.Sealed || r.Workers == 0 {
		o.idle++
	} else {
		o.idle = 0
	}
	if r.Applied+near >= index && r.Missing == 0 {
		o.kept++
	} else {
		o.kept = 0
	}
}

// lead makes Raft's members those of the state, gives votes, takes the rotation
// of the authority on, and tells of those that are away.
func (s *Service) lead(ctx context.Context) error {
	var rows []*command.Member
	if err := s.view(func(v *state.View) (err error) { rows, err = v.Members(); return err }); err != nil {
		return err
	}
	if len(rows) == 0 { // until it was unsealed, or finalised, this node could not be the first
		return s.Found(ctx)
	}
	servers, err := s.Raft.Servers()
	if err != nil {
		return err
	}
	has := func(id string) bool {
		return slices.ContainsFunc(servers, func(v cluster.Server) bool { return v.ID == id })
	}
	for _, m := range rows {
		switch {
		case m.RemovedNs == 0 && !has(m.Id):
			if err := s.Raft.Add(ctx, m.Id); err != nil {
				return fmt.Errorf("node %s cannot be added: %w", m.Id, err)
			}
			return nil // one change at a time
		case m.RemovedNs != 0 && has(m.Id):
			if s.watch.up(m.Id) && s.Now().UnixNano()-m.RemovedNs < int64(farewell) {
				continue // it learns it from the log, and ends
			}
			if m.Id == s.Node { // who leads next removes it
				return s.Raft.Transfer(ctx, "")
			}
			if err := s.Raft.Remove(ctx, m.Id); err != nil {
				return fmt.Errorf("node %s cannot be removed: %w", m.Id, err)
			}
			s.Port.Drop(m.Id)
			return nil
		}
	}
	for _, m := range rows {
		if (m.RemovedNs != 0 || m.Id != s.Node && s.watch.gone(m.Id)) && s.Lost != nil {
			s.Lost(ctx, m.Id)
		}
	}
	return errors.Join(s.rotate(ctx), s.promote(ctx, servers, rows))
}

// promote gives votes to those that have kept up, so that the number of voters is
// odd: of an even number one more may be away at no time than of one less. No
// vote is given while a voter is away, but to the node that takes its place.
func (s *Service) promote(ctx context.Context, servers []cluster.Server, rows []*command.Member) error {
	voters, down := 0, 0
	var ready []*command.Member
	votes := func(node string) bool { // and is a member: the farewell of one that was removed is not over
		return slices.ContainsFunc(servers, func(v cluster.Server) bool { return v.Voter && v.ID == node }) &&
			slices.ContainsFunc(rows, func(m *command.Member) bool { return m.Id == node && m.RemovedNs == 0 })
	}
	replace := func(m *command.Member) error {
		return s.own(ctx, command.Type_REMOVE_MEMBER, &command.RemoveMember{Node: m.Replaces}, audit.NodeMemberRemove, "node", m.Replaces)
	}
	for _, v := range servers {
		i := slices.IndexFunc(rows, func(m *command.Member) bool { return m.Id == v.ID && m.RemovedNs == 0 })
		switch {
		case v.Voter:
			if i >= 0 && votes(rows[i].Replaces) { // who gave it its vote came no further
				return replace(rows[i])
			}
			voters++
			if !s.Up(v.ID) {
				down++
			}
		case i >= 0 && s.watch.of(v.ID).kept >= stable:
			ready = append(ready, rows[i])
		}
	}
	for _, m := range ready {
		if votes(m.Replaces) {
			if err := s.vote(ctx, m); err != nil {
				return err
			}
			return replace(m)
		}
	}
	if down > 0 || len(ready) == 0 || voters%2 == 1 && len(ready) < 2 {
		return nil
	}
	for _, m := range ready[:1+voters%2] { // of an odd number two, of an even one
		if err := s.vote(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) vote(ctx context.Context, m *command.Member) error {
	if err := s.Raft.Promote(ctx, m.Id); err != nil {
		return fmt.Errorf("node %s cannot be given a vote: %w", m.Id, err)
	}
	s.Log.Info("a node has a vote now", "node", m.Id, "name", m.Name)
	return s.Record(ctx, access.Caller{}, &command.Event{Action: string(audit.NodeMemberPromote), ObjectType: "node", ObjectId: m.Id, Result: string(audit.OK)})
}

// Assign names the node that has least to do for its workers, of those that
// answer and take jobs: this one, where none has less. A node with a full disk takes
// none, as it may have no room for their pictures; nor does one that lags, which may
// lack the keys for them.
func (s *Service) Assign() string { return s.least(true) }

// Elsewhere is Assign without this node, unless there is no other.
func (s *Service) Elsewhere() string { return s.least(false) }

func (s *Service) least(own bool) string {
	index, _ := s.State.Applied()
	best, load := s.Node, float64(1<<30)
	if own && !s.draining(s.Node) {
		r := s.Local()
		if !s.Keys.Sealed() && r.Workers > 0 && !r.Full {
			load = float64(r.Waiting+r.Running) / float64(r.Workers)
		}
	}
	for _, node := range s.Directory.Others(s.Node) {
		o := s.watch.of(node)
		if o.missed > 0 || o.report.Sealed || o.report.Workers == 0 || o.report.Stalled || o.report.Full || o.report.Applied+near < index || s.draining(node) {
			continue
		}
		if l := float64(o.report.Waiting+o.report.Running) / float64(o.report.Workers); l < load {
			best, load = node, l
		}
	}
	return best
}

func (s *Service) draining(node string) bool {
	for _, m := range s.Directory.All() {
		if m.Node == node {
			return m.Draining
		}
	}
	return false
}
