// Package jobs runs submitted verifications: a bounded number at a time,
// interactive ones before batch, each told apart from those that killed the
// process before.
//
// The job itself is a record of the state; this package holds only the order
// of work. It must never let more in than it can do, and never lose one that
// it has let in.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrFull: the queue takes no more; see Pool.RetryAfter.
var ErrFull = errors.New("the queue is full")

// ErrLater, from Run: the job could not be done now, for no fault of its own.
// It is the next again; who causes it pauses the pool.
var ErrLater = errors.New("not now")

// ErrAside, from Run: this job could not be done now, for no fault of its own, and
// others can. It waits for AsideTime, and then behind those that wait.
var ErrAside = errors.New("not now, but others")

// AsideTime is about what a new leader takes, or the keys that are on their way (make
// chaos: 0.7 s at the median).
const AsideTime = time.Second

// Job is one attempt at a session.
type Job struct {
	Tenant, Session string
	Attempt         uint32
	Batch           bool
	// Suspect: the process died while it worked on this session. It is run
	// alone, so that no other one is suspected with it.
	Suspect bool
}

// Config of a pool.
type Config struct {
	// Dir for one empty file for each job under way: what is there at the next
	// start was under way when the process died. They need not survive a power
	// cut, which is no job's fault.
	Dir     string
	Workers int
	// Limit of waiting interactive jobs, and as many of batch.
	Limit int
	Run   func(context.Context, Job) error
	// Failed is called with what Run returned, but for ErrLater, ErrAside and a
	// cancelled context.
	Failed func(Job, error)
}

// Pool is safe for concurrent use.
type Pool struct {
	c Config

	mu       sync.Mutex
	wake     *sync.Cond
	waiting  [2][]Job // interactive, batch
	reserved [2]int
	held     map[attempt]bool // waiting, aside or running
	running  map[string]int   // attempts at a session: an earlier one may not have ended
	jobs     int              // that run
	alone    bool             // a suspect runs
	paused   bool
	stopped  bool
	service  time.Duration // mean, of the last jobs
	done     uint64
	watchers map[string]map[chan struct{}]bool
}

// New makes a pool; Run starts it.
func New(c Config) (*Pool, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	p := &Pool{c: c, held: map[attempt]bool{}, running: map[string]int{}, watchers: map[string]map[chan struct{}]bool{}, service: firstGuess}
	p.wake = sync.NewCond(&p.mu)
	return p, nil
}

// firstGuess of the time of one job, until one was measured: a verification
// takes about half a second of one core (docs/accuracy.md, make bench).
const firstGuess = 500 * time.Millisecond

// UnderWay are the sessions that were worked on when the process died, and have
// not been settled since.
func (p *Pool) UnderWay() (map[string]bool, error) {
	files, err := os.ReadDir(p.c.Dir)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "ses_") {
			found[f.Name()] = true
		}
	}
	return found, nil
}

// Settle what was under way of a session: its death was counted, or does not
// matter any more. Run begins after all are settled.
func (p *Pool) Settle(session string) error { return os.Remove(filepath.Join(p.c.Dir, session)) }

func class(batch bool) int {
	if batch {
		return 1
	}
	return 0
}

// Reserve a place in the queue before the submission is agreed on. Error:
// ErrFull. The place is given up by release, or taken by Add.
func (p *Pool) Reserve(batch bool) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := class(batch)
	if len(p.waiting[c])+p.reserved[c] >= p.c.Limit {
		return nil, fmt.Errorf("%w: %d wait", ErrFull, len(p.waiting[c]))
	}
	p.reserved[c]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reserved[c]--
	}), nil
}

// Full says whether Reserve would refuse.
func (p *Pool) Full(batch bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := class(batch)
	return len(p.waiting[c])+p.reserved[c] >= p.c.Limit
}

// attempt names a job for all time.
type attempt struct {
	session string
	n       uint32
}

// Add a job, whatever the limit: the state has it already. One that the pool
// has is not added again.
func (p *Pool) Add(j Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := attempt{j.Session, j.Attempt}
	if p.held[a] {
		return
	}
	p.held[a] = true
	c := class(j.Batch)
	p.waiting[c] = append(p.waiting[c], j)
	p.wake.Broadcast()
}

