// Package member is this node among the others of its cluster: who they are,
// how one is invited and joins, what the leader sees of them, and who has a
// vote.
//
// Who is a member, the state says: the package has that agreed on and makes
// Raft follow. It must never let in a node that was not invited, give a vote to
// one that could not use it, or take one away unasked.
package member

import "errors"

var (
	// ErrNoIdentity: the node is not certified yet.
	ErrNoIdentity = errors.New("the node has no certificate of a cluster")
	// ErrToken cannot be read.
	ErrToken = errors.New("not an invitation of gatehouse")
	// ErrRefused: the cluster did not let the node in.
	ErrRefused = errors.New("the cluster did not accept the node")
	// ErrUnreached: no member answered.
	ErrUnreached = errors.New("no node of the cluster can be reached")
)
