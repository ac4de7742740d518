package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// This file is the same in cmd/eval and in its module peers, which a test
// checks: whatever is compared is driven alike.

// loading is how a cluster is loadResult: each client writes, and writes again when
// that was acknowledged.
type loading struct {
	clients int
	warm    time.Duration // before anything is counted
	window  time.Duration // that is counted
}

// loadResult is what was acknowledged.
type loadResult struct {
	Writes  int     `json:"writes"` // in the window
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	All     int     `json:"all"` // of the whole run
	Failed  int     `json:"failed"`
	Why     string  `json:"why"` // the last one failed
}

// afterFailure a client waits: ours, so that a cluster without a leader is not
// flooded.
const afterFailure = 5 * time.Millisecond

// drive calls write with keys that are unique in the run, and mark as the window
// begins and ends.
func (l loading) drive(ctx context.Context, mark func() error, write func(ctx context.Context, key int64) error) (r loadResult, err error) {
	var key, all, failed atomic.Int64
	var counting, over atomic.Bool
	var why atomic.Value
	var wg sync.WaitGroup
	times := make([][]float64, l.clients)
	for i := range l.clients {
		wg.Go(func() {
			for !over.Load() && ctx.Err() == nil {
				begin := time.Now()
				err := write(ctx, key.Add(1))
				took := time.Since(begin)
				if err != nil {
					why.Store(err.Error())
					failed.Add(1)
					time.Sleep(afterFailure)
					continue
				}
				all.Add(1)
				if counting.Load() {
					times[i] = append(times[i], float64(took)/float64(time.Millisecond))
				}
			}
		})
	}
	wait := func(t time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(t):
		}
	}
	wait(l.warm)
	err = mark()
	counting.Store(true)
	begin := time.Now()
	wait(l.window)
	counting.Store(false)
	r.Seconds = time.Since(begin).Seconds()
	err = errors.Join(err, mark())
	over.Store(true)
	wg.Wait()
	var every []float64
	for _, t := range times {
		every = append(every, t...)
	}
	if r.Writes = len(every); r.Writes > 0 {
		r.P50, r.P99 = percentile(every, 50), percentile(every, 99)
	}
	r.All, r.Failed = int(all.Load()), int(failed.Load())
	r.Why, _ = why.Load().(string)
	return r, errors.Join(err, ctx.Err())
}
