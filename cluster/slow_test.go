package cluster_test

import (
	"strings"
	"sync"
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
