package appliance

import (
	"context"
	"net"

	"gatehouse/appliance/act"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/member"
	"gatehouse/appliance/session"
)

// Wrap the listener of a node that was opened.
func (n *Node) Wrap(by func(net.Listener) net.Listener) { n.listener = by(n.listener) }

// Sessions is the node's service of sessions, of whose parts a test makes
// another one.
func (n *Node) Sessions() *session.Service { return n.sessions }

// Jobs is the node's pool.
func (n *Node) Jobs() *jobs.Pool { return n.jobs }

// PassTime lets time pass in the state, as each minute does.
func (n *Node) PassTime(ctx context.Context) error { return n.passTime(ctx) }

// Agree has all that the node proposes go through another cluster, before it
// runs.
func (n *Node) Agree(by func(act.Cluster) act.Cluster) { n.acts.Cluster = by(n.acts.Cluster) }

// Report is what the node says of itself to the others.
func (n *Node) Report() member.Report { return n.local() }
