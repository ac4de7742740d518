package verify_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
)

func nobody() *verify.Likeness {
	s := verify.Search{Compared: 12, Engine: "exact", Threshold: 0.4, ThresholdFMR: 1e-3, FPIR: 0.01, Candidates: []verify.Candidate{}}
	return &verify.Likeness{Subjects: s, Blocklist: s}
}

// What the gallery said decides: at the end, and once more where it says
// something else.
func TestLikeness(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	var asked face.Template
	m, err := v.Measure(t.Context(), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")}, func(_ context.Context, f face.Template) error {
		asked = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, timed := m.TimingsMS()["search"]
	if !slices.Equal(asked.Vector, m.Template().Vector) || asked.Model != m.Template().Model || len(asked.Vector) == 0 || !timed {
		t.Errorf("asked for %d numbers of %q; %v", len(asked.Vector), asked.Model, m.TimingsMS())
	}
	one := verify.Candidate{ID: "ses_1", Subject: "sub_1", Similarity: 0.7, FMR: 1e-8, FPIR: 1e-7}
	same, less := one, one
	same.ID, less.ID, less.Subject, less.FMR = "ses_2", "ses_3", "sub_3", 1e-4
	with := func(change func(*verify.Likeness)) *verify.Likeness {
		l := nobody()
		change(l)
		return l
	}
	passed, failed, missing := engine.Passed, engine.Failed, engine.Unavailable
	for _, c := range []struct {
		name           string
		likeness       *verify.Likeness
		unique, listed engine.Status
		persons        float64
		outcome        decide.Outcome
		reasons        []string
	}{
		{"nobody", nobody(), passed, passed, 0, decide.Accepted, nil},
		{"one face of one person", with(func(l *verify.Likeness) { l.Subjects.Candidates = []verify.Candidate{one} }), failed, passed, 1, decide.Review, []string{"duplicate.face"}},
		{"two faces of one person", with(func(l *verify.Likeness) { l.Subjects.Candidates = []verify.Candidate{one, same} }), failed, passed, 1, decide.Review, []string{"duplicate.face"}},
		{"two persons", with(func(l *verify.Likeness) { l.Subjects.Candidates = []verify.Candidate{one, same, less} }), failed, passed, 2, decide.Review, []string{"duplicate.face"}},
		{"blocked", with(func(l *verify.Likeness) { l.Blocklist.Candidates = []verify.Candidate{one} }), passed, failed, 0, decide.Review, []string{"blocklist.face"}},
		{"both", with(func(l *verify.Likeness) {
			l.Subjects.Candidates, l.Blocklist.Candidates = []verify.Candidate{one}, []verify.Candidate{one}
		}), failed, failed, 1, decide.Review, []string{"duplicate.face", "blocklist.face"}},
		{"others were not compared", with(func(l *verify.Likeness) { l.Subjects.Others = 3 }), missing, passed, 0, decide.Review, []string{"duplicate.not_searched"}},
		{"blocked ones were not compared", with(func(l *verify.Likeness) { l.Blocklist.Others = 1 }), passed, missing, 0, decide.Review, []string{"blocklist.not_searched"}},
		{"one, and others were not compared", with(func(l *verify.Likeness) { l.Subjects.Others, l.Subjects.Candidates = 3, []verify.Candidate{one} }), failed, passed, 1, decide.Review, []string{"duplicate.face"}},
		{"not asked", nil, missing, missing, 0, decide.Review, []string{"duplicate.not_searched", "blocklist.not_searched"}},
		{"nobody, after all", nobody(), passed, passed, 0, decide.Accepted, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := m.Decide(t.Context(), c.likeness)
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, reason := range r.Reasons {
				codes = append(codes, reason.Code)
			}
			unique, listed := signal(t, r, decide.Unique), signal(t, r, decide.NotListed)
			if unique.Status != c.unique || listed.Status != c.listed || r.Decision != c.outcome || !slices.Equal(codes, c.reasons) || r.Likeness != c.likeness || r.Rules != rules(t).Version() {
				t.Errorf("%s %v, %s, %s", r.Decision, codes, unique.Status, listed.Status)
			}
			if c.unique != missing && (*unique.Value != c.persons || !strings.Contains(unique.Note, "compared with 12 faces")) {
				t.Errorf("%+v", unique)
			}
			if c.unique == failed && (unique.FMR == nil || *unique.FMR != one.FMR) {
				t.Errorf("the FMR is not the most similar one's: %+v", unique)
			}
			if n := slices.IndexFunc(r.Signals, func(s engine.Signal) bool { return s.Name == decide.Unique }); len(r.Signals)-n != 2 {
				t.Errorf("the signals are added to each other: %d after %d", len(r.Signals), n)
			}
		})
	}
	l := nobody()
	l.Subjects.Beyond = true
	r, err := m.Decide(t.Context(), l)
	if err != nil || !strings.Contains(signal(t, r, decide.Unique).Note, "above what the calibration measured") {
		t.Errorf("%+v, %v", signal(t, r, decide.Unique), err)
	}
}

// Without a face nobody is asked, and without a gallery nobody is told anything.
func TestNothingToAskFor(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	in := verify.Evidence{Document: passport(t).jpeg, Selfie: jpeg(t, picture.New(64, 64))}
	asked := false
	m, err := v.Measure(t.Context(), in, func(context.Context, face.Template) error {
		asked = true
		return nil
	})
	if err != nil || asked || len(m.Template().Vector) > 0 {
		t.Fatalf("asked %v: %+v, %v", asked, m, err)
	}
	r, err := m.Decide(t.Context(), nil)
	if err != nil || signal(t, r, decide.Unique).Status != engine.Unavailable || r.Decision != decide.Review {
		t.Errorf("%+v, %v", r, err)
	}
	in.Selfie = photo(t, "obama2")
	if r = verified(t, v, in); slices.ContainsFunc(r.Signals, func(s engine.Signal) bool { return s.Name == decide.Unique || s.Name == decide.NotListed }) || r.Likeness != nil {
		t.Errorf("without a gallery: %+v", r.Signals)
	}
}

// Where the gallery does not answer there is no verification.
func TestGalleryFails(t *testing.T) {
	v := verify.New(enginetest.Open(t), rules(t), clock(today))
	broken := errors.New("it is being loaded")
	m, err := v.Measure(t.Context(), verify.Evidence{Document: passport(t).jpeg, Selfie: photo(t, "obama2")}, func(context.Context, face.Template) error {
		return broken
	})
	if !errors.Is(err, broken) || m != nil {
		t.Errorf("%+v, %v", m, err)
	}
}
