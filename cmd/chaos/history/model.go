package history

import (
	"fmt"
	"maps"
	"strings"
)

// States as the API names them. Processing is not one: whether a worker has a
// submitted session in hand is not agreed on between nodes.
const (
	created    = "created"
	collecting = "collecting"
	submitted  = "submitted"
	processing = "processing"
	approved   = "approved"
	rejected   = "rejected"
	review     = "review"
	failed     = "failed"
	expired    = "expired"
	erased     = "erased"
)

// state of one session, as far as it must have come. Values are never changed
// in place: porcupine goes back to older ones.
type state struct {
	facts
	pictures map[string]picture // that are kept, by slot
}

type facts struct {
	exists   bool
	id       string // empty where nobody was told yet
	stage    string
	revision uint64 // at least
	seen     bool   // this very revision was, and its stage
	returned bool   // it was given back for another picture
	decision string
	keys     string // of the submissions that counted, each in newlines
}

type picture struct {
	bytes string // which
	id    string // empty where nobody was told yet
}

func (s state) equal(o state) bool { return s.facts == o.facts && maps.Equal(s.pictures, o.pictures) }

// step is one atomic part of an operation.
type step struct {
	kind     Kind // never Verify
	key      string
	slot     string
	bytes    string
	unknown  bool
	client   int
	whole    Kind // of the operation that it is a part of
	answered Answer
}

// apply gives the state after a step, and whether the answer fits.
func (s state) apply(p step) (state, bool) {
	switch {
	case p.unknown:
		return s.perhaps(p), true
	case p.answered.Missing:
		return s, !s.exists
	case p.kind == Create:
		if !s.exists {
			return state{facts: facts{exists: true, stage: created, id: p.answered.ID}}, true
		}
		return s.named(p.answered.ID)
	}
	s, ok := s.named(p.answered.ID)
	if !s.exists || !ok {
		return s, false
	}
	switch p.kind {
	case Evidence:
		return s.put(p)
	case Submit:
		return s.submit(p)
	case Erase:
		return s.erase(), true
	}
	return s.observe(p.answered)
}

// perhaps is what a step does that nobody has the answer of: where it would be
// refused, nothing. That it was never done is that it is done last.
func (s state) perhaps(p step) state {
	switch {
	case p.kind == Create && !s.exists:
		return state{facts: facts{exists: true, stage: created}}
	case !s.exists:
	case p.kind == Evidence:
		if next, ok := s.put(p); ok {
			return next
		}
	case p.kind == Submit:
		if next, ok := s.submit(p); ok {
			return next
		}
	case p.kind == Erase:
		return s.erase()
	}
	return s
}

// named tells whether the session has this identifier.
func (s state) named(id string) (state, bool) {
	if id != "" && s.id == "" {
		s.id = id
	}
	return s, id == "" || s.id == id
}

func (s state) changed() state {
	s.revision++
	s.seen = false
	return s
}

// put a picture. The same bytes again have no effect, unless they were given
// back; which of them were is not known here.
func (s state) put(p step) (state, bool) {
	id := p.answered.Evidence[p.slot]
	old, there := s.pictures[p.slot]
	again := there && old.bytes == p.bytes
	open := s.stage == created || s.stage == collecting
	switch {
	case again && s.returned && open && p.unknown:
		return s.with(p.slot, picture{p.bytes, ""}), true
	case again && (id == "" || id == old.id):
		return s, true
	case again && old.id == "":
		return s.with(p.slot, picture{p.bytes, id}), true
	case again && !s.returned || !open:
		return s, false
	}
	s = s.with(p.slot, picture{p.bytes, id}).changed()
	s.stage = collecting
	return s, true
}

func (s state) with(slot string, p picture) state {
	all := maps.Clone(s.pictures)
	if all == nil {
		all = map[string]picture{}
	}
	all[slot] = p
	s.pictures = all
	return s
}

// submit with a key that was used has no effect.
func (s state) submit(p step) (state, bool) {
	key := "\n" + p.key + "\n"
	if p.key != "" && strings.Contains(s.keys, key) {
		return s, true
	}
	if s.stage != collecting {
		return s, false
	}
	s = s.changed()
	s.stage, s.keys, s.returned = submitted, s.keys+key, false
	return s, true
}

func (s state) erase() state {
	if s.stage == erased {
		return s
	}
	s = s.changed()
	s.stage, s.pictures, s.decision = erased, nil, ""
	return s
}

// observe what a client was shown.
func (s state) observe(a Answer) (state, bool) {
	if a.State == "" {
		return s, true
	}
	stage := a.State
	if stage == processing {
		stage = submitted
	}
	same := s.seen && a.Revision != 0 && a.Revision == s.revision
	if a.Revision != 0 {
		if a.Revision < s.revision {
			return s, false
		}
		s.revision, s.seen = a.Revision, true
	}
	if stage != s.stage {
		if same || !follows(s.stage, stage, a.Failure) {
			return s, false
		}
		s.returned = stage == collecting
		s.stage = stage
	}
	decided := stage == approved || stage == rejected || stage == review
	switch {
	case a.Decision == s.decision:
	case s.decision != "" || !decided: // another, or none any more; or one before its time
		return s, false
	default:
		s.decision = a.Decision
	}
	if a.Evidence == nil || stage == expired || stage == erased { // of those it is deleted
		return s, true
	}
	if len(a.Evidence) != len(s.pictures) {
		return s, false
	}
	for slot, id := range a.Evidence {
		switch p, there := s.pictures[slot]; {
		case !there || p.id != "" && p.id != id:
			return s, false
		case p.id == "":
			s = s.with(slot, picture{p.bytes, id})
		}
	}
	return s, true
}

// follows tells which stages the cluster goes to by itself. That a session was
// given back must have been shown before a client makes use of it.
func follows(from, to, failure string) bool {
	switch to {
	case approved, rejected, review, failed:
		return from == submitted
	case collecting: // given back
		return from == submitted && failure != ""
	case expired:
		return from == created || from == collecting
	}
	return false
}

func (s state) String() string {
	if !s.exists {
		return "none"
	}
	return fmt.Sprintf("%s %s r≥%d %s %v", s.id, s.stage, s.revision, s.decision, s.pictures)
}
