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
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"

	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

const (
	// Heartbeat 500 ms and election 750 ms: a failed election costs another
	// round, so the two are near each other (measured, design of the cluster).
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
	trailing        = 10240
	snapshotsKept   = 2
	enqueueTimeout  = 5 * time.Second
	shutdownTimeout = 10 * time.Second
)

// Config of a node.
type Config struct {
	Dir   string // of Raft's files
	ID    string
	State *state.State
	Log   *slog.Logger
	// Committed is told the time of each synced commit of the state; may be
	// nil.
	Committed func(time.Duration)
}

// store is where Raft keeps its log, term and vote.
type store interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

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
}

// Open starts the member, founds a cluster of it alone where found is set and
// it has no history, and waits until the state holds every entry that was
// committed. Errors: ErrHistory, or the disk's.
func Open(ctx context.Context, c Config, found bool) (*Node, error) {
	if err := disk.MkdirAll(c.Dir); err != nil {
		return nil, err
	}
	path := filepath.Join(c.Dir, "log.db")
	if _, err := os.Stat(path); err != nil && (!errors.Is(err, os.ErrNotExist) || !found) {
		return nil, fmt.Errorf("%w: the log %s cannot be opened: %v", ErrHistory, path, err)
	}
	log, err := openStore(path)
	if err != nil {
		return nil, err
	}
	return newNode(c, log).open(ctx, found)
}

func (n *Node) open(ctx context.Context, found bool) (*Node, error) {
	done := make(chan error, 1)
	go func() { done <- n.start(ctx, found) }()
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

func openStore(path string) (store, error) {
	switch err := state.Inspect(path); {
	case errors.Is(err, os.ErrNotExist):
		if err := makeStore(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("%w: the log %s is damaged: %v", ErrHistory, path, err)
	}
	return openBolt(path)
}

// makeStore makes an empty log in full, under another name first: a crash
// leaves none or a good one.
func makeStore(path string) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := openBolt(temp)
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func openBolt(path string) (*raftboltdb.BoltStore, error) {
	log, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, Timeout: time.Second, InitialMmapSize: 1 << 30}})
	if err != nil {
		return nil, fmt.Errorf("%w: the log %s cannot be opened: %v", ErrHistory, path, err)
	}
	return log, nil
}

func newNode(c Config, log store) *Node {
	n := &Node{config: c, store: log, fatal: make(chan error, 1), ended: make(chan struct{})}
	n.fsm = &fsm{state: c.State, stop: n.stop}
	return n
}

func (n *Node) start(ctx context.Context, found bool) error {
	if err := disk.SyncDir(n.config.Dir); err != nil { // the name of a new log
		return err
	}
	log := &logger{n.config.Log}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(n.config.Dir, snapshotsKept, log)
	if err != nil {
		return err
	}
	latch := &latch{LogStore: n.store, StableStore: n.store, stop: n.stop}
	if err := n.checkHistory(latch, snapshots); err != nil {
		return err
	}
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = raft.ServerID(n.config.ID), log
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = heartbeat, election, heartbeat
	c.MaxAppendEntries, c.BatchApplyCh = maxBatch, true
	c.NoSnapshotRestoreOnStart, c.NoLegacyTelemetry = true, true
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = snapshotAfter, snapshotEvery, trailing
	address, transport := raft.NewInmemTransport(raft.ServerAddress(n.config.ID))
	cache, err := raft.NewLogCache(512, latch)
	if err != nil {
		return err
	}
	has, err := raft.HasExistingState(latch, latch, snapshots)
	if err != nil {
		return err
	}
	if !has && !found {
		return fmt.Errorf("%w: the log is empty", ErrHistory)
	}
	if n.raft, err = raft.NewRaft(c, n.fsm, cache, latch, snapshots, transport); err != nil {
		return err
	}
	if !has {
		err := n.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: c.LocalID, Address: address}}}).Error()
		if err != nil {
			return err
		}
	}
	return n.lead(ctx)
}

// checkHistory refuses a log and a state that do not belong together: one was
// lost, or put back from another time.
func (n *Node) checkHistory(log raft.LogStore, snapshots raft.SnapshotStore) error {
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	applied, hash := n.config.State.Applied()
	end, index, then, err := newest(snapshots)
	if err != nil {
		return err
	}
	switch {
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
	done := make(chan error, 1)
	go func() { done <- n.raft.Barrier(0).Error() }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ended:
		return errStopped
	case err := <-done:
		return err
	}
}

// stop reports a broken promise: the process must end. Its caller never
// returns, so that nothing is done upon it.
func (n *Node) stop(err error) {
	n.once.Do(func() { n.fatal <- err })
	n.finish()
	select {}
}

func (n *Node) finish() { n.end.Do(func() { close(n.ended) }) }

// Run commits the state at its intervals, until ctx ends or a promise is
// broken.
func (n *Node) Run(ctx context.Context) error {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.fatal:
			return err
		case <-tick.C:
			waits, start := n.config.State.Pending(), time.Now()
			if err := n.config.State.Commit(); err != nil {
				select { // the state may have failed at an entry, which stop says better
				case err := <-n.fatal:
					return err
				case <-time.After(commitEvery):
					return fmt.Errorf("%w: %w", ErrDisk, err)
				}
			}
			if waits > 0 && n.config.Committed != nil {
				n.config.Committed(time.Since(start))
			}
		}
	}
}

// Propose has a command agreed on and applied, and gives the answer. Errors:
// command.ErrTooLarge; ErrUnavailable where there is no quorum, or where the
// outcome is unknown: the same command must then be proposed again under the
// same idempotency key, not given up.
func (n *Node) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	b, err := command.Encode(c)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	future := n.raft.Apply(b, enqueueTimeout)
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w before it was agreed on", ErrUnavailable, ctx.Err())
	case <-n.ended: // Raft leaves those that wait unanswered
		return nil, errStopped
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	a, ok := future.Response().(*command.Answer)
	if !ok || a == nil {
		return nil, fmt.Errorf("%w: the entry was not applied here", ErrUnavailable)
	}
	return a, nil
}

// Read makes sure that the state of this node holds every command that was
// answered before the call, by anybody.
func (n *Node) Read(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- n.raft.VerifyLeader().Error() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	case <-n.ended:
		return errStopped
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Status of the member.
type Status struct {
	Role          string // leader, follower, candidate
	Term          uint64
	Index         uint64 // the last entry of the log
	Applied       uint64
	SnapshotIndex uint64
	Waiting       uint64 // entries of the log that are not yet applied
}

func (n *Node) Status() Status {
	s := Status{Role: map[raft.RaftState]string{raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate"}[n.raft.State()],
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
