package gallery

import (
	"context"
	"sync"
)

// passProbes is the most probes that one pass over the rows serves. Sixteen keep
// all sums in registers for four passes over a piece that lies in the cache;
// more only wait longer.
const passProbes = 16

// queue gathers searches. While one pass is under way, those that arrive wait
// and go over the rows together in the next: the rows are read once for all of
// them, and a search alone waits for nobody. One of the waiting leads each pass.
type queue struct {
	mu      sync.Mutex
	waiting []*search
	busy    bool
	closed  bool
}

// search is one caller's probes and what becomes of them.
type search struct {
	ctx    context.Context
	query  Query
	probes []*probe
	turn   chan struct{} // a value: lead the next pass; closed: done
	found  []found
	err    error
}

// run has the search done, by this goroutine or by another's pass.
func (q *queue) run(s *search, pass func([]*search)) error {
	s.turn = make(chan struct{}, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.waiting = append(q.waiting, s)
	if !q.busy {
		q.busy = true
		s.turn <- struct{}{}
	}
	q.mu.Unlock()
	for range s.turn {
		q.lead(pass)
	}
	return s.err
}

// lead takes what waits, its own search first, over the rows, and hands on.
func (q *queue) lead(pass func([]*search)) {
	q.mu.Lock()
	n, probes := 0, 0
	for n < len(q.waiting) && (n == 0 || probes+len(q.waiting[n].probes) <= passProbes) {
		probes += len(q.waiting[n].probes)
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.mu.Unlock()
	pass(batch)
	q.mu.Lock()
	if len(q.waiting) > 0 {
		q.waiting[0].turn <- struct{}{}
	} else {
		q.busy = false
	}
	q.mu.Unlock()
	for _, b := range batch {
		close(b.turn)
	}
}

// close refuses what comes.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
