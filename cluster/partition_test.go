package cluster_test

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/store/command"
)

const (
	// patience of the nodes, and after how long they give up a stream that stalls.
	patience = 2 * time.Second
	stall    = 500 * time.Millisecond
	// answers bounds what is asked of a node that cannot answer.
	answers = 2*patience + 3*time.Second
)

var eventID = regexp.MustCompile(`"id":"(evt_\d+)"`)

// events of the tenant's log, and how often each is there.
func (s *seat) events(t testing.TB) map[string]int {
	t.Helper()
	log, all := s.state.Log("ten_a"), map[string]int{}
	h, err := log.Head()
	must(t, err)
	must(t, log.Scan(t.Context(), 0, h.Size, func(_ int64, leaf []byte) error {
		all[string(eventID.FindSubmatch(leaf)[1])]++
		return nil
	}))
	return all
}

// told is what was answered, by the ids of events.
type told struct {
	mu      sync.Mutex
	acked   []string
	unknown []string
}

// propose once, from a node: the answer's entry, or 0 where the outcome is
// unknown.
func (o *told) propose(t testing.TB, s *seat) uint64 {
	t.Helper()
	c := kilobyte()
	a, err := s.node.Propose(context.Background(), c)
	o.mu.Lock()
	defer o.mu.Unlock()
	id := c.Events[0].Id
	switch {
	case err == nil && a.Refusal == "":
		o.acked = append(o.acked, id)
		return a.Index
	case errors.Is(err, cluster.ErrUnavailable):
		o.unknown = append(o.unknown, id)
	default:
		t.Errorf("%v, %v", a, err)
	}
	return 0
}

// insist until one is answered, for as long as the cluster may take to go on.
func (o *told) insist(t testing.TB, s *seat) (index uint64, took time.Duration) {
	t.Helper()
	started := time.Now()
	for index == 0 {
		if index = o.propose(t, s); index == 0 && time.Since(started) > 20*time.Second {
			t.Fatalf("%s gets no answer", s.id)
		}
	}
	return index, time.Since(started)
}

// check that all nodes have the same state, with each command that was answered
// once in it, and none of the others twice.
func (o *told) check(t testing.TB, c *trio) {
	t.Helper()
	c.same(t)
	for _, s := range c.nodes {
		if s.port == nil {
			continue
		}
		all := s.events(t)
		for _, id := range o.acked {
			if all[id] != 1 {
				t.Errorf("%s has %s, which was answered, %d times", s.id, id, all[id])
			}
		}
		for _, id := range o.unknown {
			if all[id] > 1 {
				t.Errorf("%s has %s %d times", s.id, id, all[id])
			}
		}
	}
}

// unavailable in time: it must neither answer nor hang.
func unavailable(t testing.TB, what string, do func(context.Context) error) {
	t.Helper()
	started := time.Now()
	err := do(context.Background())
	if !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("%s: %v", what, err)
	}
	if took := time.Since(started); took > answers {
		t.Errorf("%s took %v", what, took)
	}
}

func write(s *seat, c *command.Command) func(context.Context) error {
	return func(ctx context.Context) error { _, err := s.node.Propose(ctx, c); return err }
}

// A leader that the others cannot hear, and that hears nothing: they go on, and
// it answers neither reads nor writes.
func TestALeaderThatIsCutOff(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	old := c.leader(t)
	rest := c.others(old)
	for _, s := range c.nodes {
		said.insist(t, s)
	}
	for _, s := range rest {
		c.lose(old, s)
		c.lose(s, old)
	}
	lost, alone := kilobyte(), sync.WaitGroup{}
	alone.Go(func() { unavailable(t, "a write", write(old, lost)) })
	index, took := said.insist(t, rest[0])
	t.Logf("the others went on after %v", took)
	said.insist(t, rest[1])
	alone.Go(func() { unavailable(t, "a read", old.node.Read) })
	alone.Go(func() { unavailable(t, "a later write", write(old, kilobyte())) })
	alone.Wait()
	if i, _ := old.state.Applied(); i >= index {
		t.Errorf("%s holds entry %d and could not have been told of it", old.id, i)
	}
	for _, s := range rest {
		must(t, s.node.Read(t.Context()))
		if s.node.Status().Leader == old.id {
			t.Errorf("%s follows the one that is cut off", s.id)
		}
	}
	c.heal()
	said.insist(t, old)
	said.unknown = append(said.unknown, lost.Events[0].Id)
	said.check(t, c)
}

