package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/cluster"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// gone is a node that does not run.
func (c *trio) gone(t *testing.T, s *seat) {
	t.Helper()
	s.crash(t)
	s.port = nil
}

// stopped opens the state of a node that does not run, for do.
func (s *seat) stopped(t *testing.T, do func(cluster.Config)) {
	t.Helper()
	st, err := state.Open(filepath.Join(s.dir, "state.db"), false)
	must(t, err)
	defer st.Close()
	do(cluster.Config{Cluster: "clu_a", Dir: filepath.Join(s.dir, "raft"), ID: s.id, State: st, Log: slog.New(slog.DiscardHandler)})
}

func (s *seat) history(t *testing.T) (h cluster.History) {
	t.Helper()
	s.stopped(t, func(c cluster.Config) {
		var err error
		h, err = cluster.ReadHistory(c)
		must(t, err)
	})
	return h
}

func startEpoch(epoch uint64) func(*state.State) ([]*command.Command, error) {
	return func(*state.State) ([]*command.Command, error) {
		return []*command.Command{commandOf(command.Type_START_EPOCH, &command.StartEpoch{Epoch: epoch, Reason: "quorum_lost"}, "cluster.recover")}, nil
	}
}

func (s *seat) recover(t *testing.T, first bool, voters ...string) {
	t.Helper()
	s.stopped(t, func(c cluster.Config) {
		r := cluster.Recovery{Voters: voters, Keep: filepath.Join(s.dir, "kept")}
		must(t, os.Mkdir(r.Keep, 0o700))
		if first {
			r.Commands = startEpoch(2)
		}
		must(t, cluster.Recover(c, r))
	})
}

// open writes an entry to one node's log that nobody agrees on, while it is alone.
func (s *seat) openEntry(t *testing.T) *command.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	c := kilobyte()
	if _, err := s.node.Propose(ctx, c); err == nil {
		t.Fatal("a node alone has agreed with itself")
	}
	return c
}

// epochs that a node has begun, and how many events its tenant's logs have.
func (s *seat) counted(t *testing.T) (epoch uint64, events int64) {
	t.Helper()
	must(t, s.state.View(func(v *state.View) error {
		epoch = v.Epoch()
		logs, err := v.EveryLog()
		for _, name := range logs {
			if err == nil {
				var h state.LogHead
				h, err = v.Head(name)
				events += h.Size
			}
		}
		return err
	}))
	return epoch, events
}

// The survivors of a lost majority go on together: the one with the newest entries
// keeps them all, another's that nobody agreed on are dropped, and what follows is
// a new epoch.
func TestRecover(t *testing.T) {
	t.Parallel()
	t.Run("the newest has an open entry", func(t *testing.T) {
		t.Parallel()
		c := three(t)
		first := c.leader(t)
		c.propose(t, first)
		var other *seat
		for _, s := range c.nodes {
			if s != first {
				other = s
				c.gone(t, s)
			}
		}
		_, before := first.counted(t)
		first.openEntry(t)
		c.gone(t, first)
		h, o := first.history(t), other.history(t)
		if !h.Newer(o) || o.Newer(h) || h.Index == h.Applied {
			t.Fatalf("%+v, the other %+v", h, o)
		}
		first.recover(t, true, first.id, other.id)
		other.recover(t, false, first.id, other.id)
		for _, s := range []*seat{first, other} {
			c.open(t, s, cluster.Again)
			if _, err := os.Stat(filepath.Join(s.dir, "kept", "raft", "log")); err != nil {
				t.Error(err)
			}
		}
		if l := c.leader(t); l != first {
			t.Errorf("%s leads", l.id)
		}
		c.propose(t, other)
		c.same(t)
		// The open one, that which starts the epoch with what it notes for two logs,
		// and one more.
		if epoch, n := other.counted(t); epoch != 2 || n != before+1+3+1 {
			t.Errorf("epoch %d, %d events after %d", epoch, n, before)
		}
	})
	t.Run("another has an open entry", func(t *testing.T) {
		t.Parallel()
		c := three(t)
		old := c.leader(t)
		c.propose(t, old)
		var rest []*seat
		for _, s := range c.nodes {
			if s != old {
				rest = append(rest, s)
				c.gone(t, s)
			}
		}
		old.openEntry(t)
		c.gone(t, old)
		for _, s := range rest {
			c.open(t, s, cluster.Again)
		}
		first := c.leader(t)
		c.propose(t, first)
		_, before := first.counted(t)
		for _, s := range rest {
			c.gone(t, s)
		}
		if !first.history(t).Newer(old.history(t)) {
			t.Fatalf("%+v, the old one %+v", first.history(t), old.history(t))
		}
		first.recover(t, true, first.id, old.id)
		old.recover(t, false, first.id, old.id)
		if h := old.history(t); h.Index != h.Applied {
			t.Errorf("an open entry is left: %+v", h)
		}
		c.open(t, old, cluster.Again)
		c.open(t, first, cluster.Again)
		c.propose(t, old)
		c.same(t)
		if epoch, n := old.counted(t); epoch != 2 || n != before+3+1 {
			t.Errorf("epoch %d, %d events after %d", epoch, n, before)
		}
	})
}

