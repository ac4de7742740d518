package decide_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
)

var needed = []string{decide.Zone, decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired, decide.Portrait, decide.SelfieFace,
	decide.SingleFace, decide.EyeDistance, decide.NoAttack, decide.Liveness, decide.PossibleFace, decide.Match, decide.Unique, decide.NotListed}

// scale are the thresholds and the value of a signal that a score looks at.
var scale = map[string][2]float64{decide.NoAttack: {0.3, 0.98}, decide.Liveness: {0.5, 0.98}, decide.PossibleFace: {0.4, 0.7}, decide.Match: {0.5, 0.7}}

func number(v float64) *float64 { return &v }

// signals of an accepted person, but for these changes; "" leaves one out.
func signals(change map[string]engine.Status) []engine.Signal {
	var all []engine.Signal
	for _, n := range append(slices.Clone(needed), decide.SamePerson) {
		status, changed := change[n]
		if !changed && n != decide.SamePerson {
			status = engine.Passed
		}
		if status == "" {
			continue
		}
		s := engine.Signal{Name: n, Status: status}
		if x, ok := scale[n]; ok && status != engine.Unavailable {
			s.Threshold, s.Value = number(x[0]), number(x[1])
			if status == engine.Failed {
				s.Value = number(x[0] / 2)
			}
		}
		all = append(all, s)
	}
	return all
}

func standard(t testing.TB) *decide.Rules {
	t.Helper()
	r, err := decide.Default()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decided(t testing.TB, r *decide.Rules, signals []engine.Signal) decide.Decision {
	t.Helper()
	d, err := r.Decide(context.Background(), signals)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecide(t *testing.T) {
	rules := standard(t)
	for _, c := range []struct {
		name   string
		change map[string]engine.Status
		want   decide.Outcome
		first  string
	}{
		{"all passed", nil, decide.Accepted, ""},
		{"different persons", map[string]engine.Status{decide.Match: engine.Failed, decide.PossibleFace: engine.Failed}, decide.Rejected, decide.PossibleFace},
		{"doubtful match", map[string]engine.Status{decide.Match: engine.Failed}, decide.Review, decide.Match},
		{"attack", map[string]engine.Status{decide.NoAttack: engine.Failed, decide.Liveness: engine.Failed, decide.ZoneTrusted: engine.Failed}, decide.Rejected, decide.NoAttack},
		{"liveness not assessable", map[string]engine.Status{decide.NoAttack: engine.Unavailable, decide.Liveness: engine.Unavailable}, decide.Review, decide.NoAttack},
		{"expired", map[string]engine.Status{decide.Unexpired: engine.Failed}, decide.Rejected, decide.Unexpired},
		{"untrusted", map[string]engine.Status{decide.ZoneTrusted: engine.Failed}, decide.Review, decide.ZoneTrusted},
		{"two faces", map[string]engine.Status{decide.SingleFace: engine.Failed}, decide.Review, decide.SingleFace},
		{"a frame of another person", map[string]engine.Status{decide.SamePerson: engine.Failed}, decide.Rejected, decide.SamePerson},
		{"a duplicate", map[string]engine.Status{decide.Unique: engine.Failed}, decide.Review, decide.Unique},
		{"on the blocklist", map[string]engine.Status{decide.NotListed: engine.Failed}, decide.Review, decide.NotListed},
		{"gallery not complete", map[string]engine.Status{decide.Unique: engine.Unavailable, decide.NotListed: engine.Unavailable}, decide.Review, decide.Unique},
		{"frames not judged", map[string]engine.Status{decide.SamePerson: engine.Unavailable}, decide.Accepted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decided(t, rules, signals(c.change))
			if d.Outcome != c.want {
				t.Fatalf("outcome %s, want %s: %+v", d.Outcome, c.want, d.Reasons)
			}
			if c.first == "" && len(d.Reasons) != 0 || c.first != "" && d.Reasons[0].Signal != c.first {
				t.Errorf("reasons %+v, want %s first", d.Reasons, c.first)
			}
			if d.Reasons == nil || d.RuleSet.String() != rules.Version() {
				t.Errorf("%+v", d)
			}
		})
	}
}

// Whatever is missing, unavailable or has failed, alone or with all others,
// and whatever is no status or no number, nobody is accepted.
func TestNoMissingSignalPasses(t *testing.T) {
	rules := standard(t)
	for _, n := range needed {
		for _, status := range []engine.Status{"", engine.Unavailable, engine.Failed, "PASSED"} {
			d := decided(t, rules, signals(map[string]engine.Status{n: status}))
			if d.Outcome == decide.Accepted || len(d.Reasons) == 0 || d.Reasons[0].Text == "" || d.Reasons[0].Rule == "" || d.Reasons[0].Code == "" {
				t.Errorf("%s %q: %+v", n, status, d)
			}
		}
		s := signals(nil)
		i := slices.IndexFunc(s, func(s engine.Signal) bool { return s.Name == n })
		s[i].Value = number(math.NaN())
		if d := decided(t, rules, s); d.Outcome != decide.Review {
			t.Errorf("%s of no number: %+v", n, d)
		}
		for _, status := range []engine.Status{engine.Failed, engine.Unavailable} {
			doubtful := engine.Signal{Name: n, Status: status}
			for _, twice := range [][]engine.Signal{append(signals(nil), doubtful), append([]engine.Signal{doubtful}, signals(nil)...)} {
				if d := decided(t, rules, twice); d.Outcome == decide.Accepted {
					t.Errorf("%s passed and %s: accepted", n, status)
				}
			}
		}
	}
	all := map[string]engine.Status{}
	for _, n := range needed {
		all[n] = engine.Unavailable
	}
	for name, s := range map[string][]engine.Signal{"nothing": nil, "all unavailable": signals(all)} {
		d := decided(t, rules, s)
		if d.Outcome != decide.Review || len(d.Reasons) != len(needed) || d.Reasons[0].Signal != decide.Zone || d.Score != nil || d.Weights != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Rejecting reasons come first, each group in the set's order.
func TestWorstReasonFirst(t *testing.T) {
	d := decided(t, standard(t), signals(map[string]engine.Status{decide.Zone: engine.Failed, decide.Unexpired: engine.Failed, decide.Match: engine.Unavailable, decide.PossibleFace: engine.Failed}))
	var got []string
	for _, r := range d.Reasons {
		got = append(got, r.Rule)
	}
	want := []string{"document.unexpired.failed", "face.possible_match.failed", "document.zone.failed", "face.match.unavailable"}
	if !slices.Equal(got, want) || d.Outcome != decide.Rejected {
		t.Errorf("%s because of %v, want %v", d.Outcome, got, want)
	}
}

// What readers of a result rely on.
func TestReasonAsJSON(t *testing.T) {
	d := decided(t, standard(t), signals(map[string]engine.Status{decide.Unexpired: engine.Failed}))
	b, err := json.Marshal(d.Reasons)
	want := `[{"rule":"document.unexpired.failed","code":"document.expired","signal":"document.unexpired","outcome":"rejected","text":"the document has expired"}]`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d, err := standard(t).Decide(ctx, signals(nil)); !errors.Is(err, context.Canceled) || d.Outcome != "" {
		t.Errorf("%+v, %v", d, err)
	}
}

func BenchmarkDecide(b *testing.B) {
	rules, s := standard(b), signals(nil)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := rules.Decide(context.Background(), s); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e6, "p99-ms")
}
