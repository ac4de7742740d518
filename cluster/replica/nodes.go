package replica

import (
	"slices"
	"sync"
	"time"
)

// nodes remembers which others failed lately, so that one that hangs does not
// cost each transfer its patience.
type nodes struct {
	mu     sync.Mutex
	failed map[string]time.Time
}

func (n *nodes) bad(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failed == nil {
		n.failed = map[string]time.Time{}
	}
	n.failed[node] = time.Now()
}

func (n *nodes) good(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.failed, node)
}

// shunned says whether a node failed not longer than d ago.
func (n *nodes) shunned(node string, d time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, failed := n.failed[node]
	return failed && time.Since(at) < d
}

// order puts those last that failed not longer than d ago.
func (n *nodes) order(all []string, d time.Duration) []string {
	var well, ill []string
	for _, node := range all {
		if n.shunned(node, d) {
			ill = append(ill, node)
		} else {
			well = append(well, node)
		}
	}
	return slices.Concat(well, ill)
}

func (r *Replica) others() []string { return r.nodes.order(r.config.Peers.Others(), r.limits.shun) }
