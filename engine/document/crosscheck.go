package document

import (
	"strings"
	"time"

	"gatehouse/engine/document/mrz"
)

// CrossCheck compares one field of the zone with the printed text.
type CrossCheck struct {
	Field  string `json:"field"`
	Zone   string `json:"zone"`
	Visual string `json:"visual"` // the printed text that was compared
	// Agrees: the printed text holds the value. Where neither it nor anything
	// near it was found the field is not listed at all.
	Agrees bool `json:"agrees"`
}

// crossCheck fills Fields and Conflicts. A conflict needs a printed text that
// is nearly the value and not the value: absence proves nothing.
func (d *Document) crossCheck() {
	f := &d.MRZ.Fields
	var lines []printed
	for _, t := range d.Text {
		// The zone itself was read as text too.
		if strings.Count(t.Text, "<") >= 3 {
			continue
		}
		lines = append(lines, printed{t.Text, mrz.Foldings(t.Text)})
	}
	d.Fields = nil
	for _, c := range []struct {
		field, value string
		near         int // letters that may differ and still be the same field misread
	}{
		{"number", f.Number, 1}, {"surname", f.Surname, 1}, {"given_names", f.GivenNames, 1},
		{"birth", f.Birth.ISO, 0}, {"expiry", f.Expiry.ISO, 0},
	} {
		if c.value == "" {
			continue
		}
		var found CrossCheck
		var ok bool
		switch c.field {
		case "birth", "expiry":
			found, ok = compareDate(c.value, lines)
		default:
			found, ok = compareText(c.value, lines, c.near, c.field == "number")
		}
		if !ok {
			continue
		}
		found.Field, found.Zone = c.field, c.value
		d.Fields = append(d.Fields, found)
		if !found.Agrees {
			d.Conflicts = append(d.Conflicts, found)
		}
	}
}

type printed struct {
	text     string
	foldings []string
}

func compareText(value string, lines []printed, near int, digits bool) (CrossCheck, bool) {
	best := CrossCheck{}
	found := false
	for _, l := range lines {
		candidates := l.foldings
		if digits {
			candidates = []string{alphanumeric(l.text)}
		}
		for _, c := range candidates {
			if digits && strings.Contains(c, alphanumeric(value)) || !digits && strings.Contains(" "+c+" ", " "+value+" ") {
				return CrossCheck{Visual: l.text, Agrees: true}, true
			}
			if len(c) != len(value) {
				continue
			}
			switch different, clearly := differing(c, value); {
			case clearly == 0:
				return CrossCheck{Visual: l.text, Agrees: true}, true
			case len(value) >= 6 && different <= near: // short words are near to everything
				best, found = CrossCheck{Visual: l.text}, true
			}
		}
	}
	return best, found
}

func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 128 && mrz.Index(byte(r)) >= 0 && r != '<' {
			return r
		}
		return -1
	}, strings.ToUpper(s))
}

// differing counts the letters in which two texts of one length differ, and
// those of them that the recogniser does not mistake for each other.
func differing(a, b string) (different, clearly int) {
	for i := range len(a) {
		if a[i] == b[i] {
			continue
		}
		different++
		if !mrz.Confusable(a[i], b[i]) {
			clearly++
		}
	}
	return different, clearly
}

// dateLayouts are the ways in which documents print dates.
var dateLayouts = []string{"02.01.2006", "2006-01-02", "02/01/2006", "01/02/2006", "02-01-2006", "02 01 2006", "02 Jan 2006", "2 Jan 2006", "02 January 2006", "02 Jan 06", "02.01.06", "02 01 06", "02Jan2006"}

func compareDate(iso string, lines []printed) (CrossCheck, bool) {
	want, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		return CrossCheck{}, false
	}
	for _, l := range lines {
		for _, layout := range dateLayouts {
			for _, part := range dateParts(l.text) {
				if t, err := time.Parse(layout, part); err == nil && (t.Equal(want) || len(layout) == 9 && t.Year()%100 == want.Year()%100 && t.YearDay() == want.YearDay()) {
					return CrossCheck{Visual: l.text, Agrees: true}, true
				}
			}
		}
	}
	return CrossCheck{}, false
}

// dateParts are the texts of a line that may be a date: the whole, and with a
// month named in two languages ("12 AUG/AOU 64") the first.
func dateParts(s string) []string {
	s = strings.ToUpper(strings.Join(strings.Fields(s), " "))
	parts := []string{title(s)}
	if i := strings.IndexByte(s, '/'); i > 0 {
		rest := strings.TrimLeft(s[i+1:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ. ")
		parts = append(parts, title(strings.TrimSpace(s[:i])+" "+rest))
	}
	return parts
}

// title writes months as Go's layouts have them.
func title(s string) string {
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		if c >= 'a' && c <= 'z' && (i == 0 || b[i-1] < 'a' || b[i-1] > 'z') {
			b[i] = c - 32
		}
	}
	return string(b)
}
