package replica

import "time"

// Limits are what tests may shorten, before Run and Handler.
type Limits struct {
	Idle, Send, Hedge, Ask, Shun, Queue *time.Duration
	Pass, Gap, ScrubFirst, ScrubEvery   *time.Duration
	Missing, ScrubRate, Writers         *int
}

func LimitsOf(r *Replica) Limits {
	t := &r.limits
	return Limits{&t.idle, &t.send, &t.hedge, &t.ask, &t.shun, &t.queue,
		&t.pass, &t.gap, &t.scrubFirst, &t.scrubEvery,
		&t.missing, &t.scrubRate, &t.writers}
}

var ReadNames, WriteNames = readNames, writeNames

// Pass looks for all blobs once.
var Pass = (*Replica).pass
