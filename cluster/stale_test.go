package cluster_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/cluster/peer"
)

// What the others answered before they followed a new leader, and what comes to
// the old one after a read has begun there, does not make that read.
func TestAnAnswerThatIsLate(t *testing.T) {
	t.Parallel()
	c, said := networked(t), &told{}
	tried := 0
	for range 6 { // not each time do two lead
		if tried == 2 {
			break
		}
		old := c.leader(t)
		rest := c.others(old)
		said.insist(t, old)
		c.lose(rest[1], old)
		time.Sleep(120 * time.Millisecond) // a heartbeat is answered, and the answer held back
		c.lose(rest[0], old)
		ctx, stop := context.WithTimeout(t.Context(), patience)
		go func() { _ = old.node.Transfer(ctx, rest[0].id) }()
		for !rest[0].node.Leading() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		index := said.propose(t, rest[0])
		if old.node.Leading() && index > 0 {
			tried++
			read := make(chan error, 1)
			go func() { read <- old.node.Read(ctx) }()
			time.Sleep(20 * time.Millisecond)
			c.network.link(old.id, rest[1].id).gate(peer.Raft, true).open()
			err := <-read
			if i, _ := old.state.Applied(); err == nil && i < index {
				t.Errorf("read entry %d when %d was answered", i, index)
			}
		}
		stop()
		c.heal()
	}
	t.Logf("two led %d times", tried)
	said.check(t, c)
}
