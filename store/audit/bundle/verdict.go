package bundle

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/audit/trust"
)

// Codes of a verdict: also what the command line exits with.
const (
	CodeGood       = 0
	CodeManifest   = 10 // not a bundle, or not the bytes that were listed
	CodeSignature  = 20
	CodeUnknownKey = 21
	CodeQuorum     = 22 // too few witnesses
	CodeStart      = 30 // it does not begin where the auditor's state ends
	CodeFork       = 31 // the log has two histories
	CodeOrder      = 40 // leaves or anchors are missing, in another order, or too many
	CodeAltered    = 41
	CodeTime       = 50
	CodeDisclosure = 60
	CodeStale      = 70 // it was not made for this auditor's question
)

// Verdict on a bundle. Of what is not good, nothing may be relied on.
type Verdict struct {
	Good    bool     `json:"good"`
	Code    int      `json:"code"`
	Finding *Finding `json:"finding,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what a person should know of a good bundle

	Origin string `json:"origin,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	// Root that the leaves hash to, with what was before them.
	Root      tlog.Hash       `json:"root,omitzero"`
	End       *trust.Verified `json:"end,omitempty"`
	SystemEnd *trust.Verified `json:"system_end,omitempty"`

	Leaves    int64      `json:"leaves"` // that were read
	FirstTime audit.Time `json:"first_time,omitzero"`
	LastTime  audit.Time `json:"last_time,omitzero"`
	Erasures  int64      `json:"erasures"`
	Disclosed int        `json:"disclosed"` // values that were opened
	Exported  time.Time  `json:"exported,omitzero"`
	Nonce     string     `json:"nonce,omitempty"` // that the bundle answers

	// Evidence of a fork, where it convinces a third party.
	Evidence *trust.Evidence `json:"evidence,omitempty"`

	endNote, systemNote []byte
}

// Finding is why a bundle is not good: the first step of verification that
// failed.
type Finding struct {
	Code    int    `json:"code"`
	Step    string `json:"step"`
	Leaf    *int64 `json:"leaf,omitempty"` // its seq, where it is about one
	Detail  string `json:"detail"`
	Meaning string `json:"meaning"` // for a person, in a sentence
}

// Remember makes the ends of a good bundle what the next one must begin with.
func (v *Verdict) Remember(m *trust.Memory, at time.Time) error {
	if !v.Good {
		return fmt.Errorf("%w: code %d", ErrNotGood, v.Code)
	}
	if v.To == 0 { // the next one begins at the start, too
		return nil
	}
	if err := m.Remember(&v.End.Checkpoint, v.endNote, v.LastTime, at); err != nil {
		return err
	}
	if v.SystemEnd == nil {
		return nil
	}
	return m.Remember(&v.SystemEnd.Checkpoint, v.systemNote, 0, at)
}

// step of verification. The order is that in which findings count.
type step int

const (
	stepManifest step = iota
	stepSignature
	stepQuorum
	stepStart
	stepConsistency
	stepOrder
	stepRoot
	stepForm
	stepTime
	stepSystem
	stepErasures
	stepDisclosures
	stepFreshness
)

var stepNames = [...]string{"manifest", "signature", "quorum", "start", "consistency", "order", "root", "form", "time", "system", "erasures", "disclosures", "freshness"}

func (s step) String() string { return stepNames[s] }

// meaning of a code, for a person.
func meaning(code int) string {
	switch code {
	case CodeManifest:
		return "The file is damaged, incomplete or was changed after it was made: ask for it again, and compare it with the bank's copy."
	case CodeSignature:
		return "A signature does not hold: what was signed was changed, or the signature is forged."
	case CodeUnknownKey:
		return "It is not signed by a key that you have pinned: either the keys were changed, and you must confirm the new one by another way, or it is not from this log."
	case CodeQuorum:
		return "Fewer witnesses have cosigned the checkpoint than your policy asks for: the log may have shown them another history."
	case CodeStart:
		return "The bundle does not begin where your last verified one ended: it is an older one, leaves between them are kept back, or your state is not of this log."
	case CodeFork:
		return "The log contradicts itself: it has signed or anchored two histories, of which one was rewritten."
	case CodeOrder:
		return "Records that the log has signed are missing, repeated or in another order."
	case CodeAltered:
		return "At least one record is not the one that was logged."
	case CodeTime:
		return "The times of the records contradict each other or the clock: a clock was wrong or was set back."
	case CodeDisclosure:
		return "What was disclosed is not what was logged, or was sealed for another key."
	case CodeStale:
		return "The bundle was not made in answer to your nonce: it may be an old one, without what happened since."
	}
	return ""
}
