package trust_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// evidence of two trees of log1, of which b's leaves from forged on are others.
func evidence(t testing.TB, a, b, forged int64, seeds ...string) *trust.Evidence {
	t.Helper()
	h := grown(t, b, forged)
	proof, err := audit.ConsistencyProof(a, b, h)
	if err != nil {
		t.Fatal(err)
	}
	return trust.NewEvidence(head(t, log1, a, grown(t, a, honest), seeds...), head(t, log1, b, h, seeds...), root(t, a, h), proof)
}

func encoded(t testing.TB, e *trust.Evidence) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	p := policy(t, vkey(t, log1, "a"))
	for a := int64(0); a <= 9; a++ {
		for b := a; b <= 9; b++ {
			for forged := range b + 1 {
				e, err := trust.ParseEvidence(encoded(t, evidence(t, a, b, forged, "a")))
				if err != nil {
					t.Fatal(err)
				}
				if want := evidence(t, a, b, forged, "a"); !reflect.DeepEqual(e, want) {
					t.Errorf("%+v instead of %+v", e, want)
				}
				// A leaf beyond a's may be anything.
				err = e.Check(p)
				if forged < a && err != nil || forged >= a && !errors.Is(err, trust.ErrNoFork) {
					t.Errorf("sizes %d and %d, other leaves from %d on: %v", a, b, forged, err)
				}
			}
		}
	}
}

func TestEvidenceThatDoesNotConvince(t *testing.T) {
	t.Parallel()
	p := policy(t, "log "+vkey(t, log1, "a"), "log "+vkey(t, log1, "old"), "valid "+id(vkey(t, log1, "old"))+" - 6", "quorum none")
	good := func() *trust.Evidence { return evidence(t, 5, 8, 3, "a") }
	if err := good().Check(p); err != nil {
		t.Fatal(err)
	}
	forged, true8 := grown(t, 8, 3), head(t, log1, 8, grown(t, 8, honest), "a")
	honestProof, err := audit.ConsistencyProof(5, 8, grown(t, 8, honest))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(e *trust.Evidence)
		want   error
	}{
		"nothing in a":               {func(e *trust.Evidence) { e.A = "" }, audit.ErrCheckpoint},
		"nothing in b":               {func(e *trust.Evidence) { e.B = "" }, audit.ErrCheckpoint},
		"a is not signed":            {func(e *trust.Evidence) { e.A = string(head(t, log1, 5, grown(t, 5, honest), "evil")) }, trust.ErrUnknownKey},
		"b is not signed":            {func(e *trust.Evidence) { e.B = string(head(t, log1, 8, forged, "evil")) }, trust.ErrUnknownKey},
		"b is altered":               {func(e *trust.Evidence) { e.B = strings.Replace(e.B, "\n8\n", "\n9\n", 1) }, trust.ErrSignature},
		"b by a key out of its size": {func(e *trust.Evidence) { e.B = string(head(t, log1, 8, forged, "old")) }, trust.ErrUnknownKey},
		"b is of another log":        {func(e *trust.Evidence) { e.B = string(head(t, log2, 8, forged, "a")) }, trust.ErrUnknownKey},
		"both of a log not pinned": {func(e *trust.Evidence) {
			*e = *trust.NewEvidence(head(t, log2, 5, forged, "a"), head(t, log2, 5, grown(t, 5, 0), "a"), tlog.Hash{}, nil)
		}, trust.ErrUnknownKey},
		"the origin of another log": {func(e *trust.Evidence) { e.Origin = log2 }, trust.ErrUnknownKey},
		"b extends a": {func(e *trust.Evidence) {
			e.B, e.RootInB, e.Consistency = string(true8), root(t, 5, grown(t, 5, honest)), honestProof
		}, trust.ErrNoFork},
		"a proof of the true tree":  {func(e *trust.Evidence) { e.Consistency = honestProof }, trust.ErrNoFork},
		"a root out of the air":     {func(e *trust.Evidence) { e.RootInB[0] ^= 1 }, trust.ErrNoFork},
		"a proof that is too short": {func(e *trust.Evidence) { e.Consistency = e.Consistency[1:] }, trust.ErrNoFork},
		"a proof that is too long":  {func(e *trust.Evidence) { e.Consistency = append(e.Consistency, tlog.Hash{}) }, trust.ErrNoFork},
		"no proof":                  {func(e *trust.Evidence) { e.Consistency = nil }, trust.ErrNoFork},
		"the larger first":          {func(e *trust.Evidence) { e.A, e.B = e.B, e.A }, trust.ErrNoFork},
		"the same twice":            {func(e *trust.Evidence) { e.B = e.A }, trust.ErrNoFork},
	} {
		e := good()
		c.change(e)
		if err := e.Check(p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v instead of %v", name, err, c.want)
		}
	}
	// Keys that overlap: each has signed one of the two.
	e := good()
	e.A = string(head(t, log1, 5, grown(t, 5, honest), "old"))
	if err := e.Check(p); err != nil {
		t.Error(err)
	}
}

func TestParseEvidenceRefuses(t *testing.T) {
	t.Parallel()
	good := string(encoded(t, evidence(t, 5, 8, 3, "a")))
	same := string(encoded(t, evidence(t, 5, 5, 3, "a")))
	hash := tlog.Hash{7}.String()
	for name, text := range map[string]string{
		"nothing":               "",
		"no format":             strings.Replace(good, `"format"`, `"version"`, 1),
		"a later format":        strings.Replace(good, `"format": 1`, `"format": 2`, 1),
		"cut":                   good[:len(good)-3],
		"more after its end":    good + "{}",
		"an unknown member":     strings.Replace(good, `"size"`, `"by": "me", "size"`, 1),
		"other words":           strings.Replace(good, "the log signed", "the bank signed", 1),
		"another log":           strings.Replace(good, `"`+log1+`"`, `"`+log2+`"`, 1),
		"two logs":              strings.Replace(good, `"`+log1+`\n`, `"`+log2+`\n`, 1) + " ",
		"another size":          strings.Replace(good, `"size": 5`, `"size": 6`, 1),
		"no checkpoint":         strings.Replace(good, log1+`\n`, log1, 1),
		"a proof where none is": strings.Replace(same, `"size": 5`, `"size": 5,`+"\n"+`  "root_in_b": "`+hash+`"`, 1),
		"a hash that is none":   strings.Replace(good, `"root_in_b": "`, `"root_in_b": "A`, 1),
		"a proof without end":   strings.Replace(good, `"consistency": [`, `"consistency": [`+strings.Repeat("\n    \""+hash+`",`, 60), 1),
		"bytes without end":     strings.Repeat(" ", 1<<20),
	} {
		if text == good || text == same {
			t.Fatalf("%s: nothing was changed", name)
		}
		if e, err := trust.ParseEvidence([]byte(text)); e != nil || !errors.Is(err, trust.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
