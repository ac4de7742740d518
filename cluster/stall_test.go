package cluster

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/store/state"
)

// hanging is a store whose writes do not return while it is shut.
type hanging struct {
	store
	mu   sync.Mutex
	open chan struct{}
}

// shut it, until the answer is called.
func (h *hanging) shut() (open func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gate := make(chan struct{})
	h.open = gate
	return sync.OnceFunc(func() { close(gate) })
}

func (h *hanging) wait() {
	h.mu.Lock()
	gate := h.open
	h.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

func (h *hanging) StoreLogs(es []*raft.Log) error     { h.wait(); return h.store.StoreLogs(es) }
func (h *hanging) Set(k, v []byte) error              { h.wait(); return h.store.Set(k, v) }
func (h *hanging) SetUint64(k []byte, v uint64) error { h.wait(); return h.store.SetUint64(k, v) }

// overHanging is a node that was founded, opened again over a store that hangs
// when told. It is not started.
func overHanging(t *testing.T) (*inside, *hanging) {
	t.Helper()
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	ok(t, n.Close())
	ok(t, n.state.Close())
	s, err := state.Open(filepath.Join(n.dir, "state.db"), false)
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	c := config(n.dir, s)
	opened, err := openFiles(c, Again)
	ok(t, err)
	h := &hanging{store: opened}
	return &inside{newNode(c, h), n.dir, s}, h
}

// stalls waits until something has been under way for so long.
func (n *inside) stalls(t *testing.T, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); n.Stalled() < d; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("stalled for %v, want %v", n.Stalled(), d)
		}
	}
}

// flows waits until nothing has been under way for long.
func (n *inside) flows(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); n.Stalled() > 50*time.Millisecond; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has been stalled for %v", n.Stalled())
		}
	}
}

func TestALogThatHangsIsSeen(t *testing.T) {
	t.Parallel()
	n, disk := overHanging(t)
	_, err := n.open(t.Context(), Again)
	ok(t, err)
	n.flows(t)
	open := disk.shut()
	t.Cleanup(open)
	answered := make(chan error, 1)
	go func() {
		_, err := n.Propose(context.Background(), event("node.start"))
		answered <- err
	}()
	n.stalls(t, 200*time.Millisecond)
	if !n.Leading() {
		t.Error("it leads no more: nobody else could have told it")
	}
	open()
	ok(t, <-answered)
	n.flows(t)
	ok(t, n.Close())
}

func TestAVoteThatHangsIsSeen(t *testing.T) {
	t.Parallel()
	n, disk := overHanging(t)
	open := disk.shut()
	t.Cleanup(open)
	opened := make(chan error, 1)
	go func() {
		_, err := n.open(context.Background(), Again)
		opened <- err
	}()
	n.stalls(t, 200*time.Millisecond)
	open()
	ok(t, <-opened)
	n.flows(t)
	ok(t, n.Close())
}

func TestACommitThatHangsIsSeen(t *testing.T) {
	t.Parallel()
	n, _ := overHanging(t)
	_, err := n.open(t.Context(), Again)
	ok(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	hold := make(chan struct{})
	viewed := make(chan error, 1)
	go func() { viewed <- n.state.View(func(*state.View) error { <-hold; return nil }) }()
	n.stalls(t, 200*time.Millisecond)
	close(hold)
	ok(t, <-viewed)
	n.flows(t)
	stop()
	ok(t, <-ran)
	ok(t, n.Close())
}

// A state that was sent is put in place for as long as that takes: here, until
// whoever reads the old one has ended.
func TestAStateThatIsReplacedIsNoStall(t *testing.T) {
	t.Parallel()
	n, _ := overHanging(t)
	_, err := n.open(t.Context(), Again)
	ok(t, err)
	n.propose(t, event("node.start"))
	c, err := n.state.Copy()
	ok(t, err)
	f, err := os.Create(next(n.state))
	ok(t, err)
	_, err = c.WriteTo(f)
	ok(t, err)
	ok(t, f.Close())
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	restored := make(chan error, 1)
	go func() { restored <- n.fsm.Restore(io.NopCloser(bytes.NewReader(nil))) }()
	for !n.writes.replacing.Load() {
		time.Sleep(time.Millisecond)
	}
	held := time.Now()
	for time.Since(held) < time.Second {
		if got := n.Stalled(); got > 700*time.Millisecond {
			t.Fatalf("stalled for %v", got)
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-restored:
		t.Fatalf("nothing held it up: %v", err)
	default:
	}
	ok(t, c.Close())
	for done := false; !done; {
		select {
		case err := <-restored:
			ok(t, err)
			done = true
		default:
		}
		if got := n.Stalled(); got > 700*time.Millisecond {
			t.Fatalf("when it ended, stalled for %v", got)
		}
	}
	stop()
	ok(t, <-ran)
	ok(t, n.Close())
}

func TestSnapshotsThatCannotBeListed(t *testing.T) {
	t.Parallel()
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	ok(t, n.Snapshots())
	ok(t, os.Rename(filepath.Join(n.dir, "raft", "snapshots"), filepath.Join(n.dir, "raft", "gone")))
	if err := n.Snapshots(); err == nil {
		t.Error("what is not there was listed")
	}
	ok(t, n.Close())
}

// A snapshot that cannot be taken stays due until it can.
func TestASnapshotThatIsDue(t *testing.T) {
	t.Parallel()
	begun := time.Now().Add(-time.Second) // the log keeps the wall clock's time
	n, err := enter(t, t.TempDir(), true)
	ok(t, err)
	n.found(t)
	folder, gone := filepath.Join(n.dir, "raft", "snapshots"), filepath.Join(n.dir, "raft", "gone")
	ok(t, os.Rename(folder, gone))
	ok(t, os.WriteFile(folder, nil, 0o600)) // else Raft would make it anew
	if entries, _ := n.Due(); entries != 0 {
		t.Errorf("of a new log %d", entries)
	}
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range snapshotAfter / 64 {
				if _, err := n.Propose(t.Context(), event("node.start")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := n.raft.Snapshot().Error(); err == nil {
		t.Error("a snapshot without a folder")
	}
	entries, oldest := n.Due()
	if entries == 0 || entries > 100 || oldest.Before(begun) || oldest.After(time.Now().Add(time.Second)) {
		t.Errorf("%d entries, the oldest of %v", entries, oldest)
	}
	ok(t, os.Remove(folder))
	ok(t, os.Rename(gone, folder))
	ok(t, n.raft.Snapshot().Error())
	if entries, _ := n.Due(); entries != 0 {
		t.Errorf("after a snapshot %d", entries)
	}
	ok(t, n.Close())
}
