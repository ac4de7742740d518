package replica

import (
	"context"
	"sync/atomic"
)

// flight is the healing of one blob, which many may wait for. It ends early
// when the last of them has left.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error       // once done
	urgent atomic.Bool // somebody waits for the bytes: no rate

	// Under Replica.mu.
	waiting int
	ending  bool
}

// once heals a blob from the nodes given, or waits for the healing that is
// under way.
func (r *Replica) once(ctx context.Context, name string, from []string, urgent bool) error {
	for {
		f, joined := r.join(ctx, name, from, urgent)
		select {
		case <-f.done:
			if joined {
				return f.err
			}
		case <-ctx.Done():
			if joined {
				r.leave(f)
			}
			return ctx.Err()
		}
	}
}

// join finds or begins a flight. One that is ending cannot be joined, and no
// other begins before it has ended: two would put away each other's blob.
func (r *Replica) join(ctx context.Context, name string, from []string, urgent bool) (f *flight, joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f = r.flights[name]
	if f == nil {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f = &flight{cancel: cancel, done: make(chan struct{})}
		r.flights[name] = f
		go func() {
			f.err = r.mend(ctx, f, name, from)
			cancel()
			r.mu.Lock()
			delete(r.flights, name)
			r.mu.Unlock()
			close(f.done)
		}()
	}
	if f.ending {
		return f, false
	}
	f.waiting++
	if urgent {
		f.urgent.Store(true)
	}
	return f, true
}

func (r *Replica) leave(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.ending = true
		f.cancel()
	}
}
