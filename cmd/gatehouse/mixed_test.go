package main_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/appliance/appliancetest/crash"
	"gatehouse/cluster/raftlog"
	"gatehouse/store/audit"
	commands "gatehouse/store/command"
)

// Three nodes go from the release before to this one and on the way back and forth,
// with traffic, whichever release leads; what was acknowledged stays.
func TestMixedReleases(t *testing.T) {
	t.Parallel()
	old := release(t, version2)
	c := formThree(t, old)
	first, second, third := c.nodes[0], c.nodes[1], c.nodes[2]
	c.serves("all old", third)
	policy := filepath.Join(first.dir, "policy")
	if err := os.WriteFile(policy, []byte(first.as(t, "branch", "audit", "trust").stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	quiet := c.traffic()

	c.swap(first, binary)
	for _, leader := range []*served{first, second} {
		c.led(leader)
		c.serves("one of three is new, "+filepath.Base(leader.Data)+" leads", first, third)
	}
	c.waits(first, second)
	c.joins(first, old)
	c.joins(second, binary)

	// The second was away for long: an old leader sends its state to a new node.
	second.stop(t)
	c.moves(5)
	third.stop(t)
	forget(t, third.Program)
	third.start(t)
	c.led(third)
	second.Binary = binary
	second.start(t)
	c.sent(second)
	for _, leader := range []*served{third, second} {
		c.led(leader)
		c.serves("two of three are new, "+filepath.Base(leader.Data)+" leads", leader)
	}
	c.waits(first, third)

	// It goes back, and was away for long: a new leader sends its state to an old node.
	second.stop(t)
	c.moves(5)
	first.stop(t)
	forget(t, first.Program)
	first.start(t)
	c.led(first)
	second.Binary = old
	second.start(t)
	c.sent(second)
	c.serves("one has gone back", second)

	c.swap(third, binary)
	second.stop(t) // one that is away may come back as it was
	third.as(t, "admin", "cluster", "finalise", "--json").fails(t, 3, "", "server-2", "version 2")
	if o := third.as(t, "admin", "cluster", "status"); strings.Contains(o.stdout, "all members know version 3") {
		t.Errorf("%+v", o)
	}
	second.Binary = binary
	second.start(t)
	c.led(third)
	c.active(2)
	third.as(t, "admin", "cluster", "status").advises(t, "all members know version 3")
	third.as(t, "admin", "cluster", "finalise").code0(t)
	c.active(commands.Version)
	if o := third.as(t, "admin", "cluster", "rotate-authority"); o.code != 0 {
		t.Errorf("%+v", o)
	}
	c.serves("finalised")

	// There is no way back; the others do not mind.
	second.stop(t)
	o := run(t, exec.Command(old, append([]string{"run", "--data", second.Data, "--json"}, second.Flags...)...))
	if o.code != 13 || !strings.Contains(o.stderr, "version 3 of the commands") {
		t.Errorf("the release before, after the end: %+v", o)
	}
	c.moves(5)
	c.serves("one is away")
	second.start(t)
	c.serves("all new", second)
	quiet()
	c.steady()
	c.keeps()
	c.audited(policy)
	for _, s := range c.nodes {
		s.stop(t)
	}
}

// swap the program of a node, while the others take requests.
func (c *three) swap(s *served, program string) {
	c.Helper()
	s.stop(c.T) // which checks what it leaves, by its own program
	c.moves(3)
	s.Binary = program
	s.start(c.T)
	c.moves(3)
}

// active checks the version of the commands in use, as every node sees it.
func (c *three) active(version uint32) {
	c.Helper()
	c.steady()
	for _, s := range c.running() {
		of, err := c.admin[s].Cluster(c.Context())
		if err != nil || of.ActiveVersion != int64(version) {
			c.Errorf("%s: %+v, %v", filepath.Base(s.Data), of, err)
		}
	}
}

// waits checks that a new node says what finalise waits for, and that nothing is
// put in use that an old one does not know, whichever is asked.
func (c *three) waits(now, old *served) {
	c.Helper()
	name := filepath.Base(old.Data)
	now.as(c.T, "admin", "cluster", "status").advises(c.T, name)
	now.as(c.T, "admin", "cluster", "finalise", "--json").fails(c.T, 3, "", name, "version 2")
	now.as(c.T, "admin", "cluster", "rotate-authority", "--json").fails(c.T, 3, "", "cluster finalise")
	old.as(c.T, "admin", "cluster", "finalise").code0(c.T)
	c.active(2)
}

// joins checks that a server can be replaced meanwhile: by a node of one release, as
// the program of the other one.
func (c *three) joins(by *served, program string) {
	c.Helper()
	name, data := "beside-"+filepath.Base(by.Data), filepath.Join(c.TempDir(), "data")
	if o := run(c.T, exec.Command(program, "cluster", "join", by.invite(c.T), "--data", data, "--peer", address(c.T), "--name", name)); o.code != 0 {
		c.Errorf("invited by %s: %+v", filepath.Base(by.Data), o)
		return
	}
	by.as(c.T, "admin", "cluster", "remove", name).code0(c.T)
}

// sent checks that a node has its state from another one.
func (c *three) sent(s *served) {
	c.Helper()
	c.steady()
	all, err := filepath.Glob(filepath.Join(s.Data, "raft", "snapshots", "*", "state.bin"))
	if err != nil {
		c.Fatal(err)
	}
	// A snapshot that came from elsewhere has a mark behind the 40 bytes of one's own.
	if !slices.ContainsFunc(all, func(file string) bool { return len(readFile(c.T, file)) == 41 }) {
		c.Errorf("%s was sent no state: %q", filepath.Base(s.Data), all)
	}
}

// audited checks that a bundle of each node has every event, under the keys that
// were pinned when all ran the release before.
func (c *three) audited(policy string) {
	c.Helper()
	head, err := c.branch[c.nodes[0]].Checkpoint(c.Context(), "")
	if err != nil {
		c.Fatal(err)
	}
	has, err := audit.ParseCheckpoint(head)
	if err != nil {
		c.Fatal(err)
	}
	for _, s := range c.nodes {
		bundle := s.Data + ".ekab"
		s.as(c.T, "branch", "audit", "export", "--out", bundle).code0(c.T)
		v := one[verdict](c.T, succeed(c.T, "audit", "verify", bundle, "--trust", policy, "--json"))
		if v.From != 0 || v.To < has.Size || v.Leaves != v.To {
			c.Errorf("the bundle of %s: %+v, the log had %d events", filepath.Base(s.Data), v, has.Size)
		}
	}
}

// forget has the log of a stopped node begin where its state ends, as a snapshot
// and 65,536 entries more would: who lacks earlier ones is sent the state.
func forget(t *testing.T, p crash.Program) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := p.Check(t.Context())
	must(err)
	stored, err := hex.DecodeString(fmt.Sprintf("%016x%s", r.Index, r.Hash))
	must(err)
	dir := filepath.Join(p.Data, "raft", "log")
	log, err := raftlog.Open(raftlog.Config{Dir: dir, Cluster: r.Cluster})
	must(err)
	from, err := log.FirstIndex()
	must(err)
	to, err := log.LastIndex()
	must(err)
	var members raft.Configuration
	var since uint64
	var kept []*raft.Log
	for i := from; i <= to; i++ {
		e := new(raft.Log)
		must(log.GetLog(i, e))
		if e.Type == raft.LogConfiguration && i <= r.Index {
			members, since = raft.DecodeConfiguration(e.Data), i
		}
		if i >= r.Index {
			kept = append(kept, e)
		}
	}
	must(log.Close())
	must(os.RemoveAll(dir))
	log, err = raftlog.Open(raftlog.Config{Dir: dir, Cluster: r.Cluster, Create: true})
	must(err)
	must(log.StoreLogs(kept))
	must(log.Close())
	snapshots, err := raft.NewFileSnapshotStore(filepath.Dir(dir), 1, io.Discard)
	must(err)
	_, none := raft.NewInmemTransport("")
	sink, err := snapshots.Create(1, r.Index, kept[0].Term, members, since, none)
	must(err)
	_, err = sink.Write(stored)
	must(err)
	must(sink.Close())
}
