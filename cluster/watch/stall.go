package watch

import (
	"context"
	"fmt"
	"time"
)

const (
	// DefaultStall leaves room for a transfer (1 s) and an election (1–2 s,
	// measured) in the 10 s within which writes are to be back.
	DefaultStall = 4 * time.Second
	// patience, in stalls, with a disk that holds up nobody's writes: 40 s outlast
	// a hypervisor's snapshot and a change of the path to an array.
	patience = 10
	// stallEvery: a sixteenth of the default.
	stallEvery = 250 * time.Millisecond
)

// stalls looks for a disk that does not end a write.
//
// A leader hands over, or ends: its heartbeats go on while its log hangs, so
// that nobody else stands for election (hashicorp/raft issue 503).
//
// A follower holds up no write. It ends as well, but late: it has jobs, callers
// and a vote that all wait for it, and to a node that is gone the others and
// the load balancer send none, while of one that hangs they may learn nothing.
// Late, as a disk that comes back within half a minute costs less than a start,
// and as the end of a second node costs the cluster its quorum.
//
// A leader is as late where no other voter is known to answer: nobody could
// take over now. It does not stay for ever, since its heartbeats would keep
// those that come back from an election, and since what it knows of them may be
// held up by the same disk.
//
// The only voter stays. Nobody takes over from it, a start would hang on the
// same disk, and what it holds goes on when the disk does.
func (d *Dog) stalls(ctx context.Context) {
	tick := time.NewTicker(stallEvery)
	defer tick.Stop()
	var seen time.Duration
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A process that was stopped for a minute finds a write that took one: only
		// what it has watched counts.
		stalled, now := d.config.Stalled(), time.Now()
		seen = min(stalled, seen+min(now.Sub(last), 2*stallEvery))
		last = now
		d.Set(Stalled, seen >= d.config.Stall, fmt.Sprintf("a write takes %v", seen.Round(time.Millisecond)))
		if seen < d.config.Stall || d.config.Voters() < 2 {
			continue
		}
		late := seen >= patience*d.config.Stall
		switch {
		case !d.config.Leading():
			if !late {
				continue
			}
		case !late && d.config.Others() == 0:
			continue
		default:
			err := d.transfer(ctx, d.config.Heir())
			if !d.config.Leading() || d.config.Stalled() < d.config.Stall || ctx.Err() != nil {
				continue
			}
			d.config.Fatal(fmt.Errorf("%w: for %v, and no other node takes over: %v", ErrStalled, seen.Round(time.Millisecond), err))
			return
		}
		d.config.Fatal(fmt.Errorf("%w: for %v", ErrStalled, seen.Round(time.Millisecond)))
		return
	}
}