// A recovery that fails leaves the node as it was: the cluster that was not lost
// after all goes on, and none of its nodes is another than the others.
func TestRecoverThatFails(t *testing.T) {
	t.Parallel()
	c := three(t)
	one := c.leader(t)
	for _, s := range c.nodes {
		if s != one {
			c.gone(t, s)
		}
	}
	one.openEntry(t)
	c.gone(t, one)
	before := one.history(t)
	if len(before.Voters) != 3 {
		t.Errorf("voters %v", before.Voters)
	}
	broken := errors.New("no key-ring")
	for _, commands := range []func(*state.State) ([]*command.Command, error){
		func(*state.State) ([]*command.Command, error) { return nil, broken },
		startEpoch(7), // refused
	} {
		one.stopped(t, func(config cluster.Config) {
			keep := t.TempDir()
			err := cluster.Recover(config, cluster.Recovery{Voters: []string{one.id}, Keep: keep, Commands: commands})
			if !errors.Is(err, broken) && !errors.Is(err, cluster.ErrHistory) {
				t.Fatalf("%v", err)
			}
		})
		if now := one.history(t); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("%+v, it was %+v", now, before)
		}
	}
	left, err := filepath.Glob(filepath.Join(one.dir, "*.*"))
	must(t, err)
	for _, path := range left {
		if filepath.Base(path) != "state.db" {
			t.Errorf("left behind: %s", path)
		}
	}
	for _, s := range c.nodes {
		if s != one {
			c.open(t, s, cluster.Again)
		}
	}
	c.propose(t, c.leader(t))
	c.open(t, one, cluster.Again)
	c.propose(t, c.leader(t))
	c.same(t)
}

// A recovery that a crash has cut off between its two renames is finished by the
// next one; a node is not started without its log.
func TestRecoverThatWasCutOff(t *testing.T) {
	t.Parallel()
	c := three(t)
	one := c.nodes[0]
	for _, s := range c.nodes {
		c.gone(t, s)
	}
	one.recover(t, true, one.id)
	dir := filepath.Join(one.dir, "raft")
	must(t, os.Rename(dir, dir+".recovered")) // as it was between
	one.stopped(t, func(config cluster.Config) {
		if _, err := cluster.Open(t.Context(), config, cluster.Again); !errors.Is(err, cluster.ErrHistory) {
			t.Errorf("a node without a log: %v", err)
		}
		if _, err := cluster.ReadHistory(config); !errors.Is(err, cluster.ErrRecovered) {
			t.Errorf("a recovery that was cut off: %v", err)
		}
	})
	c.open(t, one, cluster.Again)
	c.propose(t, one)
	if epoch, _ := one.counted(t); epoch != 2 {
		t.Errorf("epoch %d", epoch)
	}
}
