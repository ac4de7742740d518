package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Fault is one that is under way, until End or the lab's Close.
type Fault struct {
	Number int // in the timeline
	Name   string
	Where  string

	lab *Lab
	key string
	end func() error

	mu    sync.Mutex
	ended bool
}

// Event of the timeline.
type Event struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"`             // begin, end; open, start, exit, close
	Number int       `json:"number,omitempty"` // of the fault
	Fault  string    `json:"fault,omitempty"`
	Where  string    `json:"where,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// begin a fault. Where key is not empty it is under way only once.
func (l *Lab) begin(name, where, detail string, needs Ability, key string, do func() (func() error, error)) (*Fault, error) {
	if err := l.able[needs]; err != nil {
		return nil, fmt.Errorf("%s of %s: %w", name, where, err)
	}
	f := &Fault{Name: name, Where: where, lab: l, key: key}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return nil, ErrClosed
	case key != "" && l.taken[key]:
		l.mu.Unlock()
		return nil, fmt.Errorf("%s of %s is %w", name, where, ErrActive)
	case key != "":
		l.taken[key] = true
	}
	l.number++
	f.Number = l.number
	l.beginning.Add(1)
	l.mu.Unlock()
	defer l.beginning.Done()

	var err error
	f.end, err = do()
	if err != nil {
		l.release(key)
		return nil, fmt.Errorf("%s of %s: %w", name, where, err)
	}
	l.mu.Lock()
	l.faults = append(l.faults, f)
	l.mu.Unlock()
	l.tell(Event{What: "begin", Number: f.Number, Fault: name, Where: where, Detail: detail})
	return f, nil
}

func (l *Lab) release(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.taken, key)
}

// End the fault. One that has ended is left alone; one that could not be ended
// may be ended again.
func (f *Fault) End() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	if err := f.end(); err != nil {
		return fmt.Errorf("end of %s of %s: %w", f.Name, f.Where, err)
	}
	f.ended = true
	l := f.lab
	l.mu.Lock()
	l.faults = slices.DeleteFunc(l.faults, func(o *Fault) bool { return o == f })
	l.mu.Unlock()
	l.release(f.key)
	l.tell(Event{What: "end", Number: f.Number, Fault: f.Name, Where: f.Where})
	return nil
}

// Hold lets the fault last for so long, or until ctx ends, and then ends it.
func (f *Fault) Hold(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return errors.Join(f.End(), ctx.Err())
}

// tell adds to the timeline.
func (l *Lab) tell(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At = time.Now()
	l.events = append(l.events, e)
	if b, err := json.Marshal(e); err == nil {
		_, _ = l.timeline.Write(append(b, '\n')) // a timeline is a help, not a promise
	}
	l.config.Log.Debug("lab: "+e.What, "number", e.Number, "fault", e.Fault, "where", e.Where, "detail", e.Detail)
}

// Timeline of what the lab did so far; DIR/timeline.jsonl has it too.
func (l *Lab) Timeline() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}
