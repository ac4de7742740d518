package appliance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"gatehouse/cluster/peer"
)

const (
	positionsPath = "/forward/positions"
	// followForwardEvery so often a node that does not lead asks how far the audit
	// logs were forwarded: what a change of leader sends twice is of this time.
	followForwardEvery = time.Second
	maxPositions       = 16 << 20
)

// followForward learns from the leader how far the audit logs were forwarded.
func (n *Node) followForward(ctx context.Context) {
	tick := time.NewTicker(followForwardEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		leader := n.raft.Status().Leader
		if leader == "" || leader == n.acts.Node || !n.forward.Sinks() {
			continue
		}
		if err := n.askPositions(ctx, leader); err != nil {
			n.Log.Debug("how far the audit logs were forwarded is not known", "error", err)
		}
	}
}

func (n *Node) askPositions(ctx context.Context, leader string) error {
	ctx, cancel := context.WithTimeout(ctx, followForwardEvery)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, positionsPath, nil)
	if err != nil {
		return err
	}
	answer, err := n.port.Do(peer.RPC, leader, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	var all map[string][]byte
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxPositions)).Decode(&all); err != nil {
		return err
	}
	return n.forward.Follow(all)
}

func (n *Node) servePositions(w http.ResponseWriter, _ *http.Request) {
	if !n.open.Load() || !n.raft.Leading() {
		http.Error(w, "this node does not forward", http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(n.forward.Positions()) // who asked has left, or has it
}
