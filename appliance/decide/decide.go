// Package decide turns signals into a decision with reasons, by a rule set:
// ordered conditions in CEL, and score bands for where none of them holds.
//
// A rule only makes a decision worse, and a signal that is missing must never
// pass. What a missing signal means is for the rules to say; the default set
// accepts nobody of whom something that it looks at was not measured, but for
// the frames, which need not be given.
package decide

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
	Rule     string  `json:"rule"`   // its id; "otherwise" for the score bands
	Code     string  `json:"code"`   // stable; several rules may share it
	Signal   string  `json:"signal"` // the first that the rule names; "" where it names none
	Outcome  Outcome `json:"outcome"`
	Text     string  `json:"text"`
	Escalate bool    `json:"escalate,omitempty"` // to compliance
}

// RuleSet identifies the rules of a decision.
type RuleSet struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the document in the form of RFC 8785
}

func (r RuleSet) String() string { return r.Name + "/" + r.Version + " sha256:" + r.SHA256 }

// Decision is an outcome with its reasons, worst first; none where accepted.
type Decision struct {
	Outcome Outcome
	Reasons []Reason
	Score   *float64 // 0..100; nil where no part of it was measured
	Weights []Weight // what Score was made of
	RuleSet RuleSet
}
