package forward

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pause before the next try after a failure.
const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// pauseAfter n failures in a row: at random up to 2ⁿ seconds, so that the nodes
// of a cluster do not call on a receiver that comes back all at once.
func pauseAfter(n int) time.Duration {
	most := min(shortestPause<<min(n, 6), longestPause) // 2⁶ s are above the longest
	return shortestPause + rand.N(most-shortestPause+1)
}

// sleep until d has passed or ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
