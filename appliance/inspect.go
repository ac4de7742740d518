package appliance

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/store/state"
)

const (
	// inspectRate at which a large state is read beside the service, in bytes a
	// second: ours, a fifth of what a SATA disk reads. 14 GB take two minutes.
	inspectRate = 100 << 20
	// inspectAhead may be read at once; no page of the state is larger.
	inspectAhead = 16 << 20
	// inspectLook so often whether the node is ready, which reads from the same
	// disk; inspectWait is the longest that the inspection waits for that: no page
	// of the file that it is to read can be used again meanwhile.
	inspectLook = 500 * time.Millisecond
	inspectWait = 2 * time.Minute
)

// inspect reads what the start has left of the state, and one that another node has
// sent, until ctx ends. Error: the state's.
func (n *Node) inspect(ctx context.Context) error {
	for {
		if err := n.inspectOnce(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.notices.inspect:
		}
	}
}

func (n *Node) inspectOnce(ctx context.Context) error {
	for late := time.Now().Add(inspectWait); time.Now().Before(late) && !n.settled(); {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(inspectLook):
		}
	}
	pace, start := rate.NewLimiter(inspectRate, inspectAhead), time.Now()
	var all int64
	err := n.state.Inspect(func(bytes int) error {
		all += int64(bytes)
		return pace.WaitN(ctx, bytes)
	})
	switch {
	case ctx.Err() != nil, errors.Is(err, state.ErrClosed):
		return nil
	case err == nil && all > 0:
		n.Log.Info("every page of the state was read and found whole", "bytes", all, "seconds", time.Since(start).Seconds())
	}
	return err
}

// settled says whether the start is over.
func (n *Node) settled() bool {
	if !n.open.Load() {
		return false
	}
	ready, _ := n.faces.Ready()
	return ready || n.seal.Sealed()
}
