package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// These tests are inside the package to put a failing disk under a node, to
// write what Propose would not, and to have snapshots before their time.

var errDisk = errors.New("input/output error")

// failing is a store whose writes fail from one on, as after a first fsync
// error nobody may try again.
type failing struct {
	store
	after   atomic.Int64 // writes that succeed
	writes  atomic.Int64
	refused atomic.Int64 // writes tried after the one that failed
}

func (f *failing) write(do func() error) error {
	switch n := f.writes.Add(1); {
	case n < f.after.Load():
		return do()
	case n > f.after.Load():
		f.refused.Add(1)
	}
	return errDisk
}

func (f *failing) StoreLogs(es []*raft.Log) error {
	return f.write(func() error { return f.store.StoreLogs(es) })
}
func (f *failing) StoreLog(e *raft.Log) error { return f.StoreLogs([]*raft.Log{e}) }
func (f *failing) SetUint64(k []byte, v uint64) error {
	return f.write(func() error { return f.store.SetUint64(k, v) })
}
func (f *failing) Set(k, v []byte) error { return f.write(func() error { return f.store.Set(k, v) }) }

type inside struct {
	*Node
	dir   string
	state *state.State
}

func enter(t *testing.T, dir string, found bool) (*inside, error) {
	t.Helper()
	s, err := state.Open(filepath.Join(dir, "state.db"), found)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	n, err := Open(t.Context(), config(dir, s), begin(found))
	return &inside{n, dir, s}, err
}

func begin(found bool) Start {
	if found {
		return Found
	}
	return Again
}

func config(dir string, s *state.State) Config {
	return Config{Cluster: "clu_a", Dir: filepath.Join(dir, "raft"), ID: "nod_a", State: s, Log: slog.New(slog.DiscardHandler), heartbeat: quick}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var serial atomic.Int64

func event(action string) *command.Command {
	n := serial.Add(1)
	return &command.Command{Version: 1, Type: command.Type_RECORD, Id: fmt.Sprint("cmd_", n), ProposedAtNs: n, Proposer: "nod_a", Actor: &command.Actor{Type: "node"},
		Events: []*command.Event{{Id: fmt.Sprint("evt_", n), Action: action, Result: "ok"}}}
}

func (n *inside) found(t *testing.T) {
	t.Helper()
	c, err := command.New(command.Type_FOUND, &command.Found{Cluster: "clu_a"})
	ok(t, err)
	e := event("cluster.found")
	e.Type, e.Payload = c.Type, c.Payload
	n.propose(t, e)
}

func (n *inside) propose(t *testing.T, c *command.Command) *command.Answer {
	t.Helper()
	a, err := n.Propose(t.Context(), c)
	if err != nil || a.Refusal != "" {
		t.Fatalf("%v, %v", a, err)
	}
	return a
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	ok(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func TestAFailingDiskStopsTheNode(t *testing.T) {
	for _, after := range []int64{1, 2, 7, 40} {
		t.Run(fmt.Sprint("write ", after), func(t *testing.T) {
			t.Parallel()
			n, err := enter(t, t.TempDir(), true)
			ok(t, err)
			n.found(t)
			ok(t, n.Close())

			// As Open does, over a disk that will fail.
			n, disk := n.over(t)
			_, err = n.open(t.Context(), Again)
			ok(t, err)
			disk.after.Store(disk.writes.Load() + after)
			ran := make(chan error, 1)
			go func() { ran <- n.Run(t.Context()) }()
			var all sync.WaitGroup
			var acked atomic.Uint64
			for range 8 {
				all.Go(func() {
					for {
						a, err := n.Propose(context.Background(), event("node.start"))
						if err != nil {
							if !errors.Is(err, ErrUnavailable) {
								t.Error(err)
							}
							return
						}
						for seen := acked.Load(); a.Index > seen && !acked.CompareAndSwap(seen, a.Index); seen = acked.Load() {
						}
					}
				})
			}
			all.Wait() // nobody waits for ever
			if err := <-ran; !errors.Is(err, ErrDisk) || !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "writing the log") {
				t.Errorf("%v", err)
			}
			if got := disk.refused.Load(); got != 0 {
				t.Errorf("%d writes after the one that failed", got)
			}
			if err := n.Read(context.Background()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v", err)
			}
			applied, hash := n.state.Applied()
			started := time.Now()
			ok(t, n.Close())
			if took := time.Since(started); took > shutdownTimeout/2 {
				t.Errorf("closing took %v", took)
			}
			if applied < acked.Load() {
				t.Errorf("applied %d, answered %d", applied, acked.Load())
			}
			ok(t, n.state.Close())

			n, err = enter(t, copyOf(t, n.dir), false)
			ok(t, err)
			// What was in the log and not yet applied comes after it.
			if i, h := n.state.Applied(); i < applied || i == applied && h != hash {
				t.Errorf("opened at %d, was %d", i, applied)
			}
			ok(t, n.Close())
		})
	}
}

// over opens the node's files again, with a disk between that fails when told.
func (n *inside) over(t *testing.T) (*inside, *failing) {
	t.Helper()
	ok(t, n.state.Close())
	s, err := state.Open(filepath.Join(n.dir, "state.db"), false)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	c := config(n.dir, s)
	opened, err := openFiles(c, Again)
	ok(t, err)
	disk := &failing{store: opened}
	disk.after.Store(1 << 60)
	return &inside{newNode(c, disk), n.dir, s}, disk
}

func TestADiskThatFailsAtTheStart(t *testing.T) {
	for after := range int64(5) {
		t.Run(fmt.Sprint("write ", after+1), func(t *testing.T) {
			t.Parallel()
			failsAtTheStart(t, after+1)
		})
	}
}

func failsAtTheStart(t *testing.T, after int64) {
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	ok(t, n.Close())
	n, disk := n.over(t)
	disk.after.Store(after) // the term, the vote of the election, the first entry
	if _, err := n.open(t.Context(), Again); !errors.Is(err, ErrDisk) {
		t.Errorf("%v", err)
	}
}

func TestAnEntryThatIsNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		data func(t *testing.T) []byte
		want error
	}{
		"unknown type": {func(t *testing.T) []byte {
			c := event("node.start")
			c.Type = 999
			b, err := command.Encode(c)
			ok(t, err)
			return b
		}, command.ErrUnknown},
		"garbage": {func(*testing.T) []byte { return []byte("\xff\xff") }, command.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := enter(t, t.TempDir(), true)
			ok(t, err)
			n.found(t)
			ran := make(chan error, 1)
			go func() { ran <- n.Run(t.Context()) }()
			last := n.propose(t, event("node.start"))
			n.raft.Apply(c.data(t), 0)
			if err := <-ran; !errors.Is(err, c.want) || errors.Is(err, ErrDisk) {
				t.Errorf("%v", err)
			}
			if _, err := n.Propose(context.Background(), event("node.start")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v", err)
			}
			_ = n.Close()
			_ = n.state.Close()
			if index, _ := n.state.Applied(); index != last.Index {
				t.Errorf("applied %d, want %d", index, last.Index)
			}
			// It is in the log: the next start stops there again, at once.
			started := time.Now()
			again, err := enter(t, copyOf(t, n.dir), false)
			if !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if took := time.Since(started); took > shutdownTimeout/2 {
				t.Errorf("it took %v", took)
			}
			if index, _ := again.state.Applied(); index != last.Index {
				t.Errorf("applied %d, want %d", index, last.Index)
			}
		})
	}
}
