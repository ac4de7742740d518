package keys

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// After a failed try to unseal, the next has to wait: 1 s, 2 s, 4 s … 60 s. It
// makes guessing slow and a person's second try possible. Restarting the
// process forgets the count; Argon2id is what protects a stolen file.
const (
	firstDelay = time.Second
	maxDelay   = time.Minute
)

// gate counts failed tries and keeps the shares given so far.
type gate struct {
	mu       sync.Mutex
	failures int
	next     time.Time
	shares   map[string][]*share // by slot
}

// guess marks the error of a secret that was tried and did not open: it counts.
type guess struct{ error }

func (g guess) Unwrap() error { return g.error }

func (g *gate) pass(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.next.Sub(now); wait > 0 {
		return fmt.Errorf("%w: wait %v", ErrTooSoon, wait.Round(time.Second/10))
	}
	return nil
}

func (g *gate) fail(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delay := firstDelay
	for range min(g.failures, 6) { // 2^6 s is over the most
		delay *= 2
	}
	g.failures++
	g.next = now.Add(min(delay, maxDelay))
}

// opened forgets the failures and every share.
func (g *gate) opened() {
	g.mu.Lock()
	g.failures, g.next = 0, time.Time{}
	g.mu.Unlock()
	g.forget()
}

// collect keeps a share and gives all of its slot.
func (g *gate) collect(slot string, s *share) ([]*share, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, given := range g.shares[slot] {
		if given.index == s.index {
			return g.shares[slot], ErrSameShare
		}
	}
	if g.shares == nil {
		g.shares = map[string][]*share{}
	}
	kept := *s
	g.shares[slot] = append(g.shares[slot], &kept)
	return g.shares[slot], nil
}

// forget wipes the shares of a slot, or of all.
func (g *gate) forget(slots ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(slots) == 0 {
		slots = slices.Collect(maps.Keys(g.shares))
	}
	for _, slot := range slots {
		for _, s := range g.shares[slot] {
			clear(s.secret[:])
		}
		delete(g.shares, slot)
	}
}
