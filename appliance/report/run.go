package report

import "gatehouse/store/audit"

// maxGaps that are named; all are counted.
const maxGaps = 20

// run of the leaves: which are there, and what their clocks say.
type run struct {
	next        int64 // expected
	leaves      int64
	missing     int64
	gapCount    int64
	gaps        []gap
	first, last audit.Time
	before      audit.Time // of the leaf before
	steps       int64      // back, from one leaf to the next
	behind      audit.Time // the furthest that ts was behind ts_mono
}

type gap struct{ from, to int64 } // leaves [from, to)

func (r *run) add(l *audit.Leaf) {
	r.miss(l.Seq)
	r.next = l.Seq + 1
	if r.leaves == 0 || l.TS < r.first {
		r.first = l.TS
	}
	if r.leaves == 0 || l.TS > r.last {
		r.last = l.TS
	}
	if r.leaves > 0 && l.TS < r.before {
		r.steps++
	}
	r.before = l.TS
	r.behind = max(r.behind, l.TSMono-l.TS)
	r.leaves++
}

// miss all from the expected one to the one given.
func (r *run) miss(to int64) {
	if to <= r.next {
		return
	}
	r.gapCount++
	r.missing += to - r.next
	if len(r.gaps) < maxGaps {
		r.gaps = append(r.gaps, gap{r.next, to})
	}
}

// until gives the run as it is if nothing comes any more before the end.
func (r run) until(to int64) run {
	r.gaps = r.gaps[:len(r.gaps):len(r.gaps)] // what is added is the copy's alone
	r.miss(to)
	return r
}
