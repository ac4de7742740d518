package member_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/member"
	"gatehouse/appliance/problem"
	"gatehouse/cluster"
)

// stable is how long a node must have kept up before it votes.
const stable = 10 * time.Second

// The number of voters is odd: of two nodes one votes, of three all.
func TestAnOddNumberVotes(t *testing.T) {
	t.Parallel()
	h := founded(t)
	a := h.nodes[0]
	joined := time.Now()
	h.join(t, "b", "")
	time.Sleep(4 * time.Second)
	h.join(t, "c", "")
	for time.Since(joined) < stable+3*time.Second { // b has been stable since ten
		if v := a.voters(t); len(v) != 1 {
			t.Fatalf("%v vote after %v", v, time.Since(joined))
		}
		time.Sleep(50 * time.Millisecond)
	}
	eventually(t, soon, "all three vote", func() bool { return len(a.voters(t)) == 3 })
	if _, err := a.Finalise(t.Context(), access.Caller{}); err != nil {
		t.Error(err)
	}
}

// While a voter is away nobody else gets a vote.
func TestNoVoteWhileOneIsAway(t *testing.T) {
	t.Parallel()
	h := three(t)
	away := h.others(t)[0]
	away.stop()
	joined := time.Now()
	h.join(t, "d", "")
	h.join(t, "e", "")
	eventually(t, soon, "the leader sees it", func() bool { return !h.lead(t).Up(away.id) })
	for time.Since(joined) < stable+3*time.Second {
		if v := h.lead(t).voters(t); len(v) != 3 {
			t.Fatalf("%v vote after %v", v, time.Since(joined))
		}
		time.Sleep(50 * time.Millisecond)
	}
	away.open(t, cluster.Again)
	away.run()
	eventually(t, soon, "five vote", func() bool { return len(h.lead(t).voters(t)) == 5 })
}

// A node takes the place of one that will not come back: it gets that one's vote
// while that one is away.
func TestReplace(t *testing.T) {
	t.Parallel()
	h := three(t)
	lost := h.others(t)[0]
	lost.stop()
	eventually(t, soon, "the leader sees it", func() bool { return !h.lead(t).Up(lost.id) })
	if _, err := h.lead(t).Invite(t.Context(), access.Caller{}, "nobody"); !errors.Is(err, problem.New(problem.NotFound, "")) {
		t.Errorf("a node takes the place of nobody: %v", err)
	}
	d := h.join(t, "d", lost.name) // by its name
	eventually(t, stable+soon, "the new one votes, the lost one is gone", func() bool {
		leader := h.lead(t)
		v := leader.voters(t)
		return len(v) == 3 && slices.Contains(v, d.id) && !slices.Contains(h.servers(t), lost.id)
	})
	if err := h.lead(t).Directory.Admit(lost.id, [32]byte{}); err == nil {
		t.Error("the lost one is let in")
	}
	if o := h.lead(t).overview(t); len(o.Members) != 3 || !o.Quorum {
		t.Errorf("%+v", o)
	}
}

// A leader that gave the new node its vote and came no further leaves the rest to the
// next.
func TestReplaceGoesOn(t *testing.T) {
	t.Parallel()
	h := three(t)
	lost := h.others(t)[0]
	lost.stop()
	eventually(t, soon, "the leader sees it", func() bool { return !h.lead(t).Up(lost.id) })
	d := h.join(t, "d", lost.name)
	eventually(t, soon, "it has a vote", func() bool { return h.lead(t).raft.Promote(t.Context(), d.id) == nil })
	eventually(t, soon, "the lost one is gone", func() bool { return !slices.Contains(h.servers(t), lost.id) })
	if v := h.lead(t).voters(t); len(v) != 3 || !slices.Contains(v, d.id) {
		t.Errorf("%v vote", v)
	}
}

// A node that was away while another took a third one's place, and came to lead, hears
// of that one from those that it knows; before, it would have refused it.
func TestAwayWhileAnotherCameToLead(t *testing.T) {
	t.Parallel()
	h := three(t)
	leader, others := h.lead(t), h.others(t)
	away, replaced := others[0], others[1]
	away.stop()
	eventually(t, soon, "the leader sees it", func() bool { return !leader.Up(away.id) })
	d := h.join(t, "d", replaced.name)
	eventually(t, stable+soon, "the new one leads", func() bool {
		if !slices.Contains(leader.voters(t), d.id) || slices.Contains(leader.voters(t), replaced.id) {
			return false
		}
		if !d.raft.Leading() {
			_ = leader.raft.Transfer(t.Context(), d.id)
		}
		return d.raft.Leading()
	})
	replaced.stop()
	time.Sleep(11 * time.Second) // for as long the earlier leader may still try to reach it, and tell it of the new one
	away.open(t, cluster.Again)
	away.run()
	eventually(t, soon, "it follows the new one", func() bool {
		return away.raft.Status().Leader == d.id && d.Up(away.id) && away.Directory.Name(d.id) == "d"
	})
	must(t, away.raft.Ready(t.Context()))
}

// A leader that is removed hands over first, and learns that it is no member.
func TestRemoveTheLeader(t *testing.T) {
	t.Parallel()
	h := three(t)
	leader := h.lead(t)
	by := h.others(t)[0]
	must(t, by.Remove(t.Context(), access.Caller{}, leader.id))
	eventually(t, soon, "another one leads, without it", func() bool {
		now, err := by.raft.Servers()
		must(t, err)
		return by.raft.Status().Leader != leader.id && by.raft.Status().Leader != "" && !slices.Contains(now, cluster.Server{ID: leader.id, Voter: true}) && len(now) == 2
	})
	must(t, by.raft.Ready(t.Context()))
	if err := leader.Present(); !errors.Is(err, member.ErrRemoved) {
		t.Errorf("the removed one: %v", err)
	}
	if err := leader.Announce(t.Context()); !errors.Is(err, member.ErrRemoved) {
		t.Errorf("the removed one: %v", err)
	}
	// Of the two that are left one may be removed, and then no other.
	last := h.nodes[slices.IndexFunc(h.nodes, func(n *node) bool { return n != by && n != leader })]
	must(t, by.Remove(t.Context(), access.Caller{}, last.id))
	eventually(t, soon, "one is left", func() bool { return len(by.overview(t).Members) == 1 })
	if err := by.Remove(t.Context(), access.Caller{}, by.id); err == nil {
		t.Error("the last one was removed")
	}
}

// Without a majority nobody is removed.
func TestRemoveNeedsAMajority(t *testing.T) {
	t.Parallel()
	h := three(t)
	others := h.others(t)
	others[0].stop()
	leader := h.lead(t)
	eventually(t, soon, "the leader sees it", func() bool { return !leader.Up(others[0].id) })
	if err := leader.Remove(t.Context(), access.Caller{}, others[1].id); !errors.Is(err, problem.New(problem.ClusterState, "")) {
		t.Errorf("one of two that answer was removed: %v", err)
	}
	if err := leader.Remove(t.Context(), access.Caller{}, others[0].id); err != nil {
		t.Errorf("the one that is away: %v", err)
	}
}
