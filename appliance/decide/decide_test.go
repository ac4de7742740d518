package decide_test

import (
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
)

var needed = []string{decide.Zone, decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired, decide.Portrait, decide.SelfieFace,
	decide.SingleFace, decide.EyeDistance, decide.NoAttack, decide.Liveness, decide.PossibleFace, decide.Match}

func signals(change map[string]engine.Status) []engine.Signal {
	var s []engine.Signal
	for _, n := range append(needed, decide.SamePerson) {
		status, changed := change[n]
		switch {
		case !changed && n != decide.SamePerson:
			s = append(s, engine.Signal{Name: n, Status: engine.Passed})
		case changed && status != "":
			s = append(s, engine.Signal{Name: n, Status: status})
		}
	}
	return s
}

func TestDecide(t *testing.T) {
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
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide.Decide(signals(c.change))
			if d.Outcome != c.want {
				t.Fatalf("outcome %s, want %s: %+v", d.Outcome, c.want, d.Reasons)
			}
			if c.first == "" && len(d.Reasons) != 0 || c.first != "" && d.Reasons[0].Signal != c.first {
				t.Errorf("reasons %+v, want %s first", d.Reasons, c.first)
			}
		})
	}
}

func TestNoMissingSignalPasses(t *testing.T) {
	for _, n := range needed {
		for _, status := range []engine.Status{"", engine.Unavailable, engine.Failed} {
			if d := decide.Decide(signals(map[string]engine.Status{n: status})); d.Outcome == decide.Accepted || len(d.Reasons) == 0 || d.Reasons[0].Text == "" {
				t.Errorf("%s %q: %+v", n, status, d)
			}
		}
	}
	if d := decide.Decide(nil); d.Outcome == decide.Accepted {
		t.Error("nothing measured, and accepted")
	}
}
