package report

import (
	"time"

	"gatehouse/store/audit"
)

// What is counted by day beside the kinds.
const (
	begun = int(kinds) + iota
	accepted
	toReview
	rejected
	otherwise
	undecided
	series // how many
)

// unit of time that one bar stands for.
type unit int

const (
	day unit = iota
	week
	month
	year
)

func (u unit) String() string { return [...]string{"day", "week", "month", "year"}[u] }

// most bars of a unit: a quarter by day, two years by week, ten by month. All
// of time has fewer than 600 years, for it is counted in nanoseconds.
func (u unit) most() int { return [...]int{92, 106, 120, 600}[u] }

// start of the unit that holds a day. Days count from 1970-01-01, a Thursday.
func (u unit) start(d int64) int64 {
	switch t := date(d); u {
	case week:
		return d - int64((t.Weekday()+6)%7) // ISO 8601: weeks begin on Monday
	case month:
		return dayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
	case year:
		return dayOf(time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return d
}

func (u unit) next(start int64) int64 {
	longest := [...]int64{1, 7, 31, 366}[u]
	return u.start(start + longest)
}

func (u unit) name(start int64) string {
	return date(start).Format([...]string{"2006-01-02", "2006-01-02", "2006-01", "2006"}[u])
}

func date(d int64) time.Time { return time.Unix(d*86400, 0).UTC() }
func dayOf(t time.Time) int64 {
	return (t.Unix() - int64(t.Hour()*3600+t.Minute()*60+t.Second())) / 86400
}

// calendar counts by day, and by longer units when there are too many days.
type calendar struct {
	unit        unit
	counts      map[int64]*[series]int64 // by the start of the unit
	first, last int64
}

func (c *calendar) add(at audit.Time, what int) {
	d := c.unit.start(dayOf(time.Unix(0, int64(at)).UTC()))
	if n := c.counts[d]; n != nil {
		n[what]++
		return
	}
	if c.counts == nil {
		c.counts, c.first, c.last = map[int64]*[series]int64{}, d, d
	}
	c.counts[d] = new([series]int64)
	c.counts[d][what]++
	c.first, c.last = min(c.first, d), max(c.last, d)
	for c.unit < year && c.bars() > c.unit.most() {
		c.coarsen()
	}
}

// bars from the first to the last, counted up to one more than may be.
func (c *calendar) bars() int {
	n := 1
	for d := c.first; d < c.last && n <= c.unit.most(); d = c.unit.next(d) {
		n++
	}
	return n
}

func (c *calendar) coarsen() {
	fine := c.counts
	c.unit++
	c.first, c.last, c.counts = c.unit.start(c.first), c.unit.start(c.last), map[int64]*[series]int64{}
	for d, counts := range fine {
		at := c.unit.start(d)
		if c.counts[at] == nil {
			c.counts[at] = new([series]int64)
		}
		for i, n := range counts {
			c.counts[at][i] += n
		}
	}
}

// starts of all units, empty ones too.
func (c *calendar) starts() (all []int64) {
	if c.counts == nil {
		return nil
	}
	for d := c.first; d <= c.last; d = c.unit.next(d) {
		all = append(all, d)
	}
	return all
}

func (c *calendar) at(start int64, what int) int64 {
	if n := c.counts[start]; n != nil {
		return n[what]
	}
	return 0
}
