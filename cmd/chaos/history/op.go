package history

import (
	"errors"
	"fmt"
	"strings"
)

// Kind of an operation.
type Kind string

const (
	Create   Kind = "create"
	Evidence Kind = "evidence" // one picture
	Submit   Kind = "submit"
	Read     Kind = "read"   // linearizable
	Verify   Kind = "verify" // create, evidence, submit and read in one call, which is not atomic
	Erase    Kind = "erase"  // one for each session of the person
)

// Outcome of an operation, as its client knows it.
type Outcome string

const (
	OK Outcome = "ok"
	// Unknown: no answer, or one that leaves open whether it was done (503).
	Unknown Outcome = "unknown"
	// Failed: refused for certain; it had no effect, or that of its first parts
	// where it is Verify. That there is no such session is no failure: it is an
	// Answer that is Missing.
	Failed Outcome = "failed"
)

// Op is one call of one client. Times are in nanoseconds since 1970, by a clock
// that never steps.
type Op struct {
	Client  int    `json:"client"`
	Session string `json:"session"` // the idempotency key that creates it, unique in the history
	Kind    Kind   `json:"kind"`
	Key     string `json:"key,omitempty"` // idempotency key of submit
	// Pictures sent, by slot: a name for their bytes, as a hash of them.
	Pictures map[string]string `json:"pictures,omitempty"`
	Outcome  Outcome           `json:"outcome"`
	Answer   Answer            `json:"answer,omitzero"` // where the outcome is ok
	Error    string            `json:"error,omitempty"` // else
	Call     int64             `json:"call"`
	Return   int64             `json:"return"`
}

// Answer is what a session looks like to a client. What is empty was not told,
// and is not checked.
type Answer struct {
	ID       string `json:"id,omitempty"`
	Missing  bool   `json:"missing,omitempty"` // there is no such session
	State    string `json:"state,omitempty"`   // as the API names it
	Revision uint64 `json:"revision,omitempty"`
	Failure  string `json:"failure,omitempty"` // why it failed or was given back
	// Decision in full, in any form that is equal for equal decisions.
	Decision string `json:"decision,omitempty"`
	// Evidence that is kept: identifiers by slot; nil is not told, empty is
	// none. The answer to evidence has the one that was put.
	Evidence map[string]string `json:"evidence,omitzero"`
}

// open tells whether it is not known what the operation has done.
func (o Op) open() bool { return o.Outcome == Unknown || o.Outcome == Failed && o.Kind == Verify }

// write tells whether the operation changes something where it succeeds.
func (o Op) write() bool { return o.Kind != Read }

func (o Op) check() error {
	var err error
	switch o.Kind {
	case Create, Submit, Read, Verify, Erase:
	case Evidence:
		if len(o.Pictures) != 1 {
			err = errors.New("evidence of not one picture")
		}
	default:
		err = fmt.Errorf("unknown kind %.40q", o.Kind)
	}
	switch o.Outcome {
	case OK, Unknown, Failed:
	default:
		err = errors.Join(err, fmt.Errorf("unknown outcome %.40q", o.Outcome))
	}
	if o.Session == "" || o.Return < o.Call {
		err = errors.Join(err, errors.New("no session, or an end before the beginning"))
	}
	return err
}

// String is short, for the picture of a history.
func (a Answer) String() string {
	if a.Missing {
		return "no such session"
	}
	var parts []string
	for _, p := range []string{a.ID, a.State, a.Failure, a.Decision} {
		if p != "" {
			parts = append(parts, fmt.Sprintf("%.60s", p))
		}
	}
	if a.Revision != 0 {
		parts = append(parts, fmt.Sprint("r", a.Revision))
	}
	if a.Evidence != nil {
		parts = append(parts, fmt.Sprint(a.Evidence))
	}
	return strings.Join(parts, " ")
}
