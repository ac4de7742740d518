package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/store/audit/trust"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	w1, _ := witness(t, "a.example", "1")
	w2, _ := witness(t, "z.example", "2")
	both := cosigned(t, b, noon, w1, w2)
	later := cosigned(t, b, noon.Add(time.Hour), w1)
	one, two, late := lines(both)[1], lines(both)[2], lines(later)[1]
	text, _, _ := strings.Cut(string(b), "\n\n")
	joined := func(l ...string) string { return text + "\n\n" + strings.Join(append(lines(b), l...), "\n") + "\n" }
	for name, c := range map[string]struct {
		b     []byte
		lines []string
		want  string
	}{
		"nothing":                       {b, nil, joined()},
		"in order":                      {b, []string{one, two}, joined(one, two)},
		"in another order":              {b, []string{two + "\n", one + "\n"}, joined(one, two)},
		"again":                         {both, []string{two, one, lines(b)[0]}, joined(one, two)},
		"the note's own is kept":        {both, []string{late}, joined(one, two)},
		"the earlier of lines is kept":  {b, []string{late, one}, joined(late)},
		"a note that is not in order":   {cosigned(t, b, noon, w2, w1), nil, joined(one, two)},
		"the log's line comes last":     {[]byte(joined()[:len(text)+2] + two + "\n" + lines(b)[0] + "\n"), []string{one}, joined(one, two)},
		"the log's line is what's new":  {[]byte(joined()[:len(text)+2] + one + "\n"), []string{lines(b)[0]}, joined(one)},
		"any note, not of a checkpoint": {signed(t, "x\n\ny\n", "z", "a"), nil, string(signed(t, "x\n\ny\n", "z", "a"))},
	} {
		if got, err := trust.Merge(c.b, c.lines...); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%s\ninstead of\n%s", name, err, got, c.want)
		}
	}
}

// Of a crowd too, each line of the note's own is kept.
func TestMergeKeepsTheFirst(t *testing.T) {
	t.Parallel()
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	early, late := b, b
	for i := range 40 {
		w, _ := witness(t, fmt.Sprintf("w.example/%02d", i), fmt.Sprint(i))
		early, late = cosigned(t, early, noon, w), cosigned(t, late, noon.Add(time.Hour), w)
	}
	if got, err := trust.Merge(early, lines(late)...); err != nil || !bytes.Equal(got, early) {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	var many []string
	for i := range 100 {
		many = append(many, strings.Replace(example, "w1", fmt.Sprint("w", i), 1))
	}
	long := "— w " + strings.Repeat("AAAA", 1<<13)
	for name, c := range map[string]struct {
		b     []byte
		lines []string
		want  error
	}{
		"no note":              {[]byte("text\n"), []string{example}, trust.ErrNote},
		"an empty line":        {b, []string{""}, trust.ErrLine},
		"two lines in one":     {b, []string{example + "\n" + many[2]}, trust.ErrLine},
		"a line that is text":  {b, []string{"more text\n\n" + example}, trust.ErrLine},
		"no signature":         {b, []string{"— w1 "}, trust.ErrLine},
		"more than a note has": {b, many, trust.ErrNote},
		"larger than a note":   {b, []string{long, strings.Replace(long, "w", "x", 1)}, trust.ErrNote},
	} {
		if got, err := trust.Merge(c.b, c.lines...); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := trust.Merge(b, many[:99]...); err != nil || bytes.Count(got, []byte("—")) != 100 {
		t.Errorf("a hundred lines: %v", err)
	}
}
