package api

import "sync"

// places for work that takes much memory or time, of which few run at one time.
// A slow caller holds its place: one who has half of them gets no more.
type places struct {
	most int

	mu  sync.Mutex
	all int
	of  map[string]int // by who holds them
}

func newPlaces(most int) *places { return &places{most: most, of: map[string]int{}} }

func (p *places) enter(who string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.most || p.of[who] >= (p.most+1)/2 {
		return false
	}
	p.all++
	p.of[who]++
	return true
}

func (p *places) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.of[who]--; p.of[who] == 0 {
		delete(p.of, who)
	}
}
