package cluster

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// underWay is since when the disk has been at a write. Of each kind there is one
// at a time: Raft's own goroutine writes log and vote, Run commits. To shorten
// the log is none of them: it may take long, and who writes waits for it.
type underWay struct {
	origin            time.Time
	log, vote, commit atomic.Int64 // nanoseconds after origin; 0: none
	logged            atomic.Int64 // when the log was written last
	replacing         atomic.Bool  // a state that was sent is being put in place
}

func newUnderWay() *underWay { return &underWay{origin: time.Now().Add(-1)} }

// now is never 0.
func (u *underWay) now() int64 { return int64(time.Since(u.origin)) }

func (u *underWay) begin(w *atomic.Int64) { w.Store(u.now()) }

func (u *underWay) end(w *atomic.Int64) {
	w.Store(0)
	if w == &u.log {
		u.logged.Store(u.now())
	}
}

// since the log was written last.
func (u *underWay) since() time.Duration { return time.Duration(u.now() - u.logged.Load()) }

// replace a state, for which a commit waits meanwhile: a large one takes its
// time, so that the commit counts from its end on.
func (u *underWay) replace(do func() error) error {
	u.replacing.Store(true)
	err := do()
	if began := u.commit.Load(); began != 0 {
		u.commit.CompareAndSwap(began, u.now())
	}
	u.replacing.Store(false)
	return err
}

func (u *underWay) longest() (d time.Duration) {
	all := []*atomic.Int64{&u.log, &u.vote, &u.commit}
	if u.replacing.Load() {
		all = all[:2]
	}
	now := u.now()
	for _, w := range all {
		if began := w.Load(); began != 0 {
			d = max(d, time.Duration(now-began))
		}
	}
	return d
}

// Stalled is how long the longest of what the node is writing now has taken: its
// log, its vote or its state; 0 where nothing is being written. A commit of the
// state waits for the entries that are being applied, so that an Apply that
// hangs is seen too. It takes no lock.
func (n *Node) Stalled() time.Duration { return n.writes.longest() }

// Snapshots says whether those on the disk can be listed: a leader that cannot
// has nothing to send to a node that lags (hashicorp/raft issue 522).
func (n *Node) Snapshots() error {
	_, err := n.snapshots.List()
	return err
}

// Due is how many entries the log has since a snapshot became due, and when the
// leader appended the oldest that the log still has; 0: none is due. It may wait
// for the disk.
func (n *Node) Due() (entries uint64, oldest time.Time) {
	s := n.Status()
	if s.Index < s.SnapshotIndex+snapshotAfter {
		return 0, oldest
	}
	first, err := n.store.FirstIndex()
	// The very first entry, which founds a cluster, has no time.
	for i := first; err == nil && oldest.IsZero() && i < first+2; i++ {
		var e raft.Log
		err = n.store.GetLog(i, &e)
		oldest = e.AppendedAt
	}
	return s.Index - s.SnapshotIndex - snapshotAfter + 1, oldest
}
