package admin

import (
	"sync"
	"time"

	"gatehouse/appliance/problem"
)

// guard delays guesses of the setup code: each wrong one doubles the wait,
// from one second to a minute. 130 random bits are not to be guessed; the
// delay keeps the tries out of the log.
type guard struct {
	mu   sync.Mutex
	wait time.Duration
	next time.Time
	busy bool
}

func (g *guard) try(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if left := g.next.Sub(now); g.busy || left > 0 {
		p := problem.New(problem.TooMany, "wait before the next try of the setup code")
		p.After = max(left, time.Second)
		return p
	}
	g.busy = true
	return nil
}

func (g *guard) done(now time.Time, wrong bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy = false
	if !wrong {
		g.wait, g.next = 0, time.Time{}
		return
	}
	g.wait = min(max(2*g.wait, time.Second), time.Minute)
	g.next = now.Add(g.wait)
}
