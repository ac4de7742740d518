package decide

import (
	"math"

	"gatehouse/engine"
)

// Weight is one part of a score.
type Weight struct {
	Part  string  `json:"part"`
	Share float64 `json:"share"` // of the parts that were measured; together 1
	Score float64 `json:"score"` // 0..100
}

// Edges of the score bands: 85 and more accepted, 50 and more review
// (ekyc-encyclopedia, end-to-end flow). Each part's own thresholds are mapped
// onto them, so that who is above every threshold scores 85 or more.
const (
	edgeReview = 50
	edgeAccept = 85
	top        = 100
)

// parts with their weights from the encyclopedia. Its other ones (document
// liveness 10, database 15, screening 5, device 10) have no signal here; the
// weights are renormalised over what was measured.
func parts() []part {
	return []part{
		{"liveness", 25, func(f facts) (float64, bool) { return f.similarTo(NoAttack, Liveness) }},
		{"match", 20, func(f facts) (float64, bool) { return f.similarTo(PossibleFace, Match) }},
		{"document", 15, facts.document},
	}
}

type part struct {
	name    string
	weight  float64
	measure func(facts) (float64, bool)
}

// score of 0..100 from what was measured; nil where nothing was.
func (f facts) score() (*float64, []Weight) {
	var weights []Weight
	var sum, weight float64
	for _, p := range parts() {
		if s, ok := p.measure(f); ok {
			weights = append(weights, Weight{p.name, p.weight, s})
			sum, weight = sum+p.weight*s, weight+p.weight
		}
	}
	if weight == 0 {
		return nil, nil
	}
	for i := range weights {
		weights[i].Share /= weight
	}
	total := sum / weight
	return &total, weights
}

// similarTo maps a value by two signals' thresholds, in straight lines: 0 to 0,
// the lower threshold (below it the signal says no) to 50, the upper one
// (above it, yes) to 85, 1 to 100.
func (f facts) similarTo(lower, upper string) (float64, bool) {
	lo, hi := f[lower], f[upper]
	if lo.Threshold == nil || hi.Threshold == nil || hi.Value == nil {
		return 0, false
	}
	l, h, v := *lo.Threshold, *hi.Threshold, *hi.Value
	if !(0 < l && l <= h && h <= 1) {
		return 0, false
	}
	if v >= h && hi.Status != engine.Passed { // one frame of several was an attack
		v = l
	}
	switch {
	case v <= 0:
		return 0, true
	case v < l:
		return edgeReview * v / l, true
	case v < h:
		return edgeReview + (edgeAccept-edgeReview)*(v-l)/(h-l), true
	case v >= 1:
		return top, true
	}
	return edgeAccept + (top-edgeAccept)*(v-h)/(1-h), true
}

// document: the zone valid, trusted, its dates possible and unexpired, a
// quarter of 85 each; the last 15 for the measures of the picture that passed,
// or for all four facts where no picture was measured. A fact that was not
// measured counts as nothing.
func (f facts) document() (float64, bool) {
	if _, ok := f[Zone]; !ok {
		return 0, false
	}
	held := f.passing(ZoneValid, ZoneTrusted, Dates, Unexpired)
	measured, good := 0, 0
	for _, n := range documentQuality() {
		if _, ok := f[n]; ok {
			measured++
			good += f.passing(n)
		}
	}
	share := float64(held) / 4
	if measured > 0 {
		share = float64(good) / float64(measured)
	}
	return edgeAccept*float64(held)/4 + (top-edgeAccept)*share, true
}

func (f facts) passing(names ...string) int {
	n := 0
	for _, name := range names {
		if f[name].Status == engine.Passed {
			n++
		}
	}
	return n
}

// facts are the signals that were measured, by name. Whatever is not among
// them is unavailable.
type facts map[string]engine.Signal

// measured leaves out what is unavailable, has another status, or a value that
// is no number. Of two signals of one name the worse counts.
func measured(signals []engine.Signal) facts {
	f, void := facts{}, map[string]bool{}
	for _, s := range signals {
		before, twice := f[s.Name]
		switch {
		case s.Status != engine.Passed && s.Status != engine.Failed, s.Value != nil && (math.IsNaN(*s.Value) || math.IsInf(*s.Value, 0)):
			void[s.Name] = true
		case twice && before.Status == engine.Failed:
		default:
			f[s.Name] = s
		}
	}
	for name := range void {
		if f[name].Status != engine.Failed {
			delete(f, name)
		}
	}
	return f
}
