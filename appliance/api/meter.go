package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/appliance/problem"
)

// meter bounds what one client, or one tenant, may ask: requests a second, with
// a burst of two seconds, and requests at one time.
type meter struct {
	whose      string
	rate       rate.Limit
	concurrent int

	mu      sync.Mutex
	clients map[string]*usage
}

type usage struct {
	limiter *rate.Limiter
	denied  *rate.Limiter
	now     int
}

func newMeter(whose string, perSecond, concurrent int) *meter {
	return &meter{whose: whose, rate: rate.Limit(perSecond), concurrent: concurrent, clients: map[string]*usage{}}
}

// of gives a client's usage. Only clients that are known get here, so that the
// map is bounded by their number.
func (m *meter) of(client string) *usage {
	u := m.clients[client]
	if u == nil {
		u = &usage{limiter: rate.NewLimiter(m.rate, 2*int(m.rate)), denied: rate.NewLimiter(1, 5)}
		m.clients[client] = u
	}
	return u
}

func (m *meter) enter(client string, now time.Time) (release func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.of(client)
	if u.now >= m.concurrent {
		p := problem.New(problem.TooMany, "this %s has %d requests under way", m.whose, u.now)
		p.After = time.Second
		return nil, p
	}
	r := u.limiter.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		p := problem.New(problem.TooMany, "this %s may make %.0f requests a second", m.whose, float64(m.rate))
		p.After = wait
		return nil, p
	}
	u.now++
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		u.now--
	}, nil
}

// mayDeny bounds the denials of one client that go into the audit log: the
// metrics count them all.
func (m *meter) mayDeny(client string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(client).denied.AllowN(now, 1)
}
