package report

import "gatehouse/store/audit"

// half of a list is its first events, half its last: what is between is cut.
const half = 50

// list of events, in order.
type list struct {
	n    int64
	head []entry
	tail []entry // a ring, when it is full
}

type entry struct {
	seq                              int64
	at                               audit.Time
	what, who, object, reason, extra string
	result                           audit.Result
}

func (t *list) add(l *audit.Leaf) {
	e := entry{
		seq: l.Seq, at: l.TS, result: l.Result,
		what: what(l.Action), who: harmless(who(l), maxText), object: harmless(object(l), maxText),
		reason: harmless(l.Reason, maxText), extra: details(l),
	}
	switch {
	case len(t.head) < half:
		t.head = append(t.head, e)
	case len(t.tail) < half:
		t.tail = append(t.tail, e)
	default:
		t.tail[(t.n-half)%half] = e
	}
	t.n++
}

// shown gives the events, and how many are left out after the first ones.
func (t *list) shown() (first, last []entry, between int64) {
	if t.n <= 2*half {
		return t.head, t.tail, 0
	}
	oldest := (t.n - half) % half
	last = append(append(last, t.tail[oldest:]...), t.tail[:oldest]...)
	return t.head, last, t.n - 2*half
}
