package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// each runs do for 0 … n-1, so many at a time, and says on w how far it is. The
// first error ends it.
func each(ctx context.Context, w io.Writer, what string, n, workers int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &progress{w: w, what: what, total: n, shown: time.Now()}
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
				p.step()
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	p.end()
	return context.Cause(ctx)
}

// progress writes count/total every few seconds.
type progress struct {
	w     io.Writer
	what  string
	total int

	mu    sync.Mutex
	done  int
	shown time.Time
	spoke bool
}

const progressEvery = 4 * time.Second

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; time.Since(p.shown) >= progressEvery {
		p.shown, p.spoke = time.Now(), true
		fmt.Fprintf(p.w, "%s: %d/%d\n", p.what, p.done, p.total)
	}
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spoke && p.done < p.total {
		fmt.Fprintf(p.w, "%s: stopped at %d/%d\n", p.what, p.done, p.total)
	} else if p.spoke {
		fmt.Fprintf(p.w, "%s: %d/%d\n", p.what, p.done, p.total)
	}
}
