package appliance

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Recovered says what a recovery does, or did.
type Recovered struct {
	Survivor
	Voters []string `json:"voters"` // who the cluster consists of from now on
	First  string   `json:"first"`  // of them, the one with the newest entries: it is started first
	Lost   []string `json:"lost"`   // removed for good
	Epoch  uint64   `json:"epoch"`  // of the audit logs, that starts
	// Open entries of this node that nobody knows to be agreed on: the first keeps
	// them, the others drop theirs.
	Open uint64 `json:"open_entries"`
	Kept string `json:"kept,omitempty"` // folder with the files as they were; empty: nothing was done
}

// keptBefore a recovery: how the names of folders begin that have what was there.
const keptBefore = "before-recovery-"

// recovery of a stopped node under way.
type recovery struct {
	dir   string
	state *state.State
	raft  cluster.Config
	votes []string // who voted
	Recovered
}

// Survive says how far the files of a stopped node go: its line of the file of
// peers. Nothing is changed.
func Survive(dir string) (s *Survivor, err error) {
	err = surviving(dir, func(r *recovery) error { s = &r.Survivor; return nil })
	return s, err
}

// PlanRecovery says what Recover would do, and changes nothing. Error: ErrRecovery.
func PlanRecovery(dir string, peers []Survivor) (p *Recovered, err error) {
	err = surviving(dir, func(r *recovery) error { p = &r.Recovered; return r.plan(peers) })
	return p, err
}

// Recover makes a stopped node one of a cluster that consists of the peers alone,
// after the majority of its cluster was lost for good. It needs no key. approved
// are codes of who has allowed it, for the audit log. The files are kept as they
// were in a folder beside. Errors: ErrRecovery, cluster.ErrHistory.
func Recover(dir string, peers []Survivor, approved []string, now time.Time) (p *Recovered, err error) {
	err = surviving(dir, func(r *recovery) error {
		p = &r.Recovered
		if err := r.plan(peers); err != nil {
			return err
		}
		return r.carryOut(approved, now)
	})
	return p, err
}

