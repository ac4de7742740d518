package verify

import (
	"context"
	"fmt"
	"slices"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/face"
	"gatehouse/engine/pack"
)

func (w *work) measured() *Measured {
	r := Result{
		Document: w.document, TimingsMS: w.clock.milliseconds(), Models: w.models(),
		Face: Face{Comparison: w.comparison, Faces: w.faces, Quality: w.quality, Liveness: w.liveness},
	}
	if w.portrait != nil {
		r.Face.Portrait = &w.portrait.face
	}
	if w.selfie != nil {
		r.Face.Selfie, r.Template = &w.selfie.face, w.selfie.template
	}
	r.Signals = w.signals(r.TimingsMS)
	return &Measured{w, r}
}

// Decide by the rules, with whom the face is like: at the end, as others may
// have been enrolled since the gallery was asked. Nothing measured is changed,
// so it may be asked again.
func (m *Measured) Decide(ctx context.Context, l *Likeness) (*Result, error) {
	r, w := m.result, m.work
	r.Likeness = l
	r.Signals = slices.Clone(r.Signals)
	if w.identify != nil {
		added := &list{r.Signals}
		added.likeness(l, r.TimingsMS["search"])
		r.Signals = added.signals
	}
	rules := w.v.alone
	if w.identify != nil {
		rules = w.v.rules
	}
	d, err := rules.Decide(ctx, r.Signals)
	if err != nil {
		return nil, err
	}
	r.Decision, r.Reasons, r.Score, r.Rules = d.Outcome, d.Reasons, d.Score, d.RuleSet.String()
	return &r, nil
}

func (w *work) models() []Model {
	var m []Model
	for _, n := range w.v.engine.Networks() {
		m = append(m, Model{n.Model.Name, n.Model.SHA256})
	}
	return m
}

// signals lists what was measured, in the order in which a person reads it.
// They outlive the evidence: no name, number or date of the document is among
// them.
func (w *work) signals(spent map[string]float64) []engine.Signal {
	l := &list{}
	w.documentSignals(l, spent)
	l.fact(decide.Portrait, w.portrait != nil, spent["portrait"])
	w.selfieSignals(l, spent)
	m := &w.v.engine.Pack().Calibration.Match
	for _, t := range []struct {
		name      string
		threshold float64
	}{{decide.PossibleFace, m.Review}, {decide.Match, m.Match}} {
		if w.comparison == nil {
			l.missing(t.name, "")
			continue
		}
		s := l.measured(t.name, w.comparison.Similarity, "cosine", t.threshold, w.comparison.Similarity >= t.threshold, 0)
		s.FMR, s.Model = &w.comparison.FMR, w.comparison.Model
		s.Note = fmt.Sprintf("FMR %.1e at the threshold, measured on %s, with a safety factor of %g", m.FalseMatchRate(t.threshold), m.DataSet, m.SafetyFactor)
	}
	return l.signals
}

func (w *work) documentSignals(l *list, spent map[string]float64) {
	took := spent["document"]
	zone := w.document.MRZ
	l.fact(decide.Zone, zone != nil, took)
	if zone == nil {
		for _, n := range []string{decide.ZoneValid, decide.ZoneTrusted, decide.Dates, decide.Unexpired} {
			l.missing(n, "no machine-readable zone")
		}
	} else {
		s := l.fact(decide.ZoneValid, zone.Valid, took)
		s.Note = fmt.Sprintf("%s, %d repairs", zone.Format, len(zone.Repairs))
		s = l.measured(decide.ZoneTrusted, zone.Confidence, "probability", 0, w.document.Trusted, took)
		s.Threshold, s.Note = nil, fmt.Sprintf("grammar score %.3f nats a character, margin %.1f nats", zone.Score, zone.Margin)
		if w.document.Trusted && !zone.Trusted {
			s.Note += "; confirmed by the printed text"
		}
		f := &zone.Fields
		l.fact(decide.Dates, f.Birth.Possible && f.Expiry.Possible, took)
		switch {
		case f.Expiry.ISO == "":
			l.missing(decide.Unexpired, "no expiry date")
		default:
			l.fact(decide.Unexpired, !f.Expiry.Before(w.v.now()), took)
		}
	}
	for _, n := range []string{document.Resolution, document.Sharpness, document.Brightness} {
		if q, ok := w.document.Quality[n]; ok {
			l.plain("document.quality."+n, q.Value, q.Unit, q.Passed)
		}
	}
}

func (w *work) selfieSignals(l *list, spent map[string]float64) {
	took := spent["face"]
	l.fact(decide.SelfieFace, w.selfie != nil, took)
	if w.faces > 0 {
		l.measured(decide.SingleFace, float64(w.faces), "faces", 1, w.faces == 1, took)
	} else {
		l.missing(decide.SingleFace, "no face")
	}
	if w.selfie != nil {
		d := w.selfie.face.EyeDistance()
		l.measured(decide.EyeDistance, d, "px", face.MinEyes, d >= face.MinEyes, took)
	} else {
		l.missing(decide.EyeDistance, "no face")
	}
	for _, n := range face.QualityNames() {
		if q, ok := w.quality[n]; ok {
			l.plain("selfie.quality."+n, q.Value, q.Unit, q.Passed)
		}
	}
	cal := &w.v.engine.Pack().Calibration.Liveness
	switch {
	case w.liveness == nil:
		l.missing(decide.NoAttack, "no face")
		l.missing(decide.Liveness, "no face")
	case w.liveness.Verdict == face.NotAssessable:
		note := fmt.Sprintf("too little around the face: %.2f times its box, %.2f are needed", w.liveness.ContextRatio, cal.MinContext)
		l.missing(decide.NoAttack, note)
		l.missing(decide.Liveness, note)
	default:
		for _, t := range []struct {
			name      string
			threshold float64
			passed    bool
		}{{decide.NoAttack, cal.Attack, w.liveness.Verdict != face.Attack}, {decide.Liveness, cal.Live, w.liveness.Verdict == face.Live}} {
			s := l.measured(t.name, w.liveness.Live, "P(live)", t.threshold, t.passed, spent["liveness"])
			if t.name == decide.Liveness {
				s.Note = cal.Note
			}
			if m, err := w.v.engine.Pack().One(pack.FaceLiveness); err == nil {
				s.Model = m.Name
			}
		}
	}
	if w.frames > 0 {
		l.measured(decide.SamePerson, float64(w.strays), "frames of others", 0, w.strays == 0, 0)
	}
}

// list gathers signals.
type list struct{ signals []engine.Signal }

func (l *list) add(s engine.Signal) *engine.Signal {
	l.signals = append(l.signals, s)
	return &l.signals[len(l.signals)-1]
}

func status(passed bool) engine.Status {
	if passed {
		return engine.Passed
	}
	return engine.Failed
}

// fact is true or not, without a scale.
func (l *list) fact(name string, holds bool, took float64) *engine.Signal {
	v := 0.0
	if holds {
		v = 1
	}
	return l.add(engine.Signal{Name: name, Value: &v, Unit: "boolean", Status: status(holds), Milliseconds: took})
}

func (l *list) measured(name string, v float64, unit string, threshold float64, passed bool, took float64) *engine.Signal {
	return l.add(engine.Signal{Name: name, Value: &v, Unit: unit, Threshold: &threshold, Status: status(passed), Milliseconds: took})
}

func (l *list) plain(name string, v float64, unit string, passed bool) {
	l.add(engine.Signal{Name: name, Value: &v, Unit: unit, Status: status(passed)})
}

func (l *list) missing(name, note string) {
	l.add(engine.Signal{Name: name, Status: engine.Unavailable, Note: note})
}
