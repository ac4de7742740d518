package index

import (
	"crypto/sha256"

	"gatehouse/store/audit"
)

// Field of a leaf that can be searched. The numbers are part of the file format.
type Field byte

// The fields, and the members of a leaf that they stand for.
const (
	Session Field = 1 + iota // object.id where object.type is "session", else data.session
	Subject                  // subject_ref
	Actor                    // actor.id
	Action                   // action
	Object                   // object.id, of a session too
)

// Term is a value of a field: the first 8 bytes of SHA-256(field ‖ value). Two
// values have the same with a chance of one in 2⁶⁴.
type Term [8]byte

// Of gives the term to search for.
func Of(f Field, value string) Term {
	sum := sha256.Sum256(append([]byte{byte(f)}, value...))
	return Term(sum[:])
}

// SessionOf gives the session that an event is of; empty where it is of none.
func SessionOf(l *audit.Leaf) string {
	if l.Object.Type == "session" {
		return l.Object.ID
	}
	session, _ := l.Data["session"].(string)
	return session
}

// Terms of a leaf: one at most for each field, none for a member that is empty.
func Terms(l *audit.Leaf) []Term {
	var terms []Term
	for _, v := range [...]struct {
		field Field
		value string
	}{{Session, SessionOf(l)}, {Subject, l.SubjectRef}, {Actor, l.Actor.ID}, {Action, string(l.Action)}, {Object, l.Object.ID}} {
		if v.value != "" {
			terms = append(terms, Of(v.field, v.value))
		}
	}
	return terms
}
