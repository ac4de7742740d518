package forward

import (
	"context"
	"maps"
	"strings"
	"time"

	"gatehouse/store/audit"
)

// SinkStatus of one sink. The lag is that of the last poll.
type SinkStatus struct {
	Name, Kind string
	Sent       uint64    // events confirmed since the start
	Lag        int64     // events that wait
	LagSeconds float64   // age of the oldest of them
	Alarm      bool      // it is older than Config.AlarmAfter, or the sink has not worked for as long
	LastError  string    // why it does not work; empty: it does
	Since      time.Time // it works, or it does not
}

// Status of each sink, in the order of the configuration.
func (f *Forwarder) Status() []SinkStatus {
	all := make([]SinkStatus, len(f.sinks))
	for i, s := range f.sinks {
		s.mu.Lock()
		all[i] = SinkStatus{Name: s.target.Name, Kind: s.target.Kind, Sent: s.sent, Lag: s.lag,
			LagSeconds: s.age().Seconds(), Alarm: s.alarm, LastError: s.trouble, Since: s.since}
		s.mu.Unlock()
	}
	return all
}

// head of a log.
type head struct {
	log, key, origin string
	size             int64
}

func (c *Config) head(log string) (head, error) {
	origin, size, err := c.Logs.Size(log)
	if err != nil {
		return head{}, sourceError(log, err)
	}
	key, err := logOf(origin)
	if err != nil {
		return head{}, sourceError(log, err)
	}
	return head{log, key, origin, size}, nil
}

// closed gives what is left to send of the epochs of a log before the present one:
// a recovery closes a log, and not all of it had been sent. There may be none.
func (c *Config) closed(h head, p positions) (left []head, err error) {
	at, known := p[h.key]
	if !known {
		at = position{origin: inEpoch(h.key, 1)}
	}
	_, _, sent, err := audit.ParseOrigin(at.origin)
	if err != nil {
		return nil, err
	}
	_, _, present, err := audit.ParseOrigin(h.origin)
	for epoch := sent; epoch < present && err == nil; epoch++ {
		var old head
		// A log's name is its origin within the cluster.
		_, name, _ := strings.Cut(inEpoch(h.key, epoch), "/")
		// Where more was sent than the log has, a lost node had sent it.
		if old, err = c.head(name); err == nil && (old.origin != at.origin || at.next < old.size) && old.size > 0 {
			left = append(left, old)
		}
	}
	return left, err
}

// measure how far the sinks are behind. Their positions are read before the
// logs, so that none seems to be beyond a log's end.
func (f *Forwarder) measure(ctx context.Context) {
	at := make([]positions, len(f.sinks))
	for i, s := range f.sinks {
		at[i] = s.positions()
	}
	logs, err := f.Logs.Logs()
	var heads []head
	for _, log := range logs {
		if h, err := f.head(log); err == nil { // else the sinks report it
			heads = append(heads, h)
		}
	}
	for i, s := range f.sinks {
		if err == nil && at[i] != nil {
			due := heads
			for _, h := range heads {
				left, _ := f.closed(h, at[i]) // the sinks report what is wrong
				due = append(left, due...)
			}
			s.measure(ctx, at[i], due)
		}
		s.judge()
	}
}

// positions of a sink; nil: it is not known yet what is to be sent.
func (s *sink) positions() positions {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun && s.target.fromNow {
		return nil
	}
	return maps.Clone(s.at)
}

// waiting is the event at which a sink is in a log.
type waiting struct {
	position
	since time.Time
}

func (s *sink) measure(ctx context.Context, p positions, heads []head) {
	var lag int64
	var oldest time.Time
	waits := map[string]waiting{}
	for _, h := range heads {
		at := position{h.origin, p.in(h)}
		if at.next == h.size {
			continue
		}
		lag += h.size - at.next
		w, known := s.waits[h.origin]
		if !known || w.position != at {
			w = waiting{at, s.written(ctx, h.log, at.next)}
		}
		waits[h.origin] = w
		if oldest.IsZero() || w.since.Before(oldest) {
			oldest = w.since
		}
	}
	s.waits = waits
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag, s.oldest = lag, oldest
}

// judge whether to raise the alarm. A sink that does not work for so long raises
// it too: what cannot be read cannot be measured.
func (s *sink) judge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := s.age() > s.AlarmAfter || s.trouble != "" && s.Now().Sub(s.since) > s.AlarmAfter
	if late == s.alarm {
		return
	}
	if s.alarm = late; late {
		s.Log.Error("audit events wait too long for a sink", "sink", s.target.Name, "events", s.lag, "age", s.age(), "error", s.trouble)
	} else {
		s.Log.Info("audit events no longer wait too long for a sink", "sink", s.target.Name, "events", s.lag)
	}
}

// written says when an event was; now, if it cannot be read.
func (s *sink) written(ctx context.Context, log string, seq int64) time.Time {
	when := s.Now()
	_ = s.Logs.Scan(ctx, log, seq, seq+1, func(_ int64, leaf []byte) error { // the sink reports what is wrong
		e := readEvent(leaf)
		if t, ok := e.time(); ok {
			when = t
		}
		return nil
	})
	return when
}

// age of the oldest event that waits; s.mu is held.
func (s *sink) age() time.Duration {
	if s.lag == 0 {
		return 0
	}
	return max(0, s.Now().Sub(s.oldest)) // clocks of nodes differ
}
