// Package cluster is agreement between nodes: a command that Propose answers
// is on the disks of a quorum and in the state of this node. One node is a
// cluster of one, by the same path.
//
// It knows Raft and the state, and must never look at what a command means.
// Nothing above it knows Raft.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/peer"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/disk/killpoint"
	"gatehouse/store/state"
)

const (
	// Heartbeat 500 ms and election 750 ms: a failed election costs another
	// round, so the two are near each other (measured, design of the cluster). How
	// they are used: campaign.
	heartbeat = 500 * time.Millisecond
	election  = 750 * time.Millisecond
	// Entries sent, and applied, together (Vault, Nomad: 64).
	maxBatch = 64
	// The state's open transaction is committed this often (architecture,
	// decision 3).
	commitEvery = 100 * time.Millisecond
	// A snapshot holds no data: it lets the log forget what the state has. The
	// trailing entries are for followers that lag.
	snapshotAfter   = 16384
	snapshotEvery   = 30 * time.Second
	trailing        = 65536 // twenty minutes of four verifications a second (R10)
	snapshotsKept   = 2
	enqueueTimeout  = 5 * time.Second
	shutdownTimeout = 10 * time.Second
)

// Config of a node.
type Config struct {
	Dir     string // of Raft's files
	Cluster string
	ID      string
	State   *state.State
	Log     *slog.Logger
	// Port to the other members; nil: nobody reaches this node.
	Port *peer.Port
	// Committed is told the time of each synced commit of the state; may be
	// nil.
	Committed func(time.Duration)
	// Applied is told what was applied, by whichever node it was proposed. It
	// must return at once; may be nil.
	Applied func([]*command.Answer)
	// Replaced is told that the state is another node's now, with more in it
	// than Applied was told; may be nil.
	Replaced func()

	// Other than the usual in tests; 0: the usual.
	heartbeat, stall, patience, rpc time.Duration
}

// Start says what a node without a log is.
type Start int

const (
	Again Start = iota // it must have one
	Found              // the first of a new cluster
	Join               // it joins: the leader sends what there is
)

// Node is a member of the cluster. Safe for concurrent use.
type Node struct {
	config Config
	raft   *raft.Raft
	fsm    *fsm
	store  store
	fatal  chan error
	once   sync.Once
	ended  chan struct{} // closed by stop and by Close: nothing is answered any more
	end    sync.Once
	writes *underWay

	snapshots *snapshots

	reads    rounds // of this node's callers
	confirms rounds // of the other nodes', and its own, where it leads
	asked    asked
	settled  atomic.Uint64 // the term in which all entries of earlier ones are applied here
}

// Open starts the member. Where it is the only voter it waits until the state
// holds every entry that was committed; else Ready does. Errors: ErrHistory, or
// the disk's.
func Open(ctx context.Context, c Config, start Start) (*Node, error) {
	if err := disk.MkdirAll(c.Dir); err != nil {
		return nil, err
	}
	log, err := openFiles(c, start)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(ready(c.Dir)), os.RemoveAll(fresh(c.Dir))); err != nil { // of a recovery that a crash has undone
		return nil, errors.Join(err, log.Close())
	}
	return newNode(c, log).open(ctx, start)
}

func (n *Node) open(ctx context.Context, start Start) (*Node, error) {
	done := make(chan error, 1)
	go func() { done <- n.start(ctx, start) }()
	select {
	case err := <-n.fatal: // start may never return
		return nil, err
	case err := <-done:
		select {
		case err := <-n.fatal:
			return nil, err
		default:
		}
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		return n, nil
	}
}

func newNode(c Config, log store) *Node {
	if c.heartbeat == 0 {
		c.heartbeat = heartbeat
	}
	if c.patience == 0 {
		c.patience = patience
	}
	if c.stall == 0 {
		c.stall = stallTime
	}
	if c.rpc == 0 {
		c.rpc = rpcTime
	}
	n := &Node{config: c, store: log, fatal: make(chan error, 1), ended: make(chan struct{}), writes: newUnderWay()}
	n.fsm = newFSM(c, n.stop, n.writes)
	return n
}

func (n *Node) start(ctx context.Context, how Start) error {
	if err := disk.SyncDir(n.config.Dir); err != nil { // the name of a new log
		return err
	}
	log := &logger{n.config.Log}
	snapshots, err := openSnapshots(n.config.Dir, n.config.State, n.fsm, log)
	if err != nil {
		return err
	}
	n.snapshots = snapshots
	latch := &latch{LogStore: n.store, StableStore: n.store, stop: n.stop, writes: n.writes}
	if err := n.checkHistory(latch, snapshots); err != nil {
		return err
	}
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(n.config.ID), log
	c.HeartbeatTimeout, c.LeaderLeaseTimeout = n.config.heartbeat, n.config.heartbeat
	c.ElectionTimeout = election
	c.MaxAppendEntries, c.BatchApplyCh = maxBatch, true
	c.NoSnapshotRestoreOnStart, c.NoLegacyTelemetry = true, true
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = snapshotAfter, snapshotEvery, trailing
	if killpoint.On { // chaos writes some thirty entries a second: who is away for fifteen is sent the state
		c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = 32, 5*time.Second, 128
	}
	cache, err := raft.NewLogCache(512, latch)
	if err != nil {
		return err
	}
	has, err := raft.HasExistingState(latch, latch, snapshots)
	if err != nil {
		return err
	}
	if !has && how == Again {
		return fmt.Errorf("%w: the log is empty", ErrHistory)
	}
	if n.raft, err = raft.NewRaft(c, n.fsm, cache, latch, snapshots, n.transport(log)); err != nil {
		return err
	}
	if !has && how == Found {
		err := n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: c.LocalID, Address: raft.ServerAddress(c.LocalID)}}}).Error()
		if err != nil {
			return err
		}
	}
	servers, err := n.Servers()
	if err != nil {
		return err
	}
	if len(servers) == 1 && servers[0] == (Server{n.config.ID, true}) {
		return n.lead(ctx)
	}
	return nil
}

