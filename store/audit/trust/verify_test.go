package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

func TestVerifyTellsWhoSigned(t *testing.T) {
	t.Parallel()
	w1, vkey1 := witness(t, "w.example/1", "1")
	w2, vkey2 := witness(t, "w.example/2", "2")
	stranger, strangers := witness(t, "w.example/3", "3")
	p := policy(t, "log "+vkey(t, log1, "a"), "log "+vkey(t, log1, "b"), "log "+vkey(t, log2, "c"),
		"witness Anna "+vkey1, "witness Bob "+vkey2, "quorum Bob")
	b := head(t, log1, 5, grown(t, 5, honest), "b", "a", "c") // c is not pinned for this log
	b = cosigned(t, b, noon, stranger, w2)
	b = cosigned(t, b, noon.Add(time.Second), w1)
	v, err := p.Verify(b, log1)
	if err != nil {
		t.Fatal(err)
	}
	if v.Origin != log1 || v.Size != 5 || v.Root != root(t, 5, grown(t, 5, honest)) || len(v.Signatures) != 4 {
		t.Errorf("%+v", v.Checkpoint)
	}
	if want := []string{id(vkey(t, log1, "a")), id(vkey(t, log1, "b"))}; !reflect.DeepEqual(v.Keys, want) {
		t.Errorf("signed by %q", v.Keys)
	}
	if want := []trust.Cosigned{{"Anna", noon.Add(time.Second)}, {"Bob", noon}}; !reflect.DeepEqual(v.Cosigned, want) {
		t.Errorf("cosigned by %v", v.Cosigned)
	}
	if want := []string{id(vkey(t, log1, "c")), id(strangers)}; !reflect.DeepEqual(v.Unknown, want) {
		t.Errorf("unknown %q", v.Unknown)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	h := grown(t, 9, honest)
	w1, vkey1 := witness(t, "w.example/1", "1")
	namesake, _ := witness(t, "w.example/1", "evil")
	p := policy(t, "log "+vkey(t, log1, "a"), "witness w1 "+vkey1, "quorum w1")
	good := cosigned(t, head(t, log1, 5, h, "a"), noon, w1)
	if _, err := p.Verify(good, log1); err != nil {
		t.Fatal(err)
	}
	larger := cosigned(t, head(t, log1, 6, h, "a"), noon, w1)
	for name, c := range map[string]struct {
		b      []byte
		origin string
		want   error
	}{
		"nothing":                          {nil, log1, audit.ErrCheckpoint},
		"no signature":                     {[]byte(parsed(t, good).Text() + "\n"), log1, audit.ErrCheckpoint},
		"another note of the log":          {signed(t, "hello\n", log1, "a"), log1, audit.ErrCheckpoint},
		"another size":                     {bytes.Replace(good, []byte("\n5\n"), []byte("\n6\n"), 1), log1, trust.ErrSignature},
		"the log's line of another size":   {swapLine(good, larger, 0), log1, trust.ErrSignature},
		"a cosignature of another size":    {swapLine(good, larger, 1), log1, trust.ErrSignature},
		"a bit":                            {flip(good), log1, trust.ErrSignature},
		"another key of that name":         {head(t, log1, 5, h, "evil"), log1, trust.ErrUnknownKey},
		"the witness alone":                {cosigned(t, head(t, log1, 5, h, "evil"), noon, w1), log1, trust.ErrUnknownKey},
		"no witness":                       {head(t, log1, 5, h, "a"), log1, trust.ErrQuorum},
		"another key of the witness":       {cosigned(t, head(t, log1, 5, h, "a"), noon, namesake), log1, trust.ErrQuorum},
		"it is of another log":             {head(t, log2, 5, h, "a"), log1, trust.ErrUnknownKey},
		"another log that is not pinned":   {head(t, log2, 5, h, "a"), log2, trust.ErrUnknownKey},
		"another log's, under this name":   {[]byte(strings.Replace(string(head(t, log2, 5, h, "a")), "\n\n", "\n\n"+lines(good)[0]+"\n", 1)), log2, trust.ErrUnknownKey},
		"another log's, by the one key":    {signed(t, parsed(t, head(t, log2, 5, h, "a")).Text(), log1, "a"), log1, trust.ErrUnknownKey},
		"signed as another log":            {signed(t, parsed(t, good).Text(), log2, "a"), log1, trust.ErrUnknownKey},
		"more signatures than a note has":  {append(slices.Clone(good), strings.Repeat(lines(good)[1]+"\n", 100)...), log1, audit.ErrCheckpoint},
		"larger than a checkpoint may be":  {append(slices.Clone(good), "— x "+strings.Repeat("AAAA", 1<<14)+"\n"...), log1, audit.ErrCheckpoint},
		"a cosignature with a wrong first": {[]byte(strings.Replace(string(good), "\n\n", "\n\n"+lines(larger)[1]+"\n", 1)), log1, trust.ErrSignature},
	} {
		if v, err := p.Verify(c.b, c.origin); (v != nil) != (c.want == trust.ErrQuorum) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v instead of %v", name, err, c.want)
		}
	}
}

func swapLine(a, b []byte, i int) []byte {
	return []byte(strings.Replace(string(a), lines(a)[i], lines(b)[i], 1))
}

// flip changes a bit of the last signature.
func flip(b []byte) []byte {
	b = slices.Clone(b)
	c := &b[len(b)-20]
	if *c == 'A' {
		*c = 'B'
	} else {
		*c = 'A'
	}
	return b
}

