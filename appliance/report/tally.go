package report

import (
	"cmp"
	"maps"
	"slices"

	"gatehouse/store/audit"
)

const (
	// maxNames that a tally tells apart: more than a bank has reviewers. Four
	// names of maxText each make that 2 MiB at most, for each of a dozen tallies.
	maxNames = 2048
	// maxRows of a tally that are shown.
	maxRows = 25
)

// names that are counted together; unused ones are empty.
type names [4]string

// tally counts events by names. When it knows maxNames, events of others are
// counted together.
type tally struct {
	known  map[names]*counted
	others int64
	events int64
}

type counted struct {
	n           int64
	first, last audit.Time
	behind      audit.Time // the furthest that ts was behind ts_mono
}

func (t *tally) add(l *audit.Leaf, by ...string) {
	t.events++
	var k names
	for i, s := range by {
		k[i] = harmless(s, maxText)
	}
	c := t.known[k]
	if c == nil {
		if len(t.known) == maxNames {
			t.others++
			return
		}
		if t.known == nil {
			t.known = map[names]*counted{}
		}
		c = &counted{first: l.TS, last: l.TS}
		t.known[k] = c
	}
	c.n++
	c.first, c.last = min(c.first, l.TS), max(c.last, l.TS)
	c.behind = max(c.behind, l.TSMono-l.TS)
}

type row struct {
	names
	counted
}

// top rows, the most frequent first, and a line that says what is left out.
func (t *tally) top(noun string) (rows []row, cut string) {
	all := slices.SortedFunc(maps.Keys(t.known), func(a, b names) int {
		return cmp.Or(cmp.Compare(t.known[b].n, t.known[a].n), slices.Compare(a[:], b[:]))
	})
	shown := all[:min(len(all), maxRows)]
	for _, k := range shown {
		rows = append(rows, row{k, *t.known[k]})
	}
	rest := t.others
	for _, k := range all[len(shown):] {
		rest += t.known[k].n
	}
	switch more := count(int64(len(all)-len(shown)), noun, noun+"s"); {
	case t.others > 0:
		cut = "Cut: " + more + " and all that came after the first " + grouped(maxNames) + " are not shown; together " + count(rest, "event", "events") + "."
	case len(all) > len(shown):
		cut = "Cut: " + more + " with fewer events are not shown; together " + count(rest, "event", "events") + "."
	}
	return rows, cut
}
