package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// By itself Raft looks at random times whether it has heard of the leader lately: a
// leader that was killed is missed for 1.1 s in the mean, and where two nodes look
// at once none is elected, and both wait anew. Here they look in turn: the first of
// those that vote, by their ids, after a heartbeat's time, which has it forget the
// leader; each other a turn after the one before, until there are enough to elect it:
// the second of three.
const (
	// turn is longer than two followers hear of the leader apart, 100 ms at most, as
	// Raft sends heartbeats every tenth to fifth of their time; and less than the
	// election has over the heartbeat, or the first would have none.
	turn = 200 * time.Millisecond
	// lookOut so often each looks: a tenth of a turn.
	lookOut = turn / 10
	// electionMost is the longest that an election may take, before another, once
	// shorter ones have failed: term and vote are eight syncs, one after the other,
	// which a busy disk does not do in the usual time.
	electionMost = 2 * time.Second
)

// campaign until ctx ends.
func (n *Node) campaign(ctx context.Context) error {
	tick := time.NewTicker(lookOut)
	defer tick.Stop()
	var alone time.Time // since when no leader is known
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		late, err := n.late()
		if err != nil {
			return err
		}
		c := n.raft.ReloadableConfig()
		patience, again := n.config.heartbeat+late, election-turn+late
		address, _ := n.raft.LeaderWithID()
		switch {
		case address != "":
			alone = time.Time{}
		case alone.IsZero():
			alone = time.Now()
		default:
			for again < min(time.Since(alone)/2, electionMost) {
				again *= 2
			}
		}
		if address != "" && n.raft.State() == raft.Follower && time.Since(n.raft.LastContact()) >= patience {
			// Raft looks at once where its patience becomes shorter.
			c.HeartbeatTimeout, c.ElectionTimeout = patience+1, again
			if err := n.raft.ReloadConfig(c); err != nil {
				return err
			}
		}
		if c.HeartbeatTimeout == patience && c.ElectionTimeout == again {
			continue
		}
		c.HeartbeatTimeout, c.ElectionTimeout = patience, again
		if err := n.raft.ReloadConfig(c); err != nil {
			return err
		}
	}
}

// late is how long this node leaves to others to look first.
func (n *Node) late() (time.Duration, error) {
	all, err := n.Servers()
	if err != nil {
		return 0, err
	}
	_, leader := n.raft.LeaderWithID()
	if string(leader) == n.config.ID {
		return 0, nil
	}
	var late time.Duration
	for _, s := range all {
		if s.Voter && s.ID != string(leader) && s.ID < n.config.ID {
			late += turn
		}
	}
	return late, nil
}
