package lab

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// slowest rate: below it a handshake of TLS takes longer than anybody
	// waits (ours).
	slowest = 1 << 10
	// burstMin holds a few packets of 1,500 bytes; tbf drops what is larger
	// than its burst (tc-tbf(8)).
	burstMin = 8 << 10
	// queue is how long a packet waits at most before the next is dropped, as
	// in a small switch (ours).
	queue = 400 * time.Millisecond
	// packets that netem may hold: what a fast link sends in a long latency.
	packets = 10000
	longest = time.Minute
)

// Link of a machine.
type Link struct {
	BytesPerSecond int64         // each way, at least 1,024; 0: not limited
	Latency        time.Duration // added each way, up to a minute; needs Latency
}

// Slow makes the link of a machine slow, in both directions.
func (l *Lab) Slow(ctx context.Context, m *Machine, to Link) (*Fault, error) {
	if to.BytesPerSecond != 0 && to.BytesPerSecond < slowest || to.Latency < 0 || to.Latency > longest || to == (Link{}) {
		return nil, fmt.Errorf("%w: a link of %d bytes a second and %v", ErrConfig, to.BytesPerSecond, to.Latency)
	}
	needs := SlowLink
	if to.Latency > 0 {
		needs = Latency
	}
	what := fmt.Sprintf("%d B/s, %v more", to.BytesPerSecond, to.Latency)
	ends := [][]string{{"-n", l.router, "qdisc", "", "dev", m.Name, "root"}, {"-n", m.namespace, "qdisc", "", "dev", "eth0", "root"}}
	tc := func(ctx context.Context, do string, end int, more ...string) error {
		args := append([]string(nil), ends[end]...)
		args[3] = do
		_, err := command(ctx, "", "tc", append(args, more...)...)
		return err
	}
	return l.begin("slow link", m.Name, what, needs, "link "+m.Name, func() (func() error, error) {
		shape := to.shape()
		if err := tc(ctx, "add", 0, shape...); err != nil {
			return nil, err
		}
		if err := tc(ctx, "add", 1, shape...); err != nil {
			return nil, errors.Join(err, tc(context.Background(), "del", 0))
		}
		left := [2]bool{true, true}
		return func() error { // that failed at one end is tried again there alone
			var errs [2]error
			for i := range left {
				if left[i] {
					errs[i] = tc(context.Background(), "del", i)
					left[i] = errs[i] != nil
				}
			}
			return errors.Join(errs[:]...)
		}, nil
	})
}

func (to Link) shape() []string {
	rate := strconv.FormatInt(to.BytesPerSecond*8, 10) + "bit"
	if to.Latency == 0 {
		burst := max(burstMin, to.BytesPerSecond/100)
		limit := burst + int64(float64(to.BytesPerSecond)*queue.Seconds())
		return []string{"tbf", "rate", rate, "burst", strconv.FormatInt(burst, 10), "limit", strconv.FormatInt(limit, 10)}
	}
	s := []string{"netem", "limit", strconv.Itoa(packets), "delay", strconv.FormatInt(to.Latency.Microseconds(), 10) + "us"}
	if to.BytesPerSecond > 0 {
		s = append(s, "rate", rate)
	}
	return s
}
