package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gatehouse/store/disk"
)

// Source is the audit logs of this node.
type Source interface {
	// Logs names them all: the tenants' and the system's.
	Logs() ([]string, error)
	// Size of a log, and its origin with the epoch. It counts only what is
	// durable, and what the log had when the node was stopped: a log shorter
	// than what was sent of it was restored, and is sent from its beginning.
	Size(log string) (origin string, size int64, err error)
	// Scan calls do for the leaves from ≤ seq < to, in order, and ends with its
	// error. The leaf is valid during the call.
	Scan(ctx context.Context, log string, from, to int64, do func(seq int64, leaf []byte) error) error
}

// Config of a forwarder. What is zero has the default that it names.
type Config struct {
	Dir   string // for the cursors
	Sinks []Target
	Logs  Source
	// Leading says whether this node forwards for its cluster; nil: always. The
	// others follow how far it has come (Follow).
	Leading func() bool
	// Poll is how often new events are looked for (1 s).
	Poll time.Duration

	// What a syslog message says of its sender: the name of its host (the
	// system's), the node's id and the version of the program.
	Host, Node, Version string

	// Timeout of a connection and of each step of a transfer (10 s).
	Timeout time.Duration
	// Pause before the next try after n failures in a row (1 s to 60 s, at
	// random).
	Pause func(n int) time.Duration
	// AlarmAfter an event has waited so long for a sink (5 min).
	AlarmAfter time.Duration
	Log        *slog.Logger
	Now        func() time.Time
}

// Forwarder is safe for concurrent use.
type Forwarder struct {
	Config
	sinks []*sink
}

// New reads the cursors; Run sends. Certificates that cannot be read are that
// sink's trouble, not the node's. A damaged cursor is put aside and its sink starts from the beginning: events twice are
// better than events lost.
func New(c Config) (*Forwarder, error) {
	c.defaults()
	if err := disk.MkdirAll(c.Dir); err != nil {
		return nil, err
	}
	f := &Forwarder{Config: c}
	names := map[string]bool{}
	for _, t := range c.Sinks {
		if names[t.Name] {
			return nil, fmt.Errorf("%w: %s is there twice", ErrSink, t.Name)
		}
		names[t.Name] = true
		s, err := newSink(&f.Config, t)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", t.Name, err)
		}
		f.sinks = append(f.sinks, s)
	}
	return f, nil
}

func (c *Config) defaults() {
	if c.Poll <= 0 {
		c.Poll = time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Pause == nil {
		c.Pause = pauseAfter
	}
	if c.AlarmAfter <= 0 {
		c.AlarmAfter = 5 * time.Minute
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // without one the field is empty
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Run sends until ctx ends. An error is disk.ErrSync: the node's disk did not
// keep a cursor.
func (f *Forwarder) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	errs := make([]error, len(f.sinks))
	for i, s := range f.sinks {
		running.Go(func() {
			if errs[i] = s.run(ctx); errs[i] != nil {
				stop()
			}
		})
	}
	f.watch(ctx)
	running.Wait()
	return errors.Join(errs...)
}

// watch wakes the sinks, and measures how far they are behind, which one that
// is stuck cannot do itself.
func (f *Forwarder) watch(ctx context.Context) {
	tick := time.NewTicker(f.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.measure(ctx)
		}
		for _, s := range f.sinks {
			s.poke()
		}
	}
}
