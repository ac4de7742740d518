package raftlog_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

// list is a state machine: the commands that were applied, in their order.
type list struct {
	mu  sync.Mutex
	all [][]byte
}

func (f *list) Apply(e *raft.Log) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, slices.Clone(e.Data))
	return len(f.all)
}

func (f *list) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return image(slices.Clone(f.all)), nil
}

func (f *list) Restore(r io.ReadCloser) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer r.Close()
	for f.all = nil; ; {
		var n [4]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return nil
		}
		b := make([]byte, binary.BigEndian.Uint32(n[:]))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		f.all = append(f.all, b)
	}
}

func (f *list) commands() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

type image [][]byte

func (i image) Persist(s raft.SnapshotSink) error {
	for _, c := range i {
		if _, err := s.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(c))), c...)); err != nil {
			return err
		}
	}
	return s.Close()
}

func (i image) Release() {}

// member of a Raft cluster whose log is ours.
type member struct {
	*raft.Raft
	id        raft.ServerID
	dir       string
	log       *raftlog.Log
	state     *list
	votes     *raft.InmemStore
	snapshots *raft.InmemSnapshotStore
	network   *raft.InmemTransport
}

func newMember(t *testing.T, id raft.ServerID) *member {
	return &member{id: id, dir: t.TempDir(), votes: raft.NewInmemStore(), snapshots: raft.NewInmemSnapshotStore()}
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.state = &list{}
	if m.network == nil {
		_, m.network = raft.NewInmemTransport(raft.ServerAddress(m.id))
	}
	m.log = open1(t, raftlog.Config{Dir: m.dir, Segment: 16 << 10})
	c := raft.DefaultConfig()
	c.LocalID, c.Logger = m.id, hclog.NewNullLogger()
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond, 5*time.Millisecond
	c.TrailingLogs, c.SnapshotThreshold, c.SnapshotInterval = 100, 1<<40, time.Hour // the test takes them
	var err error
	m.Raft, err = raft.NewRaft(c, m.state, m.log, m.votes, m.snapshots, m.network)
	ok(t, err)
	t.Cleanup(func() { m.Shutdown().Error() })
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	ok(t, m.Shutdown().Error())
	ok(t, m.log.Close())
	m.network = nil
}

func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (m *member) apply(t *testing.T, from, to int) {
	t.Helper()
	var waiting []raft.ApplyFuture
	for i := from; i < to; i++ {
		waiting = append(waiting, m.Apply(fmt.Appendf(nil, "command %d", i), 10*time.Second))
	}
	for _, f := range waiting {
		ok(t, f.Error())
	}
}

// has says that the commands up to n were applied, each once and in order.
func (m *member) has(n int) bool {
	all := m.state.commands()
	for i, c := range all {
		if string(c) != fmt.Sprintf("command %d", i) {
			return false
		}
	}
	return len(all) == n
}

func TestRaftOfOne(t *testing.T) {
	t.Parallel()
	m := newMember(t, "a")
	m.start(t)
	ok(t, m.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}}).Error())
	leads := func() bool { return m.State() == raft.Leader }
	until(t, "it leads", leads)
	m.apply(t, 0, 1000)
	ok(t, m.Snapshot().Error())
	first, _ := m.log.FirstIndex()
	if first < 800 {
		t.Errorf("after a snapshot the log begins at %d", first)
	}
	m.apply(t, 1000, 1010)
	m.stop(t)

	m.start(t)
	until(t, "it leads again", leads)
	ok(t, m.Barrier(0).Error())
	if !m.has(1010) {
		t.Errorf("it has %d commands", len(m.state.commands()))
	}
	again, _ := m.log.FirstIndex()
	if again > first || first-again > 500 {
		t.Errorf("it began at %d and now at %d", first, again)
	}
	m.apply(t, 1010, 1020)
	ok(t, m.Snapshot().Error())
	m.stop(t)
}

// A leader that was cut off loses what only it has, and one that lags behind the
// log gets a snapshot and begins a new log after it.
func TestRaftOfThree(t *testing.T) {
	t.Parallel()
	members := map[raft.ServerID]*member{}
	var servers []raft.Server
	for _, id := range []raft.ServerID{"a", "b", "c"} {
		members[id] = newMember(t, id)
		members[id].start(t)
		servers = append(servers, raft.Server{ID: id, Address: raft.ServerAddress(id)})
	}
	each := func(do func(m, other *member)) {
		for _, m := range members {
			for _, other := range members {
				if m != other {
					do(m, other)
				}
			}
		}
	}
	connect := func() {
		each(func(m, other *member) { m.network.Connect(raft.ServerAddress(other.id), other.network) })
	}
	connect()
	ok(t, members["a"].BootstrapCluster(raft.Configuration{Servers: servers}).Error())
	leader := func(not *member) (l *member) {
		t.Helper()
		until(t, "one leads", func() bool {
			for _, m := range members {
				if m != not && m.State() == raft.Leader {
					l = m
				}
			}
			return l != nil
		})
		return l
	}
	old := leader(nil)
	old.apply(t, 0, 300)
	until(t, "all have it", func() bool { return members["a"].has(300) && members["b"].has(300) && members["c"].has(300) })

	each(func(m, other *member) {
		if m == old || other == old {
			m.network.Disconnect(raft.ServerAddress(other.id))
		}
	})
	for range 20 { // in its log, and never agreed on
		old.Apply([]byte("lost"), 0)
	}
	until(t, "it notices", func() bool { return old.State() != raft.Leader })
	behind, _ := old.log.LastIndex()
	now := leader(old)
	now.apply(t, 300, 310)
	connect()
	until(t, "what it alone had is replaced", func() bool { return old.has(310) })
	if behind < 310 {
		t.Errorf("it had entries up to %d only", behind)
	}

	now = leader(nil)
	var slow *member
	for _, m := range members {
		if m != now {
			slow = m
		}
	}
	had, _ := slow.log.LastIndex()
	slow.stop(t)
	now.apply(t, 310, 900)
	now = leader(slow)
	ok(t, now.Snapshot().Error())
	slow.start(t)
	connect()
	until(t, "it has what the log no longer has", func() bool { return slow.has(900) })
	slow.stop(t)
	slow.start(t)
	connect()
	leader(nil).apply(t, 900, 910)
	until(t, "it goes on after that", func() bool { return slow.has(910) })
	if first, _ := slow.log.FirstIndex(); first <= had+500 {
		t.Errorf("its log begins at %d, and ended at %d before the snapshot", first, had)
	}
	for _, m := range members {
		m.stop(t)
	}
}
