package appliance

import (
	"errors"
	"time"

	"gatehouse/cluster"
	"gatehouse/cluster/replica"
	"gatehouse/store/state"
)

// ErrKilled is why a node ends that a test has ended.
var ErrKilled = errors.New("a test has ended it")

// CutOff closes the node's ways to the others, for good: what it has in hand goes
// on.
func (n *Node) CutOff() error { return n.port.Close() }

// Kill ends the node without a word to the others.
func (n *Node) Kill() error {
	err := n.port.Close()
	n.stop(ErrKilled)
	for len(n.fatal) > 0 { // until Run has seen it
		time.Sleep(time.Millisecond)
	}
	return err
}

// Replica is the node's part in the copies of pictures.
func (n *Node) Replica() *replica.Replica { return n.replica }

// Raft is the node's part in the agreement.
func (n *Node) Raft() *cluster.Node { return n.raft }

// State of the node.
func (n *Node) State() *state.State { return n.state }
