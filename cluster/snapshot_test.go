package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/state"
)

// cut lets the log forget all but a few entries, as it does by itself later.
func (n *inside) cut(t *testing.T) {
	t.Helper()
	c := n.raft.ReloadableConfig()
	c.TrailingLogs = 5
	ok(t, n.raft.ReloadConfig(c))
	ok(t, n.raft.Snapshot().Error())
	if first, err := n.store.FirstIndex(); err != nil || first < 50 {
		t.Fatalf("the log begins at %d, %v", first, err)
	}
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	early := n.reopen(t)
	for range 100 {
		n.propose(t, event("node.start"))
	}
	n.cut(t)
	end, snapshotHash := n.state.Applied()
	if got := n.Status().SnapshotIndex; got < end || got > n.Status().Index {
		t.Errorf("the snapshot ends at %d, the state at %d", got, end)
	}
	atSnapshot := copyOf(t, n.dir) // the state is committed, its file as it is on the disk
	for range 20 {
		n.propose(t, event("node.start"))
	}
	index, hash := n.state.Applied()
	// A crash: the state on disk is the snapshot's, the log has the rest.
	crashed := copyOf(t, n.dir)
	ok(t, n.Close())
	ok(t, n.state.Close())

	for name, dir := range map[string]string{"after a crash": crashed, "after closing": copyOf(t, n.dir)} {
		again, err := enter(t, dir, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i, h := again.state.Applied(); i != index || h != hash {
			t.Errorf("%s: at %d, want %d", name, i, index)
		}
		again.propose(t, event("node.start"))
		if found, err := again.state.Check(t.Context(), nil, nil); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
		ok(t, again.Close())
	}

	// What does not belong together.
	stateFile := func(from string) func(string) {
		return func(dir string) {
			b, err := os.ReadFile(filepath.Join(from, "state.db"))
			ok(t, err)
			ok(t, os.WriteFile(filepath.Join(dir, "state.db"), b, 0o600))
		}
	}
	for _, c := range []struct {
		name   string
		base   string
		damage func(dir string)
		found  bool
		says   string
	}{
		{"state older than the snapshot", n.dir, stateFile(early), false, "the log begins after"},
		{"state lost", n.dir, func(dir string) {
			ok(t, os.Remove(filepath.Join(dir, "state.db")))
			s, err := state.Open(filepath.Join(dir, "state.db"), true)
			ok(t, err)
			ok(t, s.Close())
		}, false, "the log begins after"},
		{"log lost", atSnapshot, func(dir string) { ok(t, os.RemoveAll(filepath.Join(dir, "raft", "log"))) }, true, "the log ends at entry 0"},
		{"snapshot damaged", n.dir, func(dir string) {
			names, err := filepath.Glob(filepath.Join(dir, "raft", "snapshots", "*", "state.bin"))
			ok(t, err)
			for _, name := range names {
				ok(t, os.WriteFile(name, []byte("short"), 0o600))
			}
		}, false, ""},
		{"a state of another history", atSnapshot, stateFile(another(t, end)), false, "the state is not what it was"},
	} {
		dir := copyOf(t, c.base)
		c.damage(dir)
		if again, err := enter(t, dir, c.found); !errors.Is(err, ErrHistory) && !(c.says == "" && err != nil) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
			if err == nil {
				ok(t, again.Close())
			}
		}
	}
	if snapshotHash == hash {
		t.Error("the state did not change")
	}
}

// reopen closes and opens the node, and gives a copy of what it was between.
func (n *inside) reopen(t *testing.T) string {
	t.Helper()
	ok(t, n.Close())
	ok(t, n.state.Close())
	copied := copyOf(t, n.dir)
	again, err := enter(t, n.dir, false)
	ok(t, err)
	*n = *again
	return copied
}

// another history, that ends at the same entry.
func another(t *testing.T, end uint64) string {
	t.Helper()
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	// An election takes an entry of the log, too.
	for index := uint64(0); index < end; {
		index = n.propose(t, event("node.stop")).Index
	}
	if index, _ := n.state.Applied(); index != end {
		t.Fatalf("at %d, want %d", index, end)
	}
	ok(t, n.Close())
	ok(t, n.state.Close())
	return n.dir
}
