package cluster_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster"
	"gatehouse/cluster/peer"
)

// kill a node: its port is gone at once, and it goes on from a copy of what its
// disk held then. Nothing is closed; the state has lost what was not committed.
func (c *trio) kill(t testing.TB, s *seat) {
	t.Helper()
	must(t, s.port.Close())
	s.stop()
	must(t, <-s.ran)
	left := s.member
	t.Cleanup(func() { left.node.Close(); left.state.Close() })
	s.member = &member{dir: copied(t, left.dir)}
}

func TestKilledInAnyPlace(t *testing.T) {
	t.Parallel()
	c, said := assemble(t, &trio{hurried: hurried{patience: patience}}), &told{}
	leader := c.leader(t)
	places := [][]*seat{{leader}, {c.others(leader)[0]}, {c.others(leader)[1]}, c.nodes[:]} // the last: power
	var loads []*load
	for _, killed := range places {
		l := &load{told: said}
		loads = append(loads, l)
		l.from(t, c.nodes[:]...)
		time.Sleep(200 * time.Millisecond)
		for _, s := range killed {
			must(t, s.port.Close()) // nobody is answered from here on
		}
		for _, s := range killed {
			c.kill(t, s)
		}
		l.stop.Store(true)
		if len(killed) == 1 {
			said.insist(t, c.others(killed[0])[0])
		}
		for _, s := range killed {
			c.open(t, s, cluster.Again)
		}
		for _, s := range c.nodes {
			must(t, s.node.Ready(t.Context()))
			said.insist(t, s)
		}
	}
	for _, l := range loads {
		l.all.Wait()
	}
	said.check(t, c)
	t.Logf("%d answered, %d unknown", len(said.acked), len(said.unknown))
}

// lag makes a node that lacks what the leader has forgotten, and is closed.
func (c *trio) lag(t testing.TB, said *told) (leader, behind *seat) {
	t.Helper()
	leader = c.leader(t)
	behind = c.others(leader)[0]
	behind.crash(t)
	behind.port = nil
	for range 30 {
		said.insist(t, leader)
	}
	must(t, leader.node.Forget(5))
	for range 5 {
		said.insist(t, leader)
	}
	return leader, behind
}

// A crash between any two steps of putting a state in place: the node has the
// old one and gets it again, or the new one.
func TestACrashWhileAStateIsSent(t *testing.T) {
	t.Parallel()
	c, said := three(t), &told{}
	leader, behind := c.lag(t, said)
	before := copied(t, behind.dir)
	var inPlace string
	var once sync.Once
	behind.replaced = func() { once.Do(func() { inPlace = copied(t, behind.dir) }) } // the log is not yet emptied
	c.open(t, behind, cluster.Again)
	must(t, behind.node.Ready(t.Context()))
	said.insist(t, behind)
	said.check(t, c)
	sent := behind.node.Status().SnapshotIndex
	behind.crash(t)
	behind.port, behind.replaced = nil, nil
	after := copied(t, behind.dir)

	file, err := os.ReadFile(filepath.Join(inPlace, "state.db"))
	must(t, err)
	snapshots, err := filepath.Glob(filepath.Join(inPlace, "raft", "snapshots", "*-*"))
	if err != nil || len(snapshots) != 1 {
		t.Fatalf("%v, %v", snapshots, err)
	}
	put := func(dir, name string, b []byte) { must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600)) }
	snapshot := func(dir, name string) {
		must(t, os.CopyFS(filepath.Join(dir, "raft", "snapshots", name), os.DirFS(snapshots[0])))
	}
	id := filepath.Base(snapshots[0])
	for _, step := range []struct {
		name string
		from string
		left func(dir string)
		new  bool
	}{
		{"nothing came", before, func(string) {}, false},
		{"a part came", before, func(dir string) { put(dir, "state.db.coming", file[:len(file)/2]); snapshot(dir, id+".tmp") }, false},
		{"all came", before, func(dir string) { put(dir, "state.db.coming", file); snapshot(dir, id+".tmp") }, false},
		{"it was examined and named", before, func(dir string) { put(dir, "state.db.next", file) }, false},
		{"the snapshot was begun", before, func(dir string) { put(dir, "state.db.next", file); snapshot(dir, id+".tmp") }, false},
		{"the snapshot is durable", before, func(dir string) { put(dir, "state.db.next", file); snapshot(dir, id) }, true},
		{"it is in place", inPlace, func(string) {}, true},
		{"it is in place, with a later one begun", inPlace, func(dir string) { put(dir, "state.db.coming", file[:4096]) }, true},
		{"the log is emptied", inPlace, func(dir string) { emptied(t, dir, after) }, true},
		{"entries came after it", after, func(string) {}, true},
	} {
		behind.member = &member{dir: copied(t, step.from)}
		step.left(behind.dir)
		c.open(t, behind, cluster.Again)
		if i, _ := behind.state.Applied(); step.new && i < sent {
			t.Errorf("%s: opened at entry %d, the snapshot is of %d", step.name, i, sent)
		}
		for _, name := range []string{"state.db.coming", "state.db.next"} {
			if _, err := os.Stat(filepath.Join(behind.dir, name)); step.new && err == nil {
				t.Errorf("%s: %s is left", step.name, name)
			}
		}
		must(t, behind.node.Ready(t.Context()))
		said.insist(t, behind)
		c.same(t)
		if t.Failed() {
			t.Fatalf("after %q", step.name)
		}
		behind.crash(t)
		behind.port = nil
	}
	said.insist(t, leader)
	said.check(t, c)
}

// emptied puts a log that begins after the snapshot in the place of the old one.
func emptied(t testing.TB, dir, after string) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(dir, "raft", "log")))
	must(t, os.CopyFS(filepath.Join(dir, "raft", "log"), os.DirFS(filepath.Join(after, "raft", "log"))))
}

// A state that stops coming, in the middle: the node gives it up after the
// stall, and has it when it comes again.
func TestAStateThatStopsComing(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	leader, behind := c.lag(t, said)
	way := c.network.link(leader.id, behind.id).gate(peer.Raft, false)
	way.shut(40 << 10) // handshakes and a part of the state, which has more
	c.open(t, behind, cluster.Again)
	coming := filepath.Join(behind.dir, "state.db.coming")
	exists := func(want bool, within time.Duration) {
		t.Helper()
		for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(coming); (err == nil) == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("a part of a state is there: %v", !want)
			}
		}
	}
	exists(true, 5*time.Second)
	exists(false, stall+3*time.Second)
	said.insist(t, leader) // the others go on
	c.heal()
	must(t, behind.node.Ready(t.Context()))
	said.insist(t, behind)
	said.check(t, c)
}
