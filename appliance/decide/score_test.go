package decide_test

import (
	"math"
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
)

// bands alone: no rule is in the way of the score.
const bands = `{"format":1,"name":"bands","version":"1","rules":[],"otherwise":[{"from":85,"outcome":"accepted"},
 {"from":50,"outcome":"review","reason":"score.doubtful","text":"doubtful"},{"from":0,"outcome":"review","reason":"score.low","text":"low","escalate":true}]}`

func valued(name string, threshold, value float64) engine.Signal {
	status := engine.Failed
	if value >= threshold {
		status = engine.Passed
	}
	return engine.Signal{Name: name, Value: &value, Threshold: &threshold, Status: status}
}

// Liveness alone: its two thresholds lie at the edges of the bands.
func TestPartOfScore(t *testing.T) {
	rules := compiled(t, bands)
	for _, c := range []struct{ value, want float64 }{
		{-0.2, 0}, {0, 0}, {0.15, 25}, {0.3, 50}, {0.4, 67.5}, {0.5, 85}, {0.75, 92.5}, {1, 100}, {1.01, 100},
	} {
		d := decided(t, rules, []engine.Signal{valued(decide.NoAttack, 0.3, c.value), valued(decide.Liveness, 0.5, c.value)})
		if d.Score == nil || math.Abs(*d.Score-c.want) > 1e-9 {
			t.Errorf("%g scores %v, want %g", c.value, d.Score, c.want)
			continue
		}
		if len(d.Weights) != 1 || d.Weights[0] != (decide.Weight{Part: "liveness", Share: 1, Score: *d.Score}) {
			t.Errorf("made of %+v", d.Weights)
		}
		switch {
		case c.want >= 85:
			if d.Outcome != decide.Accepted || len(d.Reasons) != 0 {
				t.Errorf("%g: %+v", *d.Score, d)
			}
		case c.want >= 50:
			if d.Outcome != decide.Review || d.Reasons[0] != (decide.Reason{Rule: "otherwise", Code: "score.doubtful", Outcome: decide.Review, Text: "doubtful"}) {
				t.Errorf("%g: %+v", *d.Score, d)
			}
		default:
			if d.Outcome != decide.Review || d.Reasons[0].Code != "score.low" || !d.Reasons[0].Escalate {
				t.Errorf("%g: %+v", *d.Score, d)
			}
		}
	}
}

// One frame of several was an attack: the mean alone does not make it good.
func TestFailedInSpiteOfItsValue(t *testing.T) {
	s := []engine.Signal{valued(decide.NoAttack, 0.3, 0.66), valued(decide.Liveness, 0.5, 0.66)}
	s[1].Status = engine.Failed
	if d := decided(t, compiled(t, bands), s); d.Score == nil || *d.Score != 50 {
		t.Errorf("%+v", d)
	}
}

// Weights 25, 20 and 15, renormalised over what was measured.
func TestWeights(t *testing.T) {
	rules := compiled(t, bands)
	live := []engine.Signal{valued(decide.NoAttack, 0.3, 0.5), valued(decide.Liveness, 0.5, 0.5)}                   // 85
	like := []engine.Signal{valued(decide.PossibleFace, 0.4, 0.4), valued(decide.Match, 0.5, 0.4)}                  // 50
	paper := []engine.Signal{fact(decide.Zone, true), fact(decide.ZoneValid, true), fact(decide.ZoneTrusted, true), // 75
		fact(decide.Dates, true), fact(decide.Unexpired, false)}
	join := func(parts ...[]engine.Signal) (all []engine.Signal) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, c := range map[string]struct {
		signals []engine.Signal
		want    float64
	}{
		"all":        {join(live, like, paper), (25*85 + 20*50 + 15*75) / 60.0},
		"no match":   {join(live, paper), (25*85 + 15*75) / 40.0},
		"match only": {like, 50},
		"paper only": {paper, 75},
		"good picture": {join(paper, []engine.Signal{fact("document.quality.sharpness", true), fact("document.quality.brightness", true)}),
			85*0.75 + 15},
		"poor picture": {join(paper, []engine.Signal{fact("document.quality.sharpness", false), fact("document.quality.brightness", true)}),
			85*0.75 + 7.5},
		"no zone": {[]engine.Signal{fact(decide.Zone, false)}, 0},
	} {
		d := decided(t, rules, c.signals)
		if d.Score == nil || math.Abs(*d.Score-c.want) > 1e-9 {
			t.Errorf("%s: score %v, want %g", name, d.Score, c.want)
		}
		sum := 0.0
		for _, w := range d.Weights {
			sum += w.Share
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: shares %+v", name, d.Weights)
		}
	}
}

func fact(name string, holds bool) engine.Signal {
	if holds {
		return engine.Signal{Name: name, Status: engine.Passed}
	}
	return engine.Signal{Name: name, Status: engine.Failed}
}

// Without a score, and with thresholds that mean nothing, nobody is accepted.
func TestNoScore(t *testing.T) {
	rules := compiled(t, bands)
	for name, s := range map[string][]engine.Signal{
		"nothing":             nil,
		"no threshold":        {{Name: decide.Liveness, Value: number(1), Status: engine.Passed}, {Name: decide.NoAttack, Value: number(1), Status: engine.Passed}},
		"crossed thresholds":  {valued(decide.NoAttack, 0.6, 0.9), valued(decide.Liveness, 0.5, 0.9)},
		"endless thresholds":  {valued(decide.NoAttack, math.Inf(-1), 0.9), valued(decide.Liveness, 0.5, 0.9)},
		"threshold no number": {valued(decide.NoAttack, 0.3, 0.9), {Name: decide.Liveness, Value: number(1), Threshold: number(math.NaN()), Status: engine.Passed}},
	} {
		if d := decided(t, rules, s); d.Outcome != decide.Review || d.Score != nil || d.Reasons[0].Code != "score.unavailable" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Who is just above every threshold is accepted by the default set.
func TestJustAboveEveryThreshold(t *testing.T) {
	s := signals(nil)
	for i := range s {
		if s[i].Threshold != nil {
			s[i].Value = s[i].Threshold
		}
		for j := range s { // both signals of one measure have its value
			if s[i].Name == decide.NoAttack && s[j].Name == decide.Liveness || s[i].Name == decide.PossibleFace && s[j].Name == decide.Match {
				s[i].Value = s[j].Threshold
			}
		}
	}
	if d := decided(t, standard(t), s); d.Outcome != decide.Accepted || d.Score == nil || *d.Score < 85 {
		t.Errorf("%+v", d)
	}
}
