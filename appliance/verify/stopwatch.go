package verify

import (
	"sync"
	"time"
)

// stopwatch adds up the wall time of stages.
type stopwatch struct {
	start time.Time
	mu    sync.Mutex
	spent map[string]time.Duration
}

func newStopwatch() *stopwatch {
	return &stopwatch{start: time.Now(), spent: map[string]time.Duration{}}
}

// time starts a stage; the function that it returns ends it.
func (s *stopwatch) time(stage string) func() {
	start := time.Now()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spent[stage] += time.Since(start)
	}
}

// milliseconds of each stage, and of all as "total".
func (s *stopwatch) milliseconds() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]float64{"total": ms(time.Since(s.start))}
	for stage, d := range s.spent {
		out[stage] = ms(d)
	}
	return out
}

// ms to a tenth.
func ms(d time.Duration) float64 { return float64(d.Microseconds()/100) / 10 }
