package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxInteger is the largest integer that every JSON reader keeps exact: RFC
// 8785, section 3.2.2.3, takes numbers as IEEE 754 doubles.
const maxInteger = 1<<53 - 1

// maxDepth of nested objects in a leaf's data: enough for a model's scores by
// picture, and an end to a map that holds itself.
const maxDepth = 4

// writer makes RFC 8785 JSON of what a leaf may hold: objects, strings, integers,
// booleans and lists of strings. The first error stays; max bounds what it
// writes.
type writer struct {
	b   []byte
	max int
	err error
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) raw(s string) {
	if w.err != nil {
		return
	}
	if len(w.b)+len(s) > w.max {
		w.err = fmt.Errorf("%w: more than %d bytes", ErrLeafTooLarge, w.max)
		return
	}
	w.b = append(w.b, s...)
}

// key starts a member of the open object. Callers give keys in canonical order.
func (w *writer) key(k string) {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' {
		w.raw(",")
	}
	w.text(k)
	w.raw(":")
}

// text writes a string. Control characters are refused, not escaped: they forge
// lines in whatever shows the log. So only two characters need an escape.
func (w *writer) text(s string) {
	if plain(s) && len(w.b)+len(s)+2 <= w.max && w.err == nil {
		w.b = append(w.b, '"')
		w.b = append(w.b, s...)
		w.b = append(w.b, '"')
		return
	}
	if err := clean(s); err != nil {
		w.fail(err)
		return
	}
	w.raw(`"`)
	start := 0
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' {
			w.raw(s[start:i])
			w.raw(`\`)
			start = i
		}
	}
	w.raw(s[start:])
	w.raw(`"`)
}

func (w *writer) integer(n int64) {
	if n > maxInteger || n < -maxInteger {
		w.fail(fmt.Errorf("%w: %d is beyond ±%d: write it as a string", ErrLeaf, n, int64(maxInteger)))
		return
	}
	w.raw(strconv.FormatInt(n, 10))
}

func (w *writer) list(list []string) {
	w.raw("[")
	for i, s := range list {
		if i > 0 {
			w.raw(",")
		}
		w.text(s)
	}
	w.raw("]")
}

func (w *writer) value(v any, depth int) {
	switch v := v.(type) {
	case string:
		w.text(v)
	case bool:
		w.raw(strconv.FormatBool(v))
	case int:
		w.integer(int64(v))
	case int64:
		w.integer(v)
	case []string:
		w.list(v)
	case map[string]any:
		if depth == maxDepth {
			w.fail(fmt.Errorf("%w: data is nested deeper than %d", ErrLeaf, maxDepth))
			return
		}
		w.raw("{")
		for _, k := range sorted(v) {
			if w.err != nil {
				return
			}
			w.key(k)
			w.value(v[k], depth+1)
		}
		w.raw("}")
	default:
		w.fail(fmt.Errorf("%w: data may hold strings, integers, booleans, lists of strings and maps of these, not %T", ErrLeaf, v))
	}
}

// sorted gives the keys of m by their UTF-16 code units (RFC 8785, 3.2.3).
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareUTF16)
	return keys
}

func compareUTF16(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			return cmp.Or(cmp.Compare(leading(x), leading(y)), cmp.Compare(x, y))
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// leading is the first UTF-16 code unit of r.
func leading(r rune) rune {
	if high, _ := utf16.EncodeRune(r); high != utf8.RuneError {
		return high
	}
	return r
}

// plain tells whether s is ASCII that needs neither a look nor an escape, as nearly
// all of a leaf is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// clean refuses what has no place in a log line: text that is not UTF-8, control
// characters, line separators, and the marks that turn the reading direction (a
// name shown backwards). The ranges are written out: the tables of package
// unicode change between releases, and two nodes must agree.
func clean(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: not UTF-8", ErrText)
	}
	for _, r := range s {
		switch {
		case r < 0x20, 0x7f <= r && r < 0xa0, r == 0x2028, r == 0x2029,
			0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069:
			return fmt.Errorf("%w: the character %U", ErrText, r)
		}
	}
	return nil
}
