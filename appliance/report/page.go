package report

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"gatehouse/store/audit"
)

// page is what the template shows.
type page struct {
	Style          template.CSS
	Policy         string
	Title, Command string
	Glance         []fact
	Sections       []section
}

// fact is a number with where it is explained.
type fact struct{ Number, Text, Section string }

type section struct {
	ID, Title string
	Text      []string
	Tables    []table
	Figure    *figure
}

type table struct {
	ID, Caption string
	Columns     []column
	Rows        [][]cell
	Cut         string // what is not shown
	Empty       string // said instead of a table without rows
}

type column struct {
	Name string
	How  look
}

// look of a column.
type look string

const (
	words  look = "words"
	code   look = "code" // an id, a code: as it stands in the log
	number look = "number"
	when   look = "when"
	share  look = "share" // a number with a bar
)

type cell struct {
	Text string
	How  look
	Bar  int64 // thousandths
}

func newTable(id, caption, empty string, columns ...column) table {
	return table{ID: id, Caption: caption, Empty: empty, Columns: columns}
}

// row of texts, by the looks of the columns.
func (t *table) row(texts ...string) {
	cells := make([]cell, len(texts))
	for i, s := range texts {
		cells[i] = cell{Text: s, How: t.Columns[i].How}
	}
	t.Rows = append(t.Rows, cells)
}

// bar is the share of the last row's last cell.
func (t *table) bar(n, of int64) {
	last := t.Rows[len(t.Rows)-1]
	c := &last[len(last)-1]
	if of > 0 {
		c.Bar = n * 1000 / of
	}
	if n > 0 {
		c.Bar = max(c.Bar, 5) // what is there is seen
	}
	c.Text = fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(of, 1)))
}

// shares makes a table of a tally with the share of each row in all.
func (t *tally) shares(id, caption, noun, empty string, columns ...column) table {
	out := newTable(id, caption, empty, append(columns, column{"Events", number}, column{"Share", share})...)
	rows, cut := t.top(noun)
	for _, r := range rows {
		out.row(append(r.texts(len(columns)), grouped(r.n), "")...)
		out.bar(r.n, t.events)
	}
	out.Cut = cut
	return out
}

// times makes a table of a tally with the first and last time of each row.
func (t *tally) times(id, caption, noun, empty string, columns ...column) table {
	out := newTable(id, caption, empty, append(columns, column{"Events", number}, column{"First (UTC)", when}, column{"Last (UTC)", when})...)
	rows, cut := t.top(noun)
	for _, r := range rows {
		out.row(append(r.texts(len(columns)), grouped(r.n), clock(r.first), clock(r.last))...)
	}
	out.Cut = cut
	return out
}

func (r *row) texts(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		if texts[i] = r.names[i]; texts[i] == "" {
			texts[i] = "none given"
		}
	}
	return texts
}

// table of a list's events.
func (t *list) table(id, caption, empty string) table {
	out := newTable(id, caption, empty, column{"Time (UTC)", when}, column{"Number", number}, column{"What", words}, column{"Who", code},
		column{"To what", code}, column{"Result", words}, column{"Reason", code}, column{"Details", code})
	first, last, between := t.shown()
	for _, e := range append(first[:len(first):len(first)], last...) {
		out.row(clock(e.at), strconv.FormatInt(e.seq, 10), e.what, e.who, e.object, string(e.result), e.reason, e.extra)
	}
	if between > 0 {
		out.Cut = fmt.Sprintf("Cut: the first %d and the last %d of %s are shown; the %s between are not.", half, half, grouped(t.n), grouped(between))
	}
	return out
}

// figure has a row of bars for each series, each on its own scale: what a row
// is, is said by its words and never by a colour.
type figure struct {
	ID, Caption, Axis string
	Strips            []strip
	Table             table
}

type strip struct {
	ID, Name, Title, Text string
	Width                 int
	Path                  string
}

// figure of the series that have events; nil where none has.
func (c *calendar) figure(id, caption string, names []string, of []int) *figure {
	starts := c.starts()
	if len(starts) == 0 {
		return nil
	}
	unit := c.unit.String()
	f := &figure{ID: id, Caption: caption + " by " + unit,
		Axis: fmt.Sprintf("From left to right: %s to %s, one bar a %s.", c.unit.name(starts[0]), c.unit.name(starts[len(starts)-1]), unit)}
	if c.unit == week {
		f.Axis += " A week is named by its Monday."
	}
	f.Table = newTable(id+"-table", f.Caption, "", column{strings.ToUpper(unit[:1]) + unit[1:], when})
	rows := make([][]string, len(starts))
	for i, d := range starts {
		rows[i] = []string{c.unit.name(d)}
	}
	for i, s := range of {
		one, counts := c.strip(starts, s)
		if one.Path == "" {
			continue
		}
		one.ID, one.Name = id+"-"+strconv.Itoa(i), names[i]
		one.Title = names[i] + " by " + unit
		f.Strips = append(f.Strips, one)
		f.Table.Columns = append(f.Table.Columns, column{names[i], number})
		for j, n := range counts {
			rows[j] = append(rows[j], grouped(n))
		}
	}
	if len(f.Strips) == 0 {
		return nil
	}
	for _, r := range rows {
		f.Table.row(r...)
	}
	return f
}

// strip of one series; without a path where nothing was counted.
func (c *calendar) strip(starts []int64, s int) (strip, []int64) {
	const step, thick, high = 10, 8, 100
	counts := make([]int64, len(starts))
	var total, most, peak int64
	for i, d := range starts {
		counts[i] = c.at(d, s)
		if total += counts[i]; counts[i] > most {
			most, peak = counts[i], d
		}
	}
	var b strings.Builder
	for i, n := range counts {
		if n > 0 {
			h := max(n*high/most, 2) // what is there is seen
			fmt.Fprintf(&b, "M%d %dv-%dh%dv%dz", i*step, high, h, thick, h)
		}
	}
	text := fmt.Sprintf("%s in all; the highest bar is %s (%s).", grouped(total), grouped(most), c.unit.name(peak))
	// Fewer than a dozen bars would be as wide as the page.
	return strip{Text: text, Width: max(len(starts), 12) * step, Path: b.String()}, counts
}

// behind says how far a clock was behind.
func behind(t audit.Time) string {
	return strconv.FormatFloat(float64(t)/1e9, 'f', 3, 64) + " s"
}
