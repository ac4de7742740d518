package cluster_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/cluster/peer"
)

// A link over which a full batch takes longer than one request may, its size aside,
// keeps no node from catching up.
func TestASlowLink(t *testing.T) {
	t.Parallel()
	const (
		rpc   = time.Second
		of    = 16 << 10 // a command
		many  = 160      // more than two batches of 64
		delay = 40 * time.Millisecond
	)
	c := over(t, hurried{rpc: rpc})
	leader := c.leader(t)
	behind := c.others(leader)[0]
	c.network.link(leader.id, behind.id).gate(peer.Raft, false).slow(delay) // each 16 KiB: a batch takes 2.6 s
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			large := kilobyte()
			large.Events[0].Facts["padding"] = strings.Repeat("x", of)
			if _, err := leader.node.Propose(t.Context(), large); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	written, _ := leader.state.Applied()
	begun := time.Now()
	for end := begun.Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if has, _ := behind.state.Applied(); has >= written {
			break
		} else if time.Now().After(end) {
			t.Fatalf("it holds entry %d of %d", has, written)
		}
	}
	if time.Since(begun) < rpc {
		t.Error("the link was not slow: the test shows nothing")
	}
	c.same(t)
}

// A read waits for the voter that is there, whichever other one has just fallen
// silent: also where that one was being asked for an earlier read.
func TestAReadWaitsForNoSilentVoter(t *testing.T) {
	t.Parallel()
	c := networked(t)
	leader := c.leader(t)
	rest := c.others(leader)
	var longest atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				begun := time.Now()
				if err := leader.node.Read(t.Context()); err != nil {
					t.Error(err)
				}
				if d := int64(time.Since(begun)); d > longest.Load() {
					longest.Store(d)
				}
			}
		})
	}
	for i := range 2 {
		near, far := rest[i%2], rest[1-i%2]
		c.network.link(leader.id, near.id).gate(peer.RPC, false).slow(0)
		c.network.link(leader.id, far.id).gate(peer.RPC, false).slow(20 * time.Millisecond)
		time.Sleep(100 * time.Millisecond)
		c.network.link(leader.id, near.id).gate(peer.RPC, false).shut(0)
		time.Sleep(3 * time.Second)
		c.heal()
	}
	close(stop)
	readers.Wait()
	t.Logf("the longest took %v", time.Duration(longest.Load()))
	if d := time.Duration(longest.Load()); d > time.Second || leader != c.leader(t) {
		t.Errorf("a read took %v", d)
	}
}