// checkHistory refuses a log and a state that do not belong together: one was
// lost, or put back from another time. What a crash left of the log from before
// a snapshot that was sent here is removed.
func (n *Node) checkHistory(log raft.LogStore, snapshots *snapshots) error {
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	applied, hash := n.config.State.Applied()
	end, index, then, sent, err := snapshots.newest()
	if err != nil {
		return err
	}
	if sent && last > 0 && last < end && applied >= index {
		if err := log.DeleteRange(first, last); err != nil {
			return err
		}
		first, last = 0, 0
	}
	switch {
	case sent && last == 0 && applied == index && hash == then:
		return nil
	case last < end: // a snapshot leaves the log its newest entries
		return fmt.Errorf("%w: the log ends at entry %d, the snapshot at %d", ErrHistory, last, end)
	case last > 0 && first > end+1:
		return fmt.Errorf("%w: the log begins at entry %d, the snapshot ends at %d", ErrHistory, first, end)
	case applied > max(last, end):
		return fmt.Errorf("%w: the state holds entry %d, the log ends at %d", ErrHistory, applied, max(last, end))
	case applied < index:
		return fmt.Errorf("%w: the state ends at entry %d, the log begins after %d", ErrHistory, applied, index)
	case applied == index && hash != then:
		return fmt.Errorf("%w: at entry %d the state is not what it was at the snapshot", ErrHistory, applied)
	}
	return nil
}

// lead waits for leadership and for all entries before it.
func (n *Node) lead(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.raft.State() != raft.Leader {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ended:
			return errStopped
		case <-tick.C:
		}
	}
	_, err := n.readIndex(ctx)
	return err
}

// stop reports a broken promise: the process must end. Its caller never
// returns, so that nothing is done upon it.
func (n *Node) stop(err error) {
	n.once.Do(func() { n.fatal <- err })
	n.finish()
	select {}
}

func (n *Node) finish() { n.end.Do(func() { close(n.ended) }) }

// Run commits the state at its intervals, and stands for election when it is this
// node's turn, until ctx ends or a promise is broken.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var campaign sync.WaitGroup
	defer campaign.Wait()
	defer cancel()
	campaign.Go(func() {
		if err := n.campaign(ctx); err != nil {
			n.config.Log.Error("a leader that is lost will be missed for longer", "error", err)
		}
	})
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.fatal:
			return err
		case <-tick.C:
			n.writes.begin(&n.writes.commit) // Pending waits for the state too
			waits, start := n.config.State.Pending(), time.Now()
			err := n.config.State.Commit()
			n.writes.end(&n.writes.commit)
			if err != nil {
				select { // the state may have failed at an entry, which stop says better
				case err := <-n.fatal:
					return err
				case <-time.After(commitEvery):
					if errors.Is(err, state.ErrDamaged) {
						return err
					}
					return fmt.Errorf("%w: %w", ErrDisk, err)
				}
			}
			if waits > 0 && n.config.Committed != nil {
				n.config.Committed(time.Since(start))
			}
		}
	}
}

// Status of the member.
type Status struct {
	Role          string // leader, follower, candidate
	Leader        string // its id; empty: none is known
	Term          uint64
	Index         uint64 // the last entry of the log
	Applied       uint64
	SnapshotIndex uint64
	Waiting       uint64 // entries of the log that are not yet applied
}

func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	s := Status{Leader: string(leader), Role: map[raft.RaftState]string{raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate"}[n.raft.State()],
		Term: n.raft.CurrentTerm(), Index: n.raft.LastIndex(), Applied: n.raft.AppliedIndex()}
	s.Waiting = s.Index - min(s.Index, s.Applied)
	s.SnapshotIndex, _ = strconv.ParseUint(n.raft.Stats()["last_snapshot_index"], 10, 64) // Raft writes it as such
	return s
}

// Close stops the member and commits the state. It does not close the state.
// After a broken promise Raft cannot be waited for: its files stay open until
// the process ends.
func (n *Node) Close() error {
	var stopped error
	if n.raft != nil {
		done := make(chan error, 1)
		go func() { done <- n.raft.Shutdown().Error() }()
		select {
		case stopped = <-done:
		case <-n.ended:
			return n.config.State.Commit()
		case <-time.After(shutdownTimeout):
			return fmt.Errorf("%w: raft does not stop", ErrUnavailable)
		}
	}
	n.finish()
	return errors.Join(stopped, n.config.State.Commit(), n.store.Close())
}
