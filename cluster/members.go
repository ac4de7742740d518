package cluster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// changeTime bounds a change of members.
const changeTime = 10 * time.Second

// Server is a member as Raft knows it.
type Server struct {
	ID    string
	Voter bool
}

// Servers of the newest configuration, which may not be agreed on yet.
func (n *Node) Servers() ([]Server, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, err
	}
	var all []Server
	for _, s := range f.Configuration().Servers {
		all = append(all, Server{string(s.ID), s.Suffrage == raft.Voter})
	}
	return all, nil
}

// Leading says whether this node leads, as far as it knows.
func (n *Node) Leading() bool { return n.raft.State() == raft.Leader }

// Add a node, without a vote, to those that the leader sends entries to. This and
// the changes below are for the leader. Errors: ErrElsewhere, ErrUnavailable, the
// context's.
func (n *Node) Add(ctx context.Context, id string) error {
	return n.wait(ctx, n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeTime))
}

// Promote gives a node its vote.
func (n *Node) Promote(ctx context.Context, id string) error {
	return n.wait(ctx, n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeTime))
}

// Remove a node from those that the leader knows.
func (n *Node) Remove(ctx context.Context, id string) error {
	return n.wait(ctx, n.raft.RemoveServer(raft.ServerID(id), 0, changeTime))
}

// Transfer leadership to a node, or to the one that is nearest where id is
// empty.
func (n *Node) Transfer(ctx context.Context, id string) error {
	if id == "" {
		return n.wait(ctx, n.raft.LeadershipTransfer())
	}
	return n.wait(ctx, n.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(id)))
}