// What one direction loses, between the leader and both others: the cluster goes
// on, with whoever can lead.
func TestOneWay(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(c *trio, leader, other *seat){
		"nothing comes from the leader":  func(c *trio, leader, other *seat) { c.lose(leader, other) },
		"nothing comes to the leader":    func(c *trio, leader, other *seat) { c.lose(other, leader) },
		"nothing comes between two":      func(c *trio, _, other *seat) { c.lose(other, c.nodes[2]); c.lose(c.nodes[2], other) },
		"one does not hear the leader":   func(c *trio, leader, other *seat) { c.lose(leader, c.others(leader)[0]) },
		"the leader does not hear one":   func(c *trio, leader, other *seat) { c.lose(c.others(leader)[0], leader) },
		"the ways to and fro are slow":   func(c *trio, leader, other *seat) { c.slow(20 * time.Millisecond) },
		"a connection is cut, and again": func(c *trio, leader, other *seat) { c.network.link(leader.id, other.id).cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, said := networked(t), &told{}
			leader := c.leader(t)
			for _, s := range c.others(leader) {
				said.insist(t, s)
				lose(c, leader, s)
			}
			// Somebody leads whom a majority hears.
			started := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			answered, asking := make(chan bool, len(c.nodes)), sync.WaitGroup{}
			for _, s := range c.nodes {
				asking.Go(func() {
					for ctx.Err() == nil {
						if said.propose(t, s) != 0 {
							answered <- true
							return
						}
					}
				})
			}
			select {
			case <-answered:
			case <-time.After(20 * time.Second):
				t.Error("nobody was answered")
			}
			t.Logf("answered after %v", time.Since(started))
			stop()
			c.heal()
			within := time.Now()
			asking.Wait()
			if took := time.Since(within); took > answers {
				t.Errorf("who asked before it healed waited %v", took)
			}
			for _, s := range c.nodes {
				said.insist(t, s)
			}
			said.check(t, c)
		})
	}
}

// slow every way: each piece of a message comes later.
func (c *trio) slow(d time.Duration) {
	for _, a := range c.nodes {
		for _, b := range c.others(a) {
			for _, back := range []bool{false, true} {
				c.network.link(a.id, b.id).gate(peer.Raft, back).slow(d)
				c.network.link(a.id, b.id).gate(peer.RPC, back).slow(d)
			}
		}
	}
}

// A leader that Raft reaches and forwarded commands do not.
func TestForwardingIsCutOff(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	leader := c.leader(t)
	term := leader.node.Status().Term
	for _, s := range c.others(leader) {
		c.network.link(s.id, leader.id).refuse(peer.RPC)
	}
	var both sync.WaitGroup
	for _, s := range c.others(leader) {
		both.Go(func() { unavailable(t, "a write", write(s, kilobyte())) })
		both.Go(func() { unavailable(t, "a read", s.node.Read) })
	}
	both.Go(func() { said.insist(t, leader) })
	both.Wait()
	if s := leader.node.Status(); s.Role != "leader" || s.Term != term {
		t.Errorf("%+v: Raft was not cut off", s)
	}
	c.heal()
	for _, s := range c.nodes {
		said.insist(t, s)
	}
	said.check(t, c)
}

// A member that gets answers and no entries: what it proposed is agreed on, and
// it can neither say so, nor wait for ever.
func TestRaftIsCutOff(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	leader := c.leader(t)
	from := c.others(leader)[0]
	said.insist(t, from)
	c.network.link(leader.id, from.id).gate(peer.Raft, false).shut(0)
	cmd := kilobyte()
	unavailable(t, "a write", write(from, cmd))
	said.insist(t, leader)
	if n := leader.events(t)[cmd.Events[0].Id]; n > 1 {
		t.Errorf("it was applied %d times", n)
	}
	c.heal()
	said.insist(t, from)
	said.check(t, c)
}

// The answer to a forwarded command is lost on the way: the outcome is unknown,
// and the command is not proposed a second time.
func TestALostAnswer(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	leader := c.leader(t)
	from := c.others(leader)[0]
	said.insist(t, from) // a connection is there
	way := c.network.link(from.id, leader.id)
	for range 5 {
		way.gate(peer.RPC, true).shut(0)
		cmd, failed := kilobyte(), make(chan error, 1)
		go func() {
			_, err := from.node.Propose(context.Background(), cmd)
			failed <- err
		}()
		id := cmd.Events[0].Id
		for end := time.Now().Add(answers); leader.events(t)[id] == 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the command did not come")
			}
		}
		way.cut(peer.RPC)
		if err := <-failed; !errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		way.gate(peer.RPC, true).open()
		said.insist(t, from)
		if n := leader.events(t)[id]; n != 1 {
			t.Errorf("it was applied %d times", n)
		}
	}
	said.check(t, c)
}

// A leader that has handed over and hears no more of it, for the time that it
// still believes to lead, reads nothing that is older than what its successor has
// answered.
func TestNoStaleRead(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	stale, led := 0, 0
	for range 4 {
		old := c.leader(t)
		rest := c.others(old)
		for _, s := range rest {
			c.lose(s, old)
		}
		var latest atomic.Uint64
		var all sync.WaitGroup
		ctx, stop := context.WithTimeout(t.Context(), patience)
		all.Go(func() { _ = old.node.Transfer(ctx, rest[0].id) })
		all.Go(func() {
			defer stop()
			for ctx.Err() == nil {
				if !rest[0].node.Leading() {
					continue
				}
				for range 20 {
					latest.Store(said.propose(t, rest[0]))
					if old.node.Leading() {
						led++ // two of them do
					}
				}
				return
			}
		})
		for ctx.Err() == nil {
			before := latest.Load()
			if old.node.Read(ctx) != nil {
				continue
			}
			if i, _ := old.state.Applied(); i < before {
				stale++
			}
		}
		all.Wait()
		c.heal()
	}
	if stale > 0 || led == 0 {
		t.Errorf("%d reads were stale; two led at %d writes", stale, led)
	}
	said.check(t, c)
}
