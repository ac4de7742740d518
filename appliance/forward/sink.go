package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/store/disk"
)

const (
	// maxBatch bytes that a sink holds and sends at a time.
	maxBatch = 256 << 10
	// overhead of a message beside its event: the fields of the header have at
	// most 720 bytes.
	overhead = 1 << 10
	// unsavedEvents, or unsavedTime since the last write of a cursor, are what a
	// crash sends again.
	unsavedEvents = 1000
	unsavedTime   = time.Second
	// gather is how long an idle sink waits for more after an event, so that a
	// file is not synced for each one.
	gather = 100 * time.Millisecond
)

// receiver is what a sink sends to.
type receiver interface {
	// append adds an event, a line of JSON, to a batch.
	append(batch, line []byte) []byte
	// send returns nil once the batch is confirmed.
	send(ctx context.Context, batch []byte) error
	close()
}

type sink struct {
	*Config
	target Target
	path   string // of the cursor
	out    receiver
	poked  chan struct{}

	batch   []byte
	limit   int                // of the batch: less after a failure
	unsaved int                // events
	changed bool               // the cursor is not as it was saved
	saved   time.Time          // the last try
	saving  error              // of it
	waits   map[string]waiting // of watch

	mu      sync.Mutex
	at      positions
	told    positions // by the node that leads; nil: nothing new
	begun   bool      // at is what to start from
	sent    uint64
	lag     int64
	oldest  time.Time
	alarm   bool
	trouble string
	since   time.Time
}

func newSink(c *Config, t Target) (*sink, error) {
	s := &sink{Config: c, target: t, path: cursorPath(c.Dir, t.Name), poked: make(chan struct{}, 1), limit: maxBatch, since: c.Now()}
	switch t.Kind {
	case KindSyslog:
		if _, err := t.tls(); err != nil { // read anew at each connection: it may be put right
			c.Log.Error("a sink's certificates cannot be used", "sink", t.Name, "error", err)
		}
		s.out = &syslog{target: t, timeout: c.Timeout, messages: newMessages(c.Host, c.Node, c.Version)}
	case KindFile:
		s.out = &file{path: t.path, log: c.Log}
	default:
		return nil, fmt.Errorf("%w: a target comes from ParseSink", ErrSink)
	}
	at, err := readCursor(s.path, t.Name)
	if errors.Is(err, ErrCursor) {
		aside := s.path + ".damaged"
		c.Log.Warn("a cursor is damaged: all events are sent again", "sink", t.Name, "error", err, "kept", aside)
		at, err = positions{}, replaceCursor(s.path, aside, t.Name)
	}
	if err != nil {
		return nil, err
	}
	if s.begun = at != nil; s.begun {
		s.at = at
	} else {
		s.at = positions{}
	}
	return s, nil
}

func (s *sink) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// run sends until ctx ends. Its error is of the node's disk.
func (s *sink) run(ctx context.Context) error {
	defer s.out.close()
	failures := 0
	for ctx.Err() == nil {
		more, err := s.pass(ctx)
		if errors.Is(s.saving, disk.ErrSync) {
			return s.saving
		}
		if ctx.Err() != nil {
			break // that is what err is about
		}
		s.report(errors.Join(err, s.saving))
		switch {
		case errors.Is(err, ErrUndelivered):
			failures++
			sleep(ctx, s.Pause(failures))
			continue
		case !more:
			select {
			case <-s.poked:
				sleep(ctx, gather)
			case <-ctx.Done():
			}
		}
		failures = 0
	}
	s.save(true)
	if errors.Is(s.saving, disk.ErrSync) {
		return s.saving
	}
	s.report(s.saving)
	return nil
}

// pass sends a batch of each log that has more, so that a long log does not hold
// up the others. A log that cannot be read does not either.
func (s *sink) pass(ctx context.Context) (more bool, err error) {
	defer s.save(false)
	if s.Leading != nil && !s.Leading() {
		s.follow()
		return false, nil
	}
	logs, err := s.Logs.Logs()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrSource, err)
	}
	if err := s.begin(logs); err != nil {
		return false, err
	}
	var errs []error
	for _, log := range logs {
		left, err := s.advance(ctx, log)
		more = more || left
		if err != nil {
			errs = append(errs, err)
		}
		if errors.Is(err, ErrUndelivered) || ctx.Err() != nil {
			break
		}
	}
	return more, errors.Join(errs...)
}

