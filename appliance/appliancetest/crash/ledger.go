package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"

	"gatehouse/appliance/api"
)

// session is what the node has acknowledged of one: what it may never take
// back.
type session struct {
	key, submitKey string // idempotency keys, of this session alone
	single         bool   // all in one call
	pictures       map[api.Slot][]byte

	id, subject string // empty: not acknowledged
	state       api.SessionState
	evidence    map[api.Slot]*evidence
	submitted   bool
	decision    []byte // as JSON
	erased      bool
	erasing     bool // asked for; whether it was done may not be known

	resultReads, subjectReads int
	fresh                     bool // something was acknowledged since the last check
}

type evidence struct {
	id    string
	sum   [sha256.Size]byte
	reads int
}

// rank orders the states of a session: none may come before an earlier one's.
// A node that died puts what was processed back to submitted.
func rank(s api.SessionState) int {
	switch s {
	case api.SessionStateCreated:
		return 0
	case api.SessionStateCollecting:
		return 1
	case api.SessionStateSubmitted, api.SessionStateProcessing:
		return 2
	case api.SessionStateErased:
		return 4
	}
	return 3
}

func settled(s api.SessionState) bool { return rank(s) >= 3 }

// decided: by the rules; failed and expired sessions have no decision.
func decided(s api.SessionState) bool {
	return s == api.SessionStateApproved || s == api.SessionStateRejected || s == api.SessionStateReview
}

// acknowledge takes an answer into the ledger. It gives what it contradicts.
func (s *session) acknowledge(a *api.Session) (contradiction string) {
	s.fresh = true
	if s.id == "" {
		s.id, s.subject, s.state = a.Id, a.Subject, a.State
	}
	switch {
	case a.Id != s.id:
		return "another session under its key: " + a.Id
	case a.Subject != s.subject:
		return "another subject: " + a.Subject
	case rank(a.State) < rank(s.state):
		return string(s.state) + " went back to " + string(a.State)
	case decided(s.state) && decided(a.State) && s.state != a.State:
		return string(s.state) + " became " + string(a.State)
	}
	s.state = a.State
	s.submitted = s.submitted || rank(a.State) >= 2
	if a.State == api.SessionStateErased {
		if !s.erasing && !s.erased {
			return "erased, and nobody asked for it"
		}
		return ""
	}
	for slot, e := range s.evidence {
		found := false
		for _, shown := range a.Evidence {
			found = found || shown.Slot == slot && shown.Id == e.id
		}
		if !found {
			return "without its acknowledged evidence " + e.id
		}
	}
	return s.decide(a.Decision)
}

func (s *session) decide(d *api.Decision) (contradiction string) {
	if d == nil {
		if s.decision != nil {
			return "without its acknowledged decision"
		}
		return ""
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err.Error()
	}
	if s.decision == nil {
		s.decision = b
	}
	if !bytes.Equal(b, s.decision) {
		return "another decision: " + string(b) + " instead of " + string(s.decision)
	}
	return ""
}

// stored takes in that a picture was acknowledged.
func (s *session) stored(e api.Evidence) {
	s.fresh = true
	s.evidence[e.Slot] = &evidence{id: e.Id, sum: sha256.Sum256(s.pictures[e.Slot])}
}

// marked gives a JPEG a comment of its own, so that no two are the same bytes.
func marked(jpeg []byte, text string) []byte {
	// After SOI: COM, whose length counts itself (ISO/IEC 10918-1, B.2.4.5).
	segment := append([]byte{0xff, 0xfe}, binary.BigEndian.AppendUint16(nil, uint16(2+len(text)))...)
	return bytes.Join([][]byte{jpeg[:2], segment, []byte(text), jpeg[2:]}, nil)
}
