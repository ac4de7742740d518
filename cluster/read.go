package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Read makes sure that the state of this node holds every command that was
// answered before the call, by any node. Error: ErrUnavailable.
func (n *Node) Read(ctx context.Context) error {
	err := n.reads.join(ctx, func() error {
		// The round outlives whoever began it.
		ctx, cancel := context.WithTimeout(context.Background(), n.config.patience)
		defer cancel()
		return n.read(ctx)
	})
	if err != nil && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func (n *Node) read(ctx context.Context) error {
	return n.try(ctx, func(leader string) error {
		if leader == n.config.ID {
			_, err := n.readIndex(ctx)
			return err
		}
		return n.follow(ctx, leader)
	})
}

// follow the leader up to what it has answered.
func (n *Node) follow(ctx context.Context, leader string) error {
	b, err := n.ask(ctx, leader, http.MethodGet, readPath, nil)
	if err != nil {
		return err
	}
	index, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("node %s answered what cannot be read: %w", leader, err)
	}
	return n.fsm.await(ctx, n.ended, index)
}

// readIndex is the entry up to which the leader's state, and another node's once
// it holds it, has all that was answered before the call. Those who ask while the
// voters are asked share the next round. Error: ErrElsewhere.
func (n *Node) readIndex(ctx context.Context) (uint64, error) {
	err := n.confirms.join(ctx, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), n.config.patience)
		defer cancel()
		return n.leads(ctx)
	})
	index, _ := n.config.State.Applied()
	return index, err
}

// leads makes sure that this node does: that nobody was elected after it, once the
// entries of earlier leaders are applied here.
func (n *Node) leads(ctx context.Context) error {
	term := n.raft.CurrentTerm()
	if n.settled.Load() != term {
		if err := n.wait(ctx, n.raft.Barrier(0)); err != nil {
			return err
		}
		if n.raft.CurrentTerm() != term {
			return ErrElsewhere
		}
		n.settled.Store(term)
	}
	if err := n.confirm(ctx, term); err != nil {
		return err
	}
	if n.raft.CurrentTerm() != term {
		return ErrElsewhere
	}
	return nil
}

// wait for Raft. Errors: ErrElsewhere, errStopped, the context's, Raft's.
func (n *Node) wait(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		switch {
		case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrLeadershipTransferInProgress):
			return ErrElsewhere
		case err != nil:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ended:
		return errStopped
	}
}

// Ready waits until the state holds all that was answered before the call.
func (n *Node) Ready(ctx context.Context) error {
	for {
		err := n.Read(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, errStopped) || !n.sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// rounds let those who ask meanwhile share the next answer: one that was begun
// before they asked may be too old for them.
type rounds struct {
	mu      sync.Mutex
	running bool
	next    *round
}

type round struct {
	done chan struct{}
	err  error
}

func (r *rounds) join(ctx context.Context, do func() error) error {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		go r.run(do)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *rounds) run(do func() error) {
	for {
		r.mu.Lock()
		now := r.next
		if now == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.next = nil
		r.mu.Unlock()
		now.err = do()
		close(now.done)
	}
}
