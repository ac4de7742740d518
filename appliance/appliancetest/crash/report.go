package crash

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind of a broken promise.
type Kind string

const (
	Lost   Kind = "lost"   // acknowledged, and gone or changed
	Twice  Kind = "twice"  // one idempotency key, more than one effect
	Fork   Kind = "fork"   // an audit log that does not extend itself, or lacks an event
	Damage Kind = "damage" // what 'data check' or the node itself found
	Missed Kind = "missed" // a face on file that a later decision did not find
)

// Broken is one promise that was not kept.
type Broken struct {
	Kind Kind
	Kill int // after so many
	What string
}

func (b Broken) String() string { return fmt.Sprintf("%s, after kill %d: %s", b.Kind, b.Kill, b.What) }

// Report of a run.
type Report struct {
	Seed        uint64
	Kills       int
	Sessions    int // acknowledged, as are the next four
	Evidence    int
	Decisions   int
	Erasures    int
	Duplicates  int // decisions that found the face under another name
	Checkpoints int
	Leaves      int64 // of both logs, read and hashed
	Bundles     int   // verified, each as the continuation of those before
	Reads       int   // of pictures, compared byte for byte
	Restarts    []time.Duration
	Broken      []Broken

	mu sync.Mutex
}

func (r *Report) broken(k Kind, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Broken = append(r.Broken, Broken{k, r.Kills, fmt.Sprintf(format, args...)})
}

func (r *Report) duplicate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Duplicates++
}

func (r *Report) read() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Reads++
}

// Count of the broken promises of a kind.
func (r *Report) Count(k Kind) int {
	n := 0
	for _, b := range r.Broken {
		if b.Kind == k {
			n++
		}
	}
	return n
}

// Restart is the time at a share (0.5, 0.99) of the restarts.
func (r *Report) Restart(share float64) time.Duration {
	if len(r.Restarts) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Restarts))
	return sorted[int(share*float64(len(sorted)-1)+0.5)]
}
