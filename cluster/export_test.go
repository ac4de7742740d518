package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// Quick has a voter that is alone lead at once, not after half a second.
func (c *Config) Quick() { c.heartbeat = quick }

// Stall ends a stream of Raft's after so long without a byte.
func (c *Config) Stall(d time.Duration) { c.stall = d }

// RPC is the time of a request of Raft's, beside what its size needs.
func (c *Config) RPC(d time.Duration) { c.rpc = d }

// Patience of the node with a cluster that does not answer.
func (c *Config) Patience(d time.Duration) { c.patience = d }

// quick is the heartbeat of nodes that nobody else is beside.
const quick = 20 * time.Millisecond

// Forget takes a snapshot and leaves so many entries of the log.
func (n *Node) Forget(leave uint64) error {
	err := n.raft.ReloadConfig(raft.ReloadableConfig{TrailingLogs: leave, SnapshotInterval: snapshotEvery, SnapshotThreshold: snapshotAfter,
		HeartbeatTimeout: n.config.heartbeat, ElectionTimeout: election})
	if err != nil {
		return err
	}
	return n.raft.Snapshot().Error()
}
