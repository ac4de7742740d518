package cluster

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/peer"
)

const (
	// rpcTime of Raft's requests, beside what their size needs over the slowest
	// link; a snapshot has more.
	rpcTime = 5 * time.Second
	// slowest link between two nodes, in bytes a second: 1 Mbit/s, over which the
	// pictures of one verification take half a minute. On a slower one a node keeps
	// up with nothing. 64 commands of 256 KiB, the largest request, take 134 s.
	slowest = 1_000_000 / 8
	// stallTime without a byte ends a stream (R12 of the cluster research).
	stallTime = 30 * time.Second
	pooled    = 4
)

// transport of Raft: over the port, or, where there is none, in memory, where
// nothing is sent.
func (n *Node) transport(log *logger) raft.Transport {
	if n.config.Port == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(n.config.ID))
		return t
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: streams{n.config.Port.Listener(peer.Raft), n.config.Port, n.config.stall}, Logger: log, MaxPool: pooled,
		// One request at a time to a follower: with more, a follower whose disk
		// stalled was cut off until the leader restarted (R2).
		MaxRPCsInFlight: 1, Timeout: n.config.rpc,
	})
}

// streams is the Raft plane of the port. An address of Raft's is a node's id.
type streams struct {
	net.Listener
	port  *peer.Port
	stall time.Duration
}

func (s streams) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stream{Conn: c, stall: s.stall, accepted: true}, nil
}

func (s streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := s.port.Dial(ctx, string(address), peer.Raft)
	if err != nil {
		return nil, err
	}
	return &stream{Conn: c, stall: s.stall}, nil
}

// stream ends where the other side stalls in the middle of a message: Raft's own
// deadline for a snapshot is hours, and one who receives has none.
type stream struct {
	net.Conn
	stall    time.Duration
	accepted bool

	mu    sync.Mutex
	limit time.Time // that Raft has set, and what was written since has moved
	begun bool      // a message has begun to come
}

func (s *stream) SetDeadline(t time.Time) error {
	s.mu.Lock()
	s.limit = t
	s.mu.Unlock()
	return s.Conn.SetDeadline(t)
}

// Read waits for the next message without a bound, where this side was called.
// After a stall it fails at once: Raft reads on for the rest of a snapshot, and
// does nothing else meanwhile.
func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	begun := s.begun
	s.mu.Unlock()
	if s.accepted {
		var until time.Time
		if begun {
			until = time.Now().Add(s.stall)
		}
		if err := s.Conn.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
	n, err := s.Conn.Read(b)
	if err != nil && begun && s.accepted {
		s.Conn.Close()
	}
	if n > 0 && !begun {
		s.mu.Lock()
		s.begun = true
		s.mu.Unlock()
	}
	return n, err
}

func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.begun = false
	until := time.Now().Add(s.stall)
	limit := s.limit
	if !limit.IsZero() {
		limit = limit.Add(time.Duration(len(b)) * time.Second / slowest)
		s.limit = limit
		if limit.Before(until) {
			until = limit
		}
	}
	s.mu.Unlock()
	// The answer comes after all that was written has arrived.
	if err := errors.Join(s.Conn.SetReadDeadline(limit), s.Conn.SetWriteDeadline(until)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}
