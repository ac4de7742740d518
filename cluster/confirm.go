package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/peer"
)

// maxTerm is the longest answer to a question for a term, in bytes.
const maxTerm = 20

// asked is which members are being asked for their term, each by one question at a
// time, so that of one that hangs no more wait than one.
type asked struct {
	mu  sync.Mutex
	who map[string]chan struct{}
}

// begin waits until no other question is under way; not where over is closed before.
func (a *asked) begin(id string, over <-chan struct{}) (end func(), ok bool) {
	a.mu.Lock()
	if a.who == nil {
		a.who = map[string]chan struct{}{}
	}
	one := a.who[id]
	if one == nil {
		one = make(chan struct{}, 1)
		a.who[id] = one
	}
	a.mu.Unlock()
	select {
	case one <- struct{}{}:
		return func() { <-one }, true
	case <-over:
		return nil, false
	}
}

// confirm that nobody has been elected after this leader: a majority of the
// voters, asked now, knows no later term. Raft's VerifyLeader also counts answers
// that were under way when it was called, and those of members without a vote;
// then a leader that has handed over reads what is old. Errors: ErrElsewhere,
// errStopped, the context's.
func (n *Node) confirm(ctx context.Context, term uint64) error {
	select {
	case <-n.ended: // nothing is answered after a broken promise
		return errStopped
	default:
	}
	if n.raft.State() != raft.Leader {
		return ErrElsewhere
	}
	servers, err := n.Servers()
	if err != nil {
		return err
	}
	voters, agree, waits := 0, 0, 0
	terms, over := make(chan uint64, len(servers)), make(chan struct{})
	defer close(over)
	for _, s := range servers {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID == n.config.ID {
			agree++
		} else if n.config.Port != nil {
			waits++
			go func() {
				end, ok := n.asked.begin(s.ID, over)
				if !ok {
					return
				}
				// It is let finish where the others were faster: to cancel it
				// would close its connection.
				t, err := n.termOf(s.ID)
				if err != nil {
					t = 0
				}
				end()
				terms <- t
			}()
		}
	}
	for ; agree <= voters/2 && waits > 0; waits-- {
		select {
		case t := <-terms:
			switch {
			case t > term:
				return ErrElsewhere
			case t > 0:
				agree++
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ended:
			return errStopped
		}
	}
	if agree <= voters/2 {
		return ErrElsewhere // as far as it can tell
	}
	return nil
}

// termOf a member, of which the answer is no older than the call.
func (n *Node) termOf(id string) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), rpcTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, termPath, nil)
	if err != nil {
		return 0, err
	}
	response, err := n.config.Port.Do(peer.RPC, id, r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxTerm+1))
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%w: node %s answered %s", ErrUnavailable, id, response.Status)
	}
	return strconv.ParseUint(string(b), 10, 64)
}