func TestKeyCountsInItsSizes(t *testing.T) {
	t.Parallel()
	h := grown(t, 20, honest)
	early, late := vkey(t, log1, "early"), vkey(t, log1, "late")
	p := policy(t, "log "+early, "log "+late, "valid "+id(early)+" - 12", "valid "+id(late)+" 10 -", "quorum none")
	for size, want := range map[int64][]string{
		0: {"early"}, 9: {"early"}, 10: {"early", "late"}, 11: {"early", "late"}, 12: {"late"}, 20: {"late"},
	} {
		for _, seed := range []string{"early", "late"} {
			b := head(t, log1, size, h, seed)
			v, err := p.Verify(b, log1)
			_, keys, noteErr := p.VerifyNote(b, log1, size)
			if !slices.Contains(want, seed) {
				if !errors.Is(err, trust.ErrUnknownKey) || !errors.Is(noteErr, trust.ErrUnknownKey) || !strings.Contains(err.Error(), "counts for sizes") {
					t.Errorf("%s at size %d: %v, %v", seed, size, err, noteErr)
				}
			} else if err != nil || noteErr != nil || !reflect.DeepEqual(v.Keys, keys) || len(keys) != 1 {
				t.Errorf("%s at size %d: %v, %v", seed, size, err, noteErr)
			}
		}
		v, err := p.Verify(head(t, log1, size, h, "early", "late"), log1)
		if err != nil || len(v.Keys) != len(want) || len(v.Unknown) != 2-len(want) {
			t.Errorf("both at size %d: %+v, %v", size, v, err)
		}
	}
}

// A tenant's key must not make its cluster's system log trusted, nor the reverse.
func TestErrorSaysWhichLineIsMissing(t *testing.T) {
	t.Parallel()
	h := grown(t, 3, honest)
	for pinned, asked := range map[string]string{log1: system1, system1: log1} {
		p := policy(t, vkey(t, pinned, "a"))
		_, err := p.Verify(head(t, asked, 3, h, "a"), asked)
		if !errors.Is(err, trust.ErrUnknownKey) || !strings.Contains(err.Error(), "`log "+asked+"+…`") || !strings.Contains(err.Error(), "gatehouse audit trust") {
			t.Errorf("%v", err)
		}
	}
}

func TestQuorum(t *testing.T) {
	t.Parallel()
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	var all []*trust.Witness
	text := []string{"log " + vkey(t, log1, "a")}
	for i := range 5 {
		w, vkey := witness(t, fmt.Sprintf("w.example/%d", i), fmt.Sprint(i))
		all = append(all, w)
		text = append(text, fmt.Sprintf("witness w%d %s", i, vkey))
	}
	text = append(text, "group x 2 w0 w1 w2", "group y any w3 w4", "group z all x y")
	for quorum, holds := range map[string]func(has func(int) bool) bool{
		"none": func(func(int) bool) bool { return true },
		"w2":   func(has func(int) bool) bool { return has(2) },
		"x":    func(has func(int) bool) bool { return two(has) },
		"y":    func(has func(int) bool) bool { return has(3) || has(4) },
		"z":    func(has func(int) bool) bool { return two(has) && (has(3) || has(4)) },
	} {
		p := policy(t, append(slices.Clone(text), "quorum "+quorum)...)
		for set := range 1 << len(all) {
			has := func(i int) bool { return set>>i&1 == 1 }
			note := b
			for i, w := range all {
				if has(i) {
					note = cosigned(t, note, noon, w)
				}
			}
			v, err := p.Verify(note, log1)
			if want := holds(has); want != (err == nil) || !want && !errors.Is(err, trust.ErrQuorum) || want && len(v.Cosigned) != strings.Count(fmt.Sprintf("%b", set), "1") {
				t.Errorf("quorum %s, cosigned by %05b: %v", quorum, set, err)
			}
		}
	}
}

func two(has func(int) bool) bool {
	return has(0) && has(1) || has(0) && has(2) || has(1) && has(2)
}

func TestVerifyNote(t *testing.T) {
	t.Parallel()
	const text = "gatehouse/bundle/1\nclu_a/ten_b/e1\n\nany text\n"
	p := policy(t, "log "+vkey(t, log1, "a"), "log "+vkey(t, log2, "b"), "quorum none")
	b := signed(t, text, log1, "a")
	if got, keys, err := p.VerifyNote(b, log1, 7); err != nil || got != text || !reflect.DeepEqual(keys, []string{id(vkey(t, log1, "a"))}) {
		t.Errorf("%q, %q, %v", got, keys, err)
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":               {nil, trust.ErrNote},
		"text alone":            {[]byte(text), trust.ErrNote},
		"too large":             {append(slices.Clone(b), "— x "+strings.Repeat("AAAA", 1<<14)+"\n"...), trust.ErrNote},
		"another text":          {bytes.Replace(b, []byte("any"), []byte("all"), 1), trust.ErrSignature},
		"another key":           {signed(t, text, log1, "b"), trust.ErrUnknownKey},
		"another log's key":     {signed(t, text, log2, "b"), trust.ErrUnknownKey},
		"signed as another log": {signed(t, text, log2, "a"), trust.ErrUnknownKey},
	} {
		if got, keys, err := p.VerifyNote(c.b, log1, 7); got != "" || keys != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// What an attacker names himself must not write on the auditor's terminal.
func TestNamesOfUnknownKeysAreEscaped(t *testing.T) {
	t.Parallel()
	p := policy(t, vkey(t, log1, "a"))
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	sig := strings.Fields(lines(b)[0])[2]
	b = append(b, "— \u202egood\u009b2J "+sig+"\n— "+strings.Repeat("long", 500)+" "+sig+"\n"...)
	v, err := p.Verify(b, log1)
	if err != nil || len(v.Unknown) != 2 {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, name := range v.Unknown {
		if strings.ContainsAny(name, "\u202e\u009b") || len(name) > 300 {
			t.Errorf("%q", name)
		}
	}
}
