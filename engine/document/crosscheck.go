package document

import (
	"strings"
	"time"

	"gatehouse/engine/document/mrz"
)

// Field is one value of the zone.
type Field struct {
	Value string `json:"value"`
	// Visual is the printed text that was compared with it; empty where none
	// was like it, which proves nothing.
	Visual    string    `json:"visual,omitempty"`
	Agreement Agreement `json:"agreement,omitempty"`
}

// Agreement is how a printed text relates to the zone's value.
type Agreement string

const (
	Confirmed Agreement = "confirmed" // it holds the value, letter by letter
	Similar   Agreement = "similar"   // it differs only in letters that readers confuse
	Conflicts Agreement = "conflicts" // it differs in one letter that they do not
)

// Conflict is a printed text that is nearly the zone's value and not it.
type Conflict struct {
	Field  string `json:"field"`
	Zone   string `json:"zone"`
	Visual string `json:"visual"`
}

// Names of the fields that the printed text is compared with.
const (
	fieldNumber  = "number"
	fieldSurname = "surname"
	fieldGiven   = "given_names"
	fieldBirth   = "birth"
	fieldExpiry  = "expiry"
)

func (d *Document) fillFields() {
	f := &d.MRZ.Fields
	for name, value := range map[string]string{
		fieldNumber: f.Number, fieldSurname: f.Surname, fieldGiven: f.GivenNames, fieldBirth: f.Birth.ISO, fieldExpiry: f.Expiry.ISO,
		"issuer": f.Issuer, "nationality": f.Nationality, "sex": f.Sex, "optional": f.Optional, "optional2": f.Optional2,
	} {
		if value != "" {
			d.Fields[name] = Field{Value: value}
		}
	}
}

// crossCheck looks for the fields in the printed text.
func (d *Document) crossCheck() {
	var lines []printed
	for _, t := range d.Text {
		// The zone itself was read as text too, and is no second witness.
		if !zoneLike(t.Text) {
			lines = append(lines, printed{t.Text, mrz.Foldings(t.Text)})
		}
	}
	for _, name := range []string{fieldNumber, fieldSurname, fieldGiven, fieldBirth, fieldExpiry} {
		f, ok := d.Fields[name]
		if !ok {
			continue
		}
		switch name {
		case fieldBirth, fieldExpiry:
			f.Visual, f.Agreement = compareDate(f.Value, lines)
		default:
			f.Visual, f.Agreement = compareText(f.Value, lines, name == fieldNumber, d.MRZ.Fields.NameTruncated)
		}
		d.Fields[name] = f
		if f.Agreement == Conflicts {
			d.Conflicts = append(d.Conflicts, Conflict{name, f.Value, f.Visual})
		}
	}
}

// zoneLike says whether a text may be a line of the zone: fillers, or where it
// has none a long run of letters and digits without a space.
func zoneLike(text string) bool {
	return strings.Count(text, "<") >= 3 ||
		len(text) >= minGreedy && strings.ContainsAny(text, "0123456789") && !strings.Contains(text, " ")
}

type printed struct {
	text     string
	foldings []string
}

// compareText gives the text that holds the value, or failing that the one
// nearest to it. Names that the zone cut off go on in print.
func compareText(value string, lines []printed, isNumber, cut bool) (visual string, a Agreement) {
	if isNumber {
		value = alphanumeric(value)
	}
	for _, l := range lines {
		candidates := l.foldings
		if isNumber {
			candidates = []string{alphanumeric(l.text)}
		}
		for _, c := range candidates {
			if isNumber && (c == value || len(value) >= minPart && strings.Contains(c, value)) || !isNumber && strings.Contains(" "+c+" ", " "+value+" ") {
				return l.text, Confirmed
			}
			if cut && !isNumber && len(value) >= minPart && strings.HasPrefix(c, value) {
				return l.text, Confirmed
			}
			if len(c) != len(value) {
				continue
			}
			switch different, clearly := differing(c, value); {
			case clearly == 0:
				visual, a = l.text, Similar
			case a == "" && len(value) >= 6 && different == 1: // short words are near to everything
				visual, a = l.text, Conflicts
			}
		}
	}
	return visual, a
}

// minPart is the least length of a value that may be confirmed by a part of a
// text, or by a text that goes on: shorter ones are found by chance.
const minPart = 6

// confirms says whether the printed text, read by itself, says what no check
// digit covers: the names, and the number, which two errors may cancel out in.
func (d *Document) confirms() bool {
	for _, name := range []string{fieldNumber, fieldSurname, fieldGiven} {
		if f, ok := d.Fields[name]; ok && f.Agreement != Confirmed {
			return false
		}
	}
	return d.Fields[fieldSurname].Agreement == Confirmed
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

// compareDate gives the text that prints the date.
func compareDate(iso string, lines []printed) (visual string, a Agreement) {
	want, err := time.Parse(time.DateOnly, iso)
	if err != nil {
		return "", ""
	}
	for _, l := range lines {
		for _, layout := range dateLayouts {
			for _, part := range dateParts(l.text) {
				if t, err := time.Parse(layout, part); err == nil && (t.Equal(want) || len(layout) == 9 && t.Year()%100 == want.Year()%100 && t.YearDay() == want.YearDay()) {
					return l.text, Confirmed
				}
			}
		}
	}
	return "", ""
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
