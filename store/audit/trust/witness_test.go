package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	formats "github.com/transparency-dev/formats/note"
	other "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// C2SP tlog-cosignature has this checkpoint, and no key beside it.
const example = `— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==`

func TestCosignatureLine(t *testing.T) {
	t.Parallel()
	for _, line := range []string{example, example + "\n"} {
		name, hash, at, err := trust.CosignatureLine(line)
		if err != nil || name != "witness.example.com/w1" || hash != 0x8d66cf3f || at.Unix() != 1679315147 {
			t.Errorf("%s, %08x, %v, %v", name, hash, at, err)
		}
	}
	plain := lines(head(t, log1, 3, grown(t, 3, honest), "a"))[0]
	for _, line := range []string{
		"", "\n", "— ", "—", "— w1", "— w1 AAAA", "- w1 AAAAAAAA", example + "\n\n", example + "\n" + example, "\n" + example,
		"text\n\n" + example, strings.Replace(example, " jW", "  jW", 1), strings.Replace(example, "w1", "w+1", 1),
		plain, // of a log: no time
		strings.Replace(example, "jWbPPwAAAA", "jWbPPwAB", 1),     // cut
		strings.Replace(example, "jWbPPwAAAAB", "jWbPP/8AAAB", 1), // a time beyond all
		"— w1 " + strings.Repeat("AAAA", 1<<15),
	} {
		if _, _, _, err := trust.CosignatureLine(line); !errors.Is(err, trust.ErrLine) {
			t.Errorf("%.100q: %v", line, err)
		}
	}
}

func TestOthersVerifyOurCosignature(t *testing.T) {
	t.Parallel()
	w, vkey := witness(t, "auditor.example/anna", "anna")
	v, err := formats.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	b := cosigned(t, head(t, log1, 3, grown(t, 3, honest), "a"), noon.Add(time.Millisecond), w)
	n, err := note.Open(b, note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	if at, err := formats.CoSigV1Timestamp(n.Sigs[0]); err != nil || !at.Equal(noon) {
		t.Errorf("%v, %v", at, err)
	}
	if at, err := trust.VerifyCosignature(vkey, b); err != nil || at != noon {
		t.Errorf("%v, %v", at, err)
	}
}

func TestWeVerifyCosignaturesOfOthers(t *testing.T) {
	t.Parallel()
	skey, vkey, err := trust.NewWitness("w.example/1", strings.NewReader(strings.Repeat("seed", 8)))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := formats.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now().Truncate(time.Second)
	n := &note.Note{Text: parsed(t, head(t, log1, 3, grown(t, 3, honest), "a")).Text()}
	b, err := note.Sign(n, signer)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := trust.VerifyCosignature(vkey, b); err != nil || at.Before(before) {
		t.Errorf("%v, %v", at, err)
	}
	w, err := trust.ParseWitness(skey)
	if err != nil || w.Vkey() != vkey {
		t.Errorf("%v, %v", w, err)
	}
}

func TestCosignReplacesAnEarlierLine(t *testing.T) {
	t.Parallel()
	w, vkey := witness(t, "w.example/1", "1")
	namesake, _ := witness(t, "w.example/1", "2")
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	twice := cosigned(t, cosigned(t, b, noon, w, namesake), noon.Add(time.Hour), w)
	if l := lines(twice); len(l) != 3 || l[0] != lines(b)[0] || !strings.HasPrefix(l[2], "— w.example/1 ") {
		t.Errorf("%q", l)
	}
	if at, err := trust.VerifyCosignature(vkey, twice); err != nil || at != noon.Add(time.Hour) {
		t.Errorf("%v, %v", at, err)
	}
}

func TestCosignRefuses(t *testing.T) {
	t.Parallel()
	w, _ := witness(t, "w.example/1", "1")
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	full := b
	for i := range 99 {
		x, _ := witness(t, fmt.Sprintf("w.example/x%d", i), fmt.Sprint(i))
		full = cosigned(t, full, noon, x)
	}
	for name, c := range map[string]struct {
		b    []byte
		at   time.Time
		want error
	}{
		"no checkpoint":          {signed(t, "sign this\n", log1, "a"), noon, audit.ErrCheckpoint},
		"one line too many":      {full, noon, trust.ErrNote},
		"a time before all":      {b, time.Time{}, trust.ErrLine},
		"a time that none reads": {b, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), trust.ErrLine},
	} {
		if got, err := w.Cosign(c.b, c.at); got != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestVerifyCosignatureRefuses(t *testing.T) {
	t.Parallel()
	w, vkey1 := witness(t, "w.example/1", "1")
	_, vkey2 := witness(t, "w.example/1", "2")
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	good := cosigned(t, b, noon, w)
	for name, c := range map[string]struct {
		vkey string
		b    []byte
		want error
	}{
		"no key":                {"w.example/1", good, trust.ErrWitness},
		"a log's key":           {vkey(t, log1, "a"), good, trust.ErrWitness},
		"no checkpoint":         {vkey1, []byte("hello\n"), audit.ErrCheckpoint},
		"the log alone":         {vkey1, b, trust.ErrUnknownKey},
		"another key":           {vkey2, good, trust.ErrUnknownKey},
		"another size":          {vkey1, bytes.Replace(good, []byte("\n3\n"), []byte("\n4\n"), 1), trust.ErrSignature},
		"an earlier time":       {vkey1, swapLine(good, []byte(strings.Replace(string(good), "AAAABp", "AAAABo", 1)), 1), trust.ErrSignature},
		"a signature's bit":     {vkey1, flip(good), trust.ErrSignature},
		"signed without a time": {vkey1, []byte(strings.Replace(string(good), lines(good)[1], lines(good)[1][:len(lines(good)[1])-12], 1)), trust.ErrSignature},
	} {
		if at, err := trust.VerifyCosignature(c.vkey, c.b); !at.IsZero() || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, at, err)
		}
	}
}

