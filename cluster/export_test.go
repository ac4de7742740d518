package cluster

import "github.com/hashicorp/raft"

// Forget takes a snapshot and leaves so many entries of the log.
func (n *Node) Forget(leave uint64) error {
	err := n.raft.ReloadConfig(raft.ReloadableConfig{TrailingLogs: leave, SnapshotInterval: snapshotEvery, SnapshotThreshold: snapshotAfter,
		HeartbeatTimeout: heartbeat, ElectionTimeout: election})
	if err != nil {
		return err
	}
	return n.raft.Snapshot().Error()
}