// begin sets where a new sink starts.
func (s *sink) begin(logs []string) error {
	if s.begun { // written by this goroutine alone
		return nil
	}
	at := positions{}
	if s.target.fromNow {
		for _, log := range logs {
			h, err := s.head(log)
			if err != nil {
				return err
			}
			at[h.key] = position{h.origin, h.size}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.begun, s.changed = at, true, true
	return nil
}

// advance sends a batch of a log; left: there is more of it.
func (s *sink) advance(ctx context.Context, log string) (left bool, err error) {
	h, err := s.head(log)
	if err != nil {
		return false, err
	}
	closed, err := s.closed(h, s.at) // written by this goroutine alone
	if err != nil {
		return false, sourceError(log, err)
	}
	if len(closed) > 0 {
		_, err := s.send(ctx, closed[0])
		return err == nil, err
	}
	return s.send(ctx, h)
}

// send a batch of a log; left: there is more of it.
func (s *sink) send(ctx context.Context, h head) (left bool, err error) {
	at, other := s.at.of(h)
	if other != "" {
		s.Log.Warn("an audit log is another one than was forwarded: it is sent from its beginning", "sink", s.target.Name, "log", h.origin, "because", other)
		s.moved(h.key, at, 0)
	}
	if at.next == h.size {
		return false, nil
	}
	next, err := s.collect(ctx, h, at.next)
	if next > at.next { // what comes before an unreadable event is sent
		if err := s.out.send(ctx, s.batch); err != nil {
			// A receiver that takes less than a batch in all its time
			// would get the same one again and again.
			s.limit = max(s.limit/2, 1)
			return false, fmt.Errorf("%w: %w", ErrUndelivered, err)
		}
		s.limit = min(2*s.limit, maxBatch)
		s.moved(h.key, position{h.origin, next}, int(next-at.next))
		s.save(false)
	}
	if err != nil {
		return false, sourceError(h.log, err)
	}
	return next < h.size, nil
}

// errFull ends a scan.
var errFull = errors.New("the batch is full")

// collect fills the batch, with one event at least, and says which is next.
func (s *sink) collect(ctx context.Context, h head, from int64) (next int64, err error) {
	s.batch, next = s.batch[:0], from
	err = s.Logs.Scan(ctx, h.log, from, min(h.size, from+unsavedEvents), func(seq int64, leaf []byte) error {
		if seq != next {
			return fmt.Errorf("event %d came in place of %d", seq, next)
		}
		l := line(h.origin, seq, leaf)
		if len(s.batch) > 0 && len(s.batch)+len(l)+overhead > s.limit {
			return errFull
		}
		s.batch = s.out.append(s.batch, l)
		next++
		return nil
	})
	if errors.Is(err, errFull) {
		err = nil
	} else if err == nil && next == from {
		err = fmt.Errorf("event %d is missing", from)
	}
	return next, err
}

// moved sets the position in a log, events further.
func (s *sink) moved(key string, to position, events int) {
	s.unsaved += events
	s.changed = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[key] = to
	s.sent += uint64(events)
}

// save the cursor if it is time. If that fails the sink goes on: its events are
// worth more than not to get some twice.
func (s *sink) save(now bool) {
	if !s.changed || !now && s.unsaved < unsavedEvents && s.Now().Sub(s.saved) < unsavedTime {
		return
	}
	s.saved = s.Now()
	s.saving = writeCursor(s.path, s.target.Name, s.at)
	if s.saving == nil {
		s.unsaved, s.changed = 0, false
	}
}

// report why the sink does not work, or that it does.
func (s *sink) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.trouble
	if s.trouble = ""; err != nil {
		s.trouble = err.Error()
	}
	switch {
	case was == "" && err != nil:
		s.since = s.Now()
		s.Log.Warn("audit events are not forwarded", "sink", s.target.Name, "error", err)
	case was != "" && err == nil:
		s.since = s.Now()
		s.Log.Info("audit events are forwarded again", "sink", s.target.Name)
	}
}

func sourceError(log string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrSource, log, err)
}
