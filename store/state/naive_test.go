package state_test

import (
	"maps"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// naive says what must be enrolled in ten_a and what must have been removed,
// from the commands and whether they were refused.
type naive struct {
	enrolled map[uint64]*command.Enrolment
	removed  []state.Removed
}

func (n *naive) newest() uint64 {
	newest := uint64(0)
	for index := range n.enrolled {
		newest = max(newest, index)
	}
	return newest
}

// told that c came to a; s is the session before it.
func (n *naive) told(w *world, c *command.Command, s *command.Session, a *command.Answer) {
	w.t.Helper()
	if a.Replay != nil || a.Refusal == string(state.KeyReused) {
		return
	}
	done := a.Refusal == ""
	switch c.Type {
	case command.Type_COMPLETE:
		p := &command.Complete{}
		must(w.t, proto.Unmarshal(c.Payload, p))
		open := s.GetState() == state.Submitted && s.Attempt == p.Attempt && slices.Contains([]string{state.Approved, state.Rejected, state.InReview}, p.Outcome)
		want := a.Refusal // that of a session which is not open is no concern of faces
		switch u := p.Template; {
		case open && u != nil && (u.Model == "" || len(u.Sealed) == 0):
			want = string(state.Malformed)
		case open && u != nil && p.Searched < n.newest():
			want = string(state.SearchAgain)
		case open:
			want = ""
		}
		if a.Refusal != want || !open && a.Refusal == string(state.SearchAgain) {
			w.t.Fatalf("%v with the newest enrolment %d: refusal %q, want %q", p, n.newest(), a.Refusal, want)
		}
		if done && p.Template != nil {
			n.enrolled[a.Index] = &command.Enrolment{List: "subjects", Id: s.Id, Subject: s.Subject, Model: p.Template.Model}
		}
	case command.Type_BLOCK:
		p := &command.Block{}
		must(w.t, proto.Unmarshal(c.Payload, p))
		if done {
			n.enrolled[a.Index] = &command.Enrolment{List: "blocklist", Id: p.Blocked.Id, Subject: p.Subject.Id, Model: p.Template.Model}
		}
	case command.Type_UNBLOCK:
		p := &command.Unblock{}
		must(w.t, proto.Unmarshal(c.Payload, p))
		if done {
			n.remove(a.Index, func(e *command.Enrolment) bool { return e.Id == p.Blocked })
		}
	case command.Type_ERASE_SUBJECT:
		p := &command.EraseSubject{}
		must(w.t, proto.Unmarshal(c.Payload, p))
		if done {
			n.remove(a.Index, func(e *command.Enrolment) bool { return e.Subject == p.Subject })
		}
	}
	if got, _ := w.newest(); got != n.newest() {
		w.t.Fatalf("%v at %d: the newest enrolment is %d, want %d", c.Type, a.Index, got, n.newest())
	}
}

func (n *naive) remove(index uint64, gone func(*command.Enrolment) bool) {
	for _, enrolment := range slices.Sorted(maps.Keys(n.enrolled)) {
		if e := n.enrolled[enrolment]; gone(e) {
			delete(n.enrolled, enrolment)
			n.removed = append(n.removed, state.Removed{Index: index, Enrolled: enrolment, List: e.List, ID: e.Id, Model: e.Model})
		}
	}
}

// somebody who is enrolled, or else.
func (n *naive) somebody(r *rand.Rand, or string) string {
	if len(n.enrolled) == 0 {
		return or
	}
	indexes := slices.Sorted(maps.Keys(n.enrolled))
	return n.enrolled[indexes[r.IntN(len(indexes))]].Subject
}

// compare the model with what the state lists.
func (n *naive) compare(w *world) {
	w.t.Helper()
	indexes := slices.Sorted(maps.Keys(n.enrolled))
	same := func(index uint64, e state.Enrolled) bool {
		return e.Index == index && proto.Equal(e.Enrolment, n.enrolled[index])
	}
	if got := w.listed(7); !slices.EqualFunc(indexes, got, same) {
		w.t.Fatalf("after %d entries enrolled are\n%v, want\n%v", len(w.log), got, n.enrolled)
	}
	if got := w.gone(7); !slices.Equal(got, n.removed) {
		w.t.Fatalf("after %d entries removed are\n%v, want\n%v", len(w.log), got, n.removed)
	}
}

// decide a session: well and badly, with a template or without one, after all
// enrolments were searched or not.
func (w *world) decide(r *rand.Rand, session string, attempt uint32, newest uint64) *command.Command {
	if r.IntN(4) == 0 {
		newest -= min(newest, 1+r.Uint64N(30))
	}
	c := w.completeAt(session, attempt, []string{state.Approved, state.Rejected, state.InReview, "perhaps"}[r.IntN(4)], newest)
	p := &command.Complete{}
	must(w.t, proto.Unmarshal(c.Payload, p))
	switch r.IntN(12) {
	case 0, 1:
		p.Template = nil
	case 2:
		p.Template.Sealed = nil
	case 3:
		p.Template.Model = ""
	}
	return w.with(c, p, session, "sub_"+session)
}
