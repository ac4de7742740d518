package member

import (
	"errors"
	"net"
	"time"

	"gatehouse/appliance/problem"
)

// sayEvery so often a node that is turned away says so in its log.
const sayEvery = time.Minute

// Outside is the problem of a node that no other member lets in; nil where one
// answers, or none has refused it.
func (s *Service) Outside() *problem.Problem {
	refused := false
	for _, node := range s.Directory.Others(s.Node) {
		w := s.watch.of(node)
		if w.err == nil && !w.at.IsZero() {
			return nil
		}
		refused = refused || w.refused
	}
	if !refused {
		return nil
	}
	p := problem.New(problem.Unavailable, "each node that can be reached turns this one away: it was removed from the cluster while it was off, or its certificate has ended, or the authority was replaced without it, or a clock is wrong")
	p.Next = "'gatehouse cluster status' on another node tells whether this one is still a member: if not, wipe its directory, and it can join again as a new node"
	return p
}

// turnedAway: the other node took the connection and ended it for what this one
// had shown. With TLS 1.3 an alert says so after the handshake, in place of the
// answer; where this node refuses the other there is none.
func turnedAway(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error"
}

// sayOutside is called after each look.
func (s *Service) sayOutside() {
	if time.Since(s.said) < sayEvery {
		return
	}
	if p := s.Outside(); p != nil {
		s.Log.Error("this node takes no part in its cluster", "error", p, "next", p.Next)
		s.said = time.Now()
	}
}