func TestWitnessKeys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "two words", "a+b", "line\n", "\u202e", "\xff", strings.Repeat("x", 256)} {
		if skey, vkey, err := trust.NewWitness(name, strings.NewReader(strings.Repeat("s", 32))); skey+vkey != "" || !errors.Is(err, trust.ErrWitness) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, _, err := trust.NewWitness("w", strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too few random bytes: %v", err)
	}
	good, vkey, err := trust.NewWitness("w", strings.NewReader(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	secret := good[strings.LastIndex(good, "+")+1:]
	for _, skey := range []string{
		"", vkey, "PRIVATE+KEY+w", good[1:], good + "A", good[:len(good)-4],
		strings.Replace(good, "+w+", "+v+", 1), strings.Replace(good, "+B", "+A", 1),
		strings.Replace(good, "+w+", "+w w+", 1),
	} {
		if w, err := trust.ParseWitness(skey); w != nil || !errors.Is(err, trust.ErrWitness) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", skey, err)
		}
	}
}

// A policy that both read must hold for the same checkpoints.
func TestOthersReadThePolicyAlike(t *testing.T) {
	t.Parallel()
	b := head(t, log1, 3, grown(t, 3, honest), "a")
	text := []string{"log " + vkey(t, log1, "a")}
	var all []*trust.Witness
	for i := range 4 {
		w, vkey := witness(t, fmt.Sprintf("w.example/%d", i), fmt.Sprint(i))
		all = append(all, w)
		text = append(text, fmt.Sprintf("witness w%d %s https://w.example/%d", i, vkey, i))
	}
	for _, rest := range [][]string{
		{"quorum none"}, {"quorum w1"}, {"group g any w0 w1 w2 w3", "quorum g"}, {"group g all w0 w3", "quorum g"},
		{"group g 2 w0 w1 w2", "group h all g w3", "quorum h"},
	} {
		p := policy(t, append(slices.Clone(text), rest...)...)
		q, err := other.ParsePolicy([]byte(p.String()))
		if err != nil {
			t.Fatal(err)
		}
		for set := range 1 << len(all) {
			note := b
			for i, w := range all {
				if set>>i&1 == 1 {
					note = cosigned(t, note, noon, w)
				}
			}
			if _, err := p.Verify(note, log1); q.Satisfied(note) != (err == nil) {
				t.Errorf("%q, cosigned by %04b: others say %v, we say %v", rest, set, q.Satisfied(note), err)
			}
		}
	}
}
