// Package decide turns signals into a decision with reasons, by rules.
//
// The rules here are one fixed set, for the command line: tenants' rules will
// take their place. A signal that is missing must never pass.
package decide

import "gatehouse/engine"

// Outcome of a verification.
type Outcome string

// From good to bad.
const (
	Accepted Outcome = "accepted"
	Review   Outcome = "review" // a human looks, or better pictures are taken
	Rejected Outcome = "rejected"
)

// Reason says why a decision is not better than it is.
type Reason struct {
	Signal  string  `json:"signal"`
	Outcome Outcome `json:"outcome"` // what this reason alone leads to
	Text    string  `json:"text"`
}

// Decision is an outcome with its reasons, worst first; none where accepted.
type Decision struct {
	Outcome Outcome
	Reasons []Reason
}

// Names of the signals that the rules look at.
const (
	Zone         = "document.zone"
	ZoneValid    = "document.zone.valid"
	ZoneTrusted  = "document.zone.trusted"
	Dates        = "document.dates"
	Unexpired    = "document.unexpired"
	Portrait     = "document.portrait"
	SelfieFace   = "selfie.face"
	SingleFace   = "selfie.single_face"
	EyeDistance  = "selfie.inter_eye_distance"
	NoAttack     = "selfie.no_attack"
	Liveness     = "selfie.liveness"
	SamePerson   = "selfie.frames_same_person"
	PossibleFace = "face.possible_match"
	Match        = "face.match"
)

// rule gives the outcome where a signal failed and where it is unavailable.
type rule struct {
	signal      string
	failed      Outcome
	unavailable Outcome
	text        string
	missing     string
}

// rules is the fixed set: the document valid and trusted, one face, live, the
// same person.
var rules = []rule{
	{Zone, Review, Review, "no machine-readable zone was found; photograph the whole data page, sharp and without glare", "the document was not read"},
	{ZoneValid, Review, Review, "check digits of the machine-readable zone do not hold; it was misread or altered", "the machine-readable zone could not be checked"},
	{ZoneTrusted, Review, Review, "the machine-readable zone was read without enough certainty; take a sharper picture", "the machine-readable zone could not be judged"},
	{Dates, Rejected, Review, "the document bears an impossible date", "the dates could not be read"},
	{Unexpired, Rejected, Review, "the document has expired", "the expiry could not be read"},
	{Portrait, Review, Review, "no portrait was found on the document", "the portrait was not looked for"},
	{SelfieFace, Review, Review, "no face was found in the selfie; take another picture", "the selfie was not looked at"},
	{SingleFace, Review, Review, "the selfie shows more than one face; take another picture of the person alone", "the faces could not be counted"},
	{EyeDistance, Review, Review, "the face in the selfie is too small; come closer", "the face could not be measured"},
	{NoAttack, Rejected, Review, "the selfie looks like a presentation attack (print, screen or mask)", "liveness could not be assessed; take a picture that shows the surroundings of the head"},
	{Liveness, Review, Review, "the selfie is not clearly of a live person; take another picture", "liveness could not be assessed; take a picture that shows the surroundings of the head"},
	{SamePerson, Rejected, Accepted, "the frames do not all show the person of the selfie", ""},
	{PossibleFace, Rejected, Review, "the selfie and the portrait show different persons", "the faces could not be compared"},
	{Match, Review, Review, "the selfie and the portrait are not similar enough", "the faces could not be compared"},
}

var severity = map[Outcome]int{Accepted: 0, Review: 1, Rejected: 2}

// Decide applies the rules to signals.
func Decide(signals []engine.Signal) Decision {
	status := make(map[string]engine.Status, len(signals))
	for _, s := range signals {
		status[s.Name] = s.Status
	}
	d := Decision{Outcome: Accepted, Reasons: []Reason{}}
	for _, level := range []Outcome{Rejected, Review} {
		for _, r := range rules {
			outcome, text := r.unavailable, r.missing
			switch status[r.signal] {
			case engine.Passed:
				continue
			case engine.Failed:
				outcome, text = r.failed, r.text
			}
			if outcome != level {
				continue
			}
			d.Reasons = append(d.Reasons, Reason{r.signal, outcome, text})
			if severity[outcome] > severity[d.Outcome] {
				d.Outcome = outcome
			}
		}
	}
	return d
}
