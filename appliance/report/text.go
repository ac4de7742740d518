package report

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/store/audit"
)

// How many bytes of a text from outside are shown: the longest code of a leaf,
// the names of a few keys, some members of data.
const (
	maxText    = 128
	maxMeta    = 1024
	maxDetails = 256
)

// harmless makes a text showable: what does not print, or changes the direction
// of others, is replaced, and a long one is cut. One that was changed gets four
// bytes of its SHA-256, so that two different ones do not look the same.
func harmless(s string, most int) string {
	if len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if b.Len() >= most {
			b.WriteRune('…')
			break
		}
		if unprintable(c) {
			c = utf8.RuneError
		}
		b.WriteRune(c)
	}
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%s (%x)", b.String(), sum[:4])
}

func unprintable(c rune) bool { return !unicode.IsPrint(c) }

// who did it.
func who(l *audit.Leaf) string { return strings.TrimSpace(l.Actor.Type + " " + l.Actor.ID) }

// object that it was done to.
func object(l *audit.Leaf) string { return strings.TrimSpace(l.Object.Type + " " + l.Object.ID) }

// witness that cosigned: the name of its key.
func witness(l *audit.Leaf) string {
	vkey, _ := l.Data["witness"].(string)
	name, _, _ := strings.Cut(vkey, "+")
	return cmp.Or(name, who(l))
}

func what(a audit.Action) string { return cmp.Or(a.Meaning(), harmless(string(a), maxText)) }

// details of an event: its data, by name.
func details(l *audit.Leaf) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(l.Data)) {
		var v string
		switch d := l.Data[name].(type) {
		case map[string]any:
			v = "…"
		case []string:
			v = strings.Join(d, " ")
		default:
			v = fmt.Sprint(d)
		}
		all = append(all, name+": "+v)
	}
	return harmless(strings.Join(all, "; "), maxDetails)
}

// grouped writes a number as people read it: 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count writes a number with its noun.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

func clock(t audit.Time) string { return moment(time.Unix(0, int64(t))) }

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}
