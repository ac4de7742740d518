// Package watch sees what keeps a node from its work without an error: a disk
// that does not answer, one that is full, a clock that is behind, a state that
// is not that of the others. Where this node leads it lets another one lead, or
// ends the process, so that the others go on.
//
// It must never end a node that nobody could stand in for, never take a node
// out of the cluster, and never wait for what it watches.
package watch

import (
	"context"
	"fmt"
	"time"
)

const (
	lookEvery = time.Second
	listEvery = 10 // looks: the snapshots' folder is read
	// overdue, in looks of ten seconds, is a snapshot that was due all that time:
	// five minutes, five times the longest pause between two (package cluster), so
	// that one which takes its time raises no alarm. Looks are counted, not time: a
	// process that was stopped has missed none.
	overdue = 30
	// handEvery bounds hand-overs whose cause stays: two nodes with the same ill
	// must not pass leadership to and fro.
	handEvery = time.Minute
	// handTime bounds one: an election timeout (750 ms) decides it.
	handTime = time.Second
	// maxBehind the state's time may a leader's clock be (design, R17).
	maxBehind = time.Minute
)

// Config of a Dog. Its functions are called by several goroutines. Those that
// "answer at once" must not wait for a disk or a lock that is held over one.
type Config struct {
	// Stall is the time that a write may take; 0: DefaultStall.
	Stall time.Duration
	// Stalled is how long the write that is under way has taken, the node's or
	// the probe's, whichever is longer. Answers at once.
	Stalled func() time.Duration
	// Leading says whether this node leads. Answers at once.
	Leading func() bool
	// Voters of the cluster, this node among them. Answers at once.
	Voters func() int
	// Others is the number of the other voters that answer. Answers at once.
	Others func() int
	// Heir is a voter that answers, keeps up and has none of the ills for which
	// this node would give up leadership; "" where there is none. Answers at once.
	Heir func() string
	// Transfer leadership, to a node or, where to is "", to any.
	Transfer func(ctx context.Context, to string) error
	// Full says whether the disk's room is below its reserve.
	Full func() bool
	// Behind is how much this node's clock is behind the state's time.
	Behind func() time.Duration
	// Snapshots says whether those of Raft can be listed.
	Snapshots func() error
	// Due is how many entries the log has since a snapshot became due, and when the
	// oldest that it has was written; 0: none is due.
	Due func() (entries uint64, oldest time.Time)
	// Fatal ends the process with the exit code of the error. Answers at once, and
	// is called once at most.
	Fatal func(error)
	// Tell of an alarm: log, metrics, audit log. One call at a time; one that does
	// not return holds up nothing but the next.
	Tell func(Alarm)
}

// Dog watches one node. Safe for concurrent use.
type Dog struct {
	config Config
	alarms alarms
}

// New makes a Dog, which watches once Run is called.
func New(c Config) *Dog {
	if c.Stall <= 0 {
		c.Stall = DefaultStall
	}
	return &Dog{config: c, alarms: newAlarms()}
}

// Run watches until ctx ends. What waits for a disk then is left behind.
func (d *Dog) Run(ctx context.Context) {
	go d.alarms.tell(ctx, d.config.Tell)
	go d.ills(ctx)
	d.stalls(ctx)
}

// Alarms that have not ended, in the order of Kinds.
func (d *Dog) Alarms() []Alarm { return d.alarms.all() }

// Set raises an alarm that somebody else has found, or ends it; it is told where
// that is news. It does not wait.
func (d *Dog) Set(k Kind, on bool, detail string) { d.alarms.set(k, on, detail) }

// ill is why a node should not lead, or only what somebody must be told.
type ill struct {
	kind  Kind
	leads bool // all the same: another leader would not mend it
	every int  // looks
	look  func() (detail string, ails bool)
	ails  bool
}

// ills are looked for one after the other, apart from the stalls: a look may
// hang on a disk that does.
func (d *Dog) ills(ctx context.Context) {
	due := 0
	all := []*ill{
		{kind: Full, every: 1, look: func() (string, bool) { return "", d.config.Full() }},
		{kind: Late, every: 1, look: func() (string, bool) {
			behind := d.config.Behind()
			return fmt.Sprintf("%v behind", behind.Round(time.Second)), behind > maxBehind
		}},
		{kind: Unlisted, every: listEvery, look: func() (string, bool) {
			err := d.config.Snapshots()
			return fmt.Sprint(err), err != nil
		}},
		{kind: Growing, leads: true, every: listEvery, look: func() (string, bool) {
			entries, oldest := d.config.Due()
			if due++; entries == 0 {
				due = 0
			}
			return fmt.Sprintf("%d entries since a snapshot was due; the oldest of the log is of %s", entries, oldest.UTC().Format(time.RFC3339)), due > overdue
		}},
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	handed := time.Now().Add(-handEvery)
	for n := 0; ; n++ {
		var why *ill
		for _, i := range all {
			if n%i.every == 0 {
				var detail string
				detail, i.ails = i.look()
				d.Set(i.kind, i.ails, detail)
			}
			if i.ails && !i.leads && why == nil {
				why = i
			}
		}
		switch {
		case why == nil || !d.config.Leading() || d.config.Voters() < 2:
			d.Set(Kept, false, "")
		case time.Since(handed) >= handEvery:
			handed = time.Now()
			err := d.hand(ctx)
			d.Set(Kept, err != nil && d.config.Leading() && ctx.Err() == nil, fmt.Sprintf("%s: %v", why.kind, err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// hand leadership to a node that is well.
func (d *Dog) hand(ctx context.Context) error {
	heir := d.config.Heir()
	if heir == "" {
		return errNoHeir
	}
	return d.transfer(ctx, heir)
}

// transfer does not wait longer than handTime, whatever Transfer does.
func (d *Dog) transfer(ctx context.Context, to string) error {
	ctx, cancel := context.WithTimeout(ctx, handTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.config.Transfer(ctx, to) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