// surviving opens the files of a stopped node.
func surviving(dir string, do func(*recovery) error) (err error) {
	f, dir, done, err := stopped(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	s, err := state.Open(filepath.Join(dir, "state.db"), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r := &recovery{dir: dir, state: s,
		raft: cluster.Config{Dir: filepath.Join(dir, "raft"), Cluster: f.Cluster, ID: f.Node, State: s, Log: slog.New(slog.DiscardHandler)}}
	h, err := cluster.ReadHistory(r.raft)
	if err != nil {
		return err
	}
	r.Survivor = Survivor{f.Cluster, f.Node, h.Term, h.Index, h.Applied}
	r.Open, r.votes = h.Index-h.Applied, h.Voters
	return do(r)
}

// plan what is to be done, where it may be.
func (r *recovery) plan(peers []Survivor) error {
	own := slices.IndexFunc(peers, func(s Survivor) bool { return s.Node == r.Node })
	switch {
	case own < 0:
		return fmt.Errorf("%w: this node, %s, is not in the file of peers: put the line there that 'gatehouse data recover --data DIR' prints", ErrRecovery, r.Node)
	case peers[own].Cluster != r.Cluster:
		return fmt.Errorf("%w: the file of peers is of the cluster %s, this node of %s", ErrRecovery, peers[own].Cluster, r.Cluster)
	case peers[own] != r.Survivor:
		return fmt.Errorf("%w: the file of peers has %s, but this node stands at %s: it ran meanwhile. Print its line again, and write it into the file of each survivor", ErrRecovery, peers[own], r.Survivor)
	}
	first, voters := peers[0], 0
	for _, s := range peers {
		r.Voters = append(r.Voters, s.Node)
		if slices.Contains(r.votes, s.Node) {
			voters++
		}
		if s.history().Newer(first.history()) || !first.history().Newer(s.history()) && s.Node < first.Node {
			first = s
		}
	}
	slices.Sort(r.Voters)
	r.First = first.Node
	for _, s := range peers {
		if s.Applied > first.Index {
			return fmt.Errorf("%w: %s knows entry %d to be agreed on, and %s, which has the newest, ends at %d: one of them is not as it was. Print the lines again", ErrRecovery, s.Node, s.Applied, first.Node, first.Index)
		}
	}
	if err := r.look(r.state); err != nil {
		return err
	}
	if voters > len(r.votes)/2 {
		return fmt.Errorf("%w: %d of the %d nodes that vote are left, which is a majority: start them, and they go on by themselves. For the others, 'gatehouse cluster replace'", ErrRecovery, voters, len(r.votes))
	}
	return r.whole()
}

// look at the members and the epoch of a state.
func (r *recovery) look(s *state.State) error {
	var members []*command.Member
	err := s.View(func(v *state.View) (err error) { r.Epoch = v.Epoch() + 1; members, err = v.Members(); return err })
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return fmt.Errorf("%w: the node was never one of several: start it, or restore it from a backup", ErrRecovery)
	}
	present := map[string]bool{}
	for _, m := range members {
		if m.RemovedNs == 0 {
			present[m.Id] = true
		}
	}
	for _, node := range r.Voters {
		if !present[node] {
			return fmt.Errorf("%w: %s is no member of the cluster, or was removed", ErrRecovery, node)
		}
		delete(present, node)
	}
	r.Lost = slices.Sorted(maps.Keys(present))
	return nil
}

// whole says whether the first node has all events: with nobody left to give it a
// segment that it lacks, it would not start.
func (r *recovery) whole() error {
	if r.First != r.Node {
		return nil
	}
	var logs []string
	if err := r.state.View(func(v *state.View) (err error) { logs, err = v.EveryLog(); return err }); err != nil {
		return err
	}
	for _, name := range logs {
		if err := r.state.Log(name).Whole(); err != nil {
			return fmt.Errorf("%w: this node had not yet got all events of the audit logs: %w", ErrRecovery, err)
		}
	}
	return nil
}

func (r *recovery) carryOut(approved []string, now time.Time) error {
	kept := filepath.Join(r.dir, keptBefore+now.UTC().Format("20060102T150405Z"))
	if err := os.Mkdir(kept, 0o700); err != nil {
		return fmt.Errorf("%w: nothing can be kept as it is: %w", ErrRecovery, err)
	}
	members, err := member.OpenDirectory(filepath.Join(r.dir, "peer"), nil)
	if err != nil {
		return errors.Join(err, os.Remove(kept))
	}
	if err := members.Rewind(); err != nil {
		return errors.Join(err, os.Remove(kept))
	}
	how := cluster.Recovery{Voters: r.Voters, Keep: kept}
	if r.First == r.Node {
		how.Commands = func(s *state.State) ([]*command.Command, error) { return r.commands(s, approved, now) }
	}
	err = cluster.Recover(r.raft, how)
	if err == nil {
		r.Kept = kept
		return nil
	}
	if _, begun := os.Lstat(filepath.Join(kept, "raft")); begun != nil { // the node is as it was
		return errors.Join(fmt.Errorf("%w: %w", ErrRecovery, err), os.RemoveAll(kept))
	}
	return err
}

// commands that the first node begins with, once its state has all that it has.
func (r *recovery) commands(s *state.State, approved []string, now time.Time) ([]*command.Command, error) {
	if err := r.look(s); err != nil { // an entry that is agreed on now may have changed it
		return nil, err
	}
	beyond, err := r.beyond(s)
	if err != nil {
		return nil, err
	}
	event := func(a audit.Action, kind, object string) *command.Event {
		return &command.Event{Id: id.New(id.Event, now, rand.Reader), Action: string(a), ObjectType: kind, ObjectId: object, Result: string(audit.OK)}
	}
	e := event(audit.ClusterRecover, "cluster", r.Cluster)
	e.Facts = map[string]string{"survivors": strings.Join(r.Voters, ","), "lost": strings.Join(r.Lost, ","), "approved": strings.Join(approved, ","),
		"index": fmt.Sprint(r.Index), "term": fmt.Sprint(r.Term), "applied": fmt.Sprint(r.Applied)}
	var all []*command.Command
	add := func(t command.Type, payload proto.Message, e *command.Event) error {
		c, err := command.New(t, payload)
		if err != nil {
			return err
		}
		c.Id, c.ProposedAtNs, c.Proposer = id.New(id.Command, now, rand.Reader), now.UnixNano(), r.Node
		c.Actor = &command.Actor{Type: "operator", Id: "offline"}
		c.Events = []*command.Event{e}
		all = append(all, c)
		return nil
	}
	if err := add(command.Type_START_EPOCH, &command.StartEpoch{Epoch: r.Epoch, Reason: "quorum_lost", Beyond: beyond}, e); err != nil {
		return nil, err
	}
	for _, node := range r.Lost {
		if err := add(command.Type_REMOVE_MEMBER, &command.RemoveMember{Node: node}, event(audit.NodeMemberRemove, "node", node)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// beyond is what this node has signed of logs and does not have any more.
func (r *recovery) beyond(s *state.State) (all []*command.Signed, err error) {
	k, err := keys.Open(r.dir, r.Cluster)
	if err != nil {
		return nil, err
	}
	signer, err := audit.OpenSigner(filepath.Join(r.dir, "audit", "last-signed"), k.Signers)
	if err != nil {
		return nil, err
	}
	var logs []string
	if err := s.View(func(v *state.View) (err error) { logs, err = v.Logs(); return err }); err != nil {
		return nil, err
	}
	for _, name := range logs {
		log := s.Log(name)
		h, err := log.Head()
		if err != nil {
			return nil, err
		}
		switch err := signer.Check(h.Origin, h.Size, log); {
		case errors.Is(err, audit.ErrRollback), errors.Is(err, audit.ErrFork):
			size, root := signer.Last(h.Origin)
			all = append(all, &command.Signed{Log: name, Size: uint64(size), Root: root.String()})
		case err != nil:
			return nil, err
		}
	}
	return all, nil
}
