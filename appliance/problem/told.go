package problem

import (
	"encoding/json"
	"errors"
	"net/http"
)

// told is a problem on its way from one node to another.
type told struct {
	Kind   Kind   `json:"kind"`
	Detail string `json:"detail"`
}

// Tell another node why what it has asked for was not done. An error that is no
// problem is Unavailable.
func Tell(w http.ResponseWriter, err error) {
	p := New(Unavailable, "%v", err)
	errors.As(err, &p)
	w.WriteHeader(p.Kind.Status())
	_ = json.NewEncoder(w).Encode(told{p.Kind, p.Detail}) // who asked has left, or has it
}

// Told is the problem in another node's answer; nil where there is none. A kind
// that only a newer release knows is Unavailable.
func Told(answer []byte) *Problem {
	var t told
	if err := json.Unmarshal(answer, &t); err != nil || t.Kind == "" {
		return nil
	}
	if _, known := kinds[t.Kind]; !known {
		t.Kind = Unavailable
	}
	return New(t.Kind, "%s", t.Detail)
}
