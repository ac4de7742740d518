package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"gatehouse/cluster/peer"
	"gatehouse/store/command"
	"gatehouse/store/disk/killpoint"
	"gatehouse/store/state"
)

const (
	// patience for a node that leads, which nothing has entered the log of
	// meanwhile: the promise of the design is that the service answers again
	// within it.
	patience = 5 * time.Second
	// answerTimes patience bounds a forwarded command: it may wait once to be taken,
	// and again as long to be agreed on and to be applied here. A leader whose
	// answers are lost on the way would otherwise never be given up.
	answerTimes = 2
	// pause between looks for a leader, and between tries to reach one.
	pause = 10 * time.Millisecond
	// maxAnswer of a command; the longest name the blobs of a person.
	maxAnswer = 4 << 20
)

// Propose has a command agreed on and applied, here too, and gives the answer,
// from whichever node. Errors: command.ErrTooLarge; ErrVersion; ErrUnavailable
// where there is no quorum, or where the outcome is unknown: the same command
// must then be proposed again under the same idempotency key, not given up.
func (n *Node) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	b, err := command.Encode(c)
	if err != nil {
		return nil, err
	}
	if err := n.allowed(c.Version); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var a *command.Answer
	err = n.try(ctx, func(leader string) (err error) {
		if leader == n.config.ID {
			a, err = n.apply(ctx, b)
		} else {
			a, err = n.forward(ctx, leader, b)
		}
		return err
	})
	return a, err
}

// try with the node that leads, and again with another, over a fresh connection,
// while nothing has come of it.
func (n *Node) try(ctx context.Context, do func(leader string) error) error {
	within, cancel := context.WithTimeout(ctx, n.config.patience)
	defer cancel()
	for {
		leader, err := n.leader(within)
		if err != nil {
			return err
		}
		if err = do(leader); !errors.Is(err, ErrElsewhere) {
			return err
		}
		if !n.sleep(within, pause) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if n.config.Port != nil {
			n.config.Port.Fresh(peer.RPC)
		}
	}
}

// allowed refuses a command that a member of the cluster may not know.
func (n *Node) allowed(version uint32) error {
	var active uint64
	err := n.config.State.View(func(v *state.View) error { active = max(1, v.Version()); return nil })
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case uint64(version) > active:
		return fmt.Errorf("%w: it needs version %d, %d is active", ErrVersion, version, active)
	}
	return nil
}

// leader waits for one.
func (n *Node) leader(ctx context.Context) (string, error) {
	for {
		if _, id := n.raft.LeaderWithID(); id != "" {
			return string(id), nil
		}
		if !n.sleep(ctx, pause) {
			return "", fmt.Errorf("%w: no node leads", ErrUnavailable)
		}
	}
}

// sleep is false where there is no more time.
func (n *Node) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-n.ended:
	}
	return false
}

// apply on the leader.
func (n *Node) apply(ctx context.Context, b []byte) (*command.Answer, error) {
	future := n.raft.Apply(b, enqueueTimeout)
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w before it was agreed on", ErrUnavailable, ctx.Err())
	case <-n.ended: // Raft leaves those that wait unanswered
		return nil, errStopped
	}
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return nil, ErrElsewhere
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	a, ok := future.Response().(*command.Answer)
	if !ok || a == nil {
		return nil, fmt.Errorf("%w: the entry was not applied here", ErrUnavailable)
	}
	killpoint.At(killpoint.Agreed)
	return a, nil
}

// forward to the leader, and wait until the answer's entry is applied here: its
// caller reads this node's state next.
func (n *Node) forward(ctx context.Context, leader string, b []byte) (*command.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimes*n.config.patience)
	defer cancel()
	body, err := n.ask(ctx, leader, http.MethodPost, proposePath, b)
	if err != nil {
		return nil, err
	}
	a := &command.Answer{}
	if err := proto.Unmarshal(body, a); err != nil {
		return nil, fmt.Errorf("%w: node %s answered what cannot be read: %v", ErrUnavailable, leader, err)
	}
	if err := n.fsm.await(ctx, n.ended, a.Index); err != nil {
		return nil, fmt.Errorf("%w: it was agreed on, and is not applied here yet: %w", ErrUnavailable, err)
	}
	killpoint.At(killpoint.Agreed)
	return a, nil
}

// ask the leader. Errors: ErrElsewhere where it was not reached or does not
// lead, ErrUnavailable.
func (n *Node) ask(ctx context.Context, leader, method, path string, body []byte) ([]byte, error) {
	if n.config.Port == nil {
		return nil, ErrElsewhere
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go n.whileLeads(ctx, leader, cancel)
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := n.config.Port.Do(peer.RPC, leader, r)
	var unreached *peer.DialError
	switch {
	case errors.As(err, &unreached), err != nil && method == http.MethodGet:
		return nil, ErrElsewhere // nothing has come of it
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case response.StatusCode == http.StatusMisdirectedRequest:
		return nil, ErrElsewhere
	case response.StatusCode != http.StatusOK, len(b) > maxAnswer:
		return nil, fmt.Errorf("%w: node %s: %.200s", ErrUnavailable, leader, b)
	}
	return b, nil
}

// whileLeads ends a question to a node that was followed by another leader: it
// hangs, or is cut off.
func (n *Node) whileLeads(ctx context.Context, leader string, end func()) {
	look := time.NewTicker(10 * pause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			if _, id := n.raft.LeaderWithID(); id != "" && string(id) != leader {
				end()
				return
			}
		}
	}
}

// Paths on the RPC plane.
const (
	proposePath = "/raft/propose"
	readPath    = "/raft/read"
	termPath    = "/raft/term"
)

// Handle adds what the other members ask of this one.
func (n *Node) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+proposePath, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, command.MaxSize))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// What cannot be decoded here would stop every node.
		if _, _, err := command.Decode(b); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a, err := n.apply(r.Context(), b)
		if err == nil {
			b, err = proto.Marshal(a)
		}
		answer(w, b, err)
	})
	mux.HandleFunc("GET "+termPath, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, fmt.Append(nil, n.raft.CurrentTerm()), nil)
	})
	mux.HandleFunc("GET "+readPath, func(w http.ResponseWriter, r *http.Request) {
		index, err := n.readIndex(r.Context())
		answer(w, fmt.Append(nil, index), err)
	})
}

func answer(w http.ResponseWriter, b []byte, err error) {
	switch {
	case errors.Is(err, ErrElsewhere):
		http.Error(w, err.Error(), http.StatusMisdirectedRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		_, _ = w.Write(b) // who asked has left, or has it
	}
}
