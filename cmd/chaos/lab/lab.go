package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Config of a lab.
type Config struct {
	// Dir keeps the disks, what the processes said and the timeline, on a real
	// disk. It is made, and must be empty; the caller removes it after Close.
	Dir string
	// Seed of the run, which the timeline begins with. The lab itself leaves
	// nothing to chance.
	Seed uint64
	Log  *slog.Logger // may be nil
}

// Lab is a set of machines and clients. Safe for concurrent use.
type Lab struct {
	config  Config
	prefix  string // gh-1a2b3c4d
	router  string // its namespace
	able    Abilities
	groups  cgroups
	marker  *marker
	starter *starter
	once    sync.Once
	failed  error // of Close

	adding    sync.Mutex     // held while a machine or client is made
	beginning sync.WaitGroup // of faults and processes

	mu       sync.Mutex
	closed   bool
	machines []*Machine
	clients  []*Place
	faults   []*Fault
	taken    map[string]bool // keys of faults that are under way
	number   int             // of the last fault
	rules    int             // given to cuts
	events   []Event
	timeline *os.File
}

// Open sweeps, probes, and makes a lab with one client. Errors: ErrRoot,
// ErrAbsent where there can be no machines, or the system's.
func Open(ctx context.Context, c Config) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, ErrRoot
	}
	if _, err := Sweep(ctx); err != nil {
		return nil, err
	}
	able, err := Probe(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	if err := able[Machines]; err != nil {
		return nil, err
	}
	return open(ctx, c, able)
}

func open(ctx context.Context, c Config, able Abilities) (*Lab, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.EvalSymlinks(c.Dir); err != nil { // as the kernel lists mounts
		return nil, err
	}
	if there, err := os.ReadDir(c.Dir); err != nil {
		return nil, err
	} else if len(there) > 0 {
		return nil, fmt.Errorf("%w: %s is not empty", ErrConfig, c.Dir)
	}
	l := &Lab{config: c, able: able, groups: findGroups(), taken: map[string]bool{}}
	if l.timeline, err = os.Create(filepath.Join(c.Dir, "timeline.jsonl")); err != nil {
		return nil, err
	}
	if l.marker, err = mark(c.Dir); err != nil {
		return nil, errors.Join(err, l.timeline.Close())
	}
	l.prefix, l.router = l.marker.name, l.marker.name+"-net"
	l.starter = newStarter()
	l.tell(Event{What: "open", Where: l.prefix, Detail: fmt.Sprintf("seed %d", c.Seed)})
	if err = l.openRouter(ctx); err == nil {
		_, err = l.AddClient(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Dial connects from the first client, as Place.Dial does.
func (l *Lab) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	first := l.clients[0]
	l.mu.Unlock()
	return first.Dial(ctx, network, address)
}

// Has tells whether this machine can do it.
func (l *Lab) Has(a Ability) bool { return l.able[a] == nil }

// Abilities tells why what cannot be had cannot.
func (l *Lab) Abilities() Abilities { return l.able }

// Close ends all faults, kills all processes and removes the namespaces and
// mounts. The images of the disks stay. It takes seconds at most, unless a disk
// hangs that is not the lab's.
func (l *Lab) Close() error {
	l.once.Do(func() { l.failed = l.close() })
	return l.failed
}

func (l *Lab) close() error {
	l.adding.Lock() // a machine in the making is finished first
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.adding.Unlock()
	l.beginning.Wait()
	l.mu.Lock()
	faults := append([]*Fault(nil), l.faults...)
	l.mu.Unlock()
	var err error
	for i := len(faults) - 1; i >= 0; i-- {
		err = errors.Join(err, faults[i].End())
	}
	for _, p := range l.running() {
		err = errors.Join(err, p.Kill())
	}
	err = errors.Join(err, teardown(context.Background(), l.prefix, l.config.Dir))
	l.starter.close()
	l.tell(Event{What: "close"})
	if err == nil { // else the next sweep tries again
		err = l.marker.remove()
	}
	return errors.Join(err, l.marker.Close(), l.timeline.Close())
}