// RetryAfter estimates when there will be a place, from the measured time of
// service.
func (p *Pool) RetryAfter(batch bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	ahead := len(p.waiting[0]) + p.jobs
	if batch {
		ahead += len(p.waiting[1])
	}
	return max(time.Second, p.service*time.Duration(ahead+1)/time.Duration(p.c.Workers)/2)
}

// Stats of the pool.
type Stats struct {
	Waiting, Batch, Running, Workers int
	Service                          time.Duration // mean time of a job
	Done                             uint64
}

func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{len(p.waiting[0]), len(p.waiting[1]), p.jobs, p.c.Workers, p.service, p.done}
}

// Running says whether a worker has the session in hand.
func (p *Pool) Running(session string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[session] > 0
}

// Watch gives a channel that is told (without blocking) whenever something
// happens to the session; stop ends it.
func (p *Pool) Watch(session string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers[session] == nil {
		p.watchers[session] = map[chan struct{}]bool{}
	}
	p.watchers[session][c] = true
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watchers[session], c)
		if len(p.watchers[session]) == 0 {
			delete(p.watchers, session)
		}
	}
}

// Changed tells the watchers of a session.
func (p *Pool) Changed(session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell(session)
}

func (p *Pool) tell(session string) {
	for c := range p.watchers[session] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Pause keeps workers from taking jobs; Resume lets them.
func (p *Pool) Pause()  { p.set(true) }
func (p *Pool) Resume() { p.set(false) }

func (p *Pool) set(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
	p.wake.Broadcast()
}

// Run works until ctx ends, and then until the jobs under way are done or
// cancelled by it.
func (p *Pool) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stopped = true
		p.wake.Broadcast()
	})()
	var workers sync.WaitGroup
	for range p.c.Workers {
		workers.Go(func() {
			for {
				j, ok := p.take()
				if !ok {
					return
				}
				p.work(ctx, j)
			}
		})
	}
	workers.Wait()
}

// take waits for the next job: a suspect only when nothing else runs, nothing
// else while a suspect runs.
func (p *Pool) take() (Job, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.stopped {
			return Job{}, false
		}
		if !p.paused && !p.alone {
			for c := range p.waiting {
				if len(p.waiting[c]) == 0 {
					continue
				}
				j := p.waiting[c][0]
				if j.Suspect && p.jobs > 0 {
					break // the workers drain first
				}
				p.waiting[c] = p.waiting[c][1:]
				p.running[j.Session]++
				p.jobs++
				p.alone = j.Suspect
				p.tell(j.Session)
				return j, true
			}
		}
		p.wake.Wait()
	}
}

func (p *Pool) work(ctx context.Context, j Job) {
	marker := filepath.Join(p.c.Dir, j.Session)
	// Without a marker, on a full disk, the job is only never suspected; one
	// that stays makes it a suspect, no more.
	_ = os.WriteFile(marker, nil, 0o600)
	start := time.Now()
	err := p.c.Run(ctx, j)
	took := time.Since(start)
	later, aside := errors.Is(err, ErrLater), errors.Is(err, ErrAside)
	if err != nil && !later && !aside && ctx.Err() == nil {
		p.c.Failed(j, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs--
	if p.running[j.Session]--; p.running[j.Session] == 0 {
		delete(p.running, j.Session)
		_ = os.Remove(marker)
	}
	if j.Suspect {
		p.alone = false
	}
	c := class(j.Batch)
	switch {
	case later:
		p.waiting[c] = append([]Job{j}, p.waiting[c]...)
	case aside:
		time.AfterFunc(AsideTime, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.waiting[c] = append(p.waiting[c], j)
			p.wake.Broadcast()
		})
	default:
		delete(p.held, attempt{j.Session, j.Attempt})
		// An average over about the last eight.
		p.service += (took - p.service) / 8
		p.done++
	}
	p.tell(j.Session)
	p.wake.Broadcast()
}
