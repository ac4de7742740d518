package replica

import "time"

// Timing is what tests may shorten, before Run and Handler.
type Timing struct {
	Idle, Send, Hedge, Ask, Shun, Queue *time.Duration
	Pass, Gap, ScrubFirst, ScrubEvery   *time.Duration
	Missing, ScrubRate, Writers         *int
}

func Timings(r *Replica) Timing {
	t := &r.timing
	return Timing{&t.idle, &t.send, &t.hedge, &t.ask, &t.shun, &t.queue,
		&t.pass, &t.gap, &t.scrubFirst, &t.scrubEvery,
		&t.missing, &t.scrubRate, &t.writersAtATime}
}

var ReadNames, WriteNames = readNames, writeNames
