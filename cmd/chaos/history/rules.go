package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Finding is a rule that was broken.
type Finding struct {
	Session string
	What    string
}

func (f Finding) String() string { return fmt.Sprintf("session %s: %s", f.Session, f.What) }

// promises are what the answers of one session leave no doubt about.
type promises struct {
	id       string
	revision uint64
	decision string
	gone     bool                         // erased
	maybe    bool                         // that it is erased
	closed   bool                         // submitted or further
	returned bool                         // given back, at some time
	kept     map[string]string            // the evidence that was acknowledged, by slot
	sent     map[string]map[string]string // slot, bytes, identifier: all that may have been kept
}

func (p *promises) take(o Op) {
	for slot, bytes := range o.Pictures {
		if p.sent[slot] == nil {
			p.sent[slot] = map[string]string{}
		}
		id := o.Answer.Evidence[slot]
		p.sent[slot][bytes] = id
		if o.Outcome == OK && id != "" {
			p.kept[slot] = id
		}
	}
	if o.Kind == Erase {
		p.maybe = true
	}
	if o.Outcome != OK || o.Answer.Missing {
		return
	}
	a := o.Answer
	if p.id == "" {
		p.id = a.ID
	}
	if a.Decision != "" {
		p.decision = a.Decision
	}
	p.revision = max(p.revision, a.Revision)
	p.gone = p.gone || o.Kind == Erase || a.State == erased
	switch a.State {
	case submitted, processing, approved, rejected, review, failed:
		p.closed = true
	}
	p.returned = p.returned || a.State == collecting && a.Failure != ""
}

// Lost holds what was acknowledged against the sessions as they are at the end,
// which final gives for each that somebody was told of. An error is final's.
func Lost(ctx context.Context, ops []Op, final func(ctx context.Context, session, id string) (Answer, error)) ([]Finding, error) {
	all := map[string]*promises{}
	for _, o := range inTime(ops) {
		if o.Outcome == Failed && !o.open() {
			continue
		}
		p := all[o.Session]
		if p == nil {
			p = &promises{kept: map[string]string{}, sent: map[string]map[string]string{}}
			all[o.Session] = p
		}
		p.take(o)
	}
	var found []Finding
	for _, session := range slices.Sorted(maps.Keys(all)) {
		p := all[session]
		if p.id == "" {
			continue
		}
		a, err := final(ctx, session, p.id)
		if err != nil {
			return nil, fmt.Errorf("session %s at the end: %w", session, err)
		}
		for _, what := range p.broken(a) {
			found = append(found, Finding{session, what})
		}
	}
	return found, nil
}

// broken tells what a session lacks at the end.
func (p *promises) broken(a Answer) (what []string) {
	tell := func(format string, args ...any) { what = append(what, fmt.Sprintf(format, args...)) }
	switch {
	case a.Missing:
		tell("it was acknowledged as %s and is not there", p.id)
		return what
	case a.ID != "" && a.ID != p.id:
		tell("it was acknowledged as %s and is %s", p.id, a.ID)
		return what
	case a.Revision != 0 && a.Revision < p.revision:
		tell("revision %d was shown and it is at %d", p.revision, a.Revision)
	}
	if p.gone {
		if a.State != erased || a.Decision != "" || len(a.Evidence) > 0 {
			tell("it was erased and is %v", a)
		}
		return what
	}
	if a.State == erased {
		if !p.maybe {
			tell("nobody erased it, and it is erased")
		}
		return what
	}
	if p.closed && !p.returned && (a.State == created || a.State == collecting && a.Failure == "" || a.State == expired) {
		tell("it was submitted and is %s", a.State)
	}
	if p.decision != "" && a.Decision != p.decision {
		tell("its decision was %.200q and is %.200q", p.decision, a.Decision)
	}
	if a.State == expired || a.Evidence == nil {
		return what
	}
	for _, slot := range slices.Sorted(maps.Keys(p.kept)) {
		id, there := a.Evidence[slot]
		switch {
		case !there:
			tell("evidence %s in %s was acknowledged and is not there", p.kept[slot], slot)
		case id != p.kept[slot] && len(p.sent[slot]) == 1 && !p.returned:
			tell("evidence %s in %s was acknowledged and is %s", p.kept[slot], slot, id)
		}
	}
	return what
}

// Twice finds keys with more than one answer, and answers with more than one
// key: an effect that was had twice.
func Twice(ops []Op) []Finding {
	var found []Finding
	ids, decisions, sessions := map[string]string{}, map[string]string{}, map[string]string{}
	// differs keeps the first value of a key and tells of another.
	differs := func(m map[string]string, key, value string) (string, bool) {
		first, there := m[key]
		if !there {
			m[key] = value
		}
		return first, there && first != value
	}
	for _, o := range inTime(ops) {
		if o.Outcome != OK || o.Answer.Missing {
			continue
		}
		if id := o.Answer.ID; id != "" {
			if first, other := differs(ids, o.Session, id); other {
				found = append(found, Finding{o.Session, fmt.Sprintf("its key gave %s and %s", first, id)})
			}
			if first, other := differs(sessions, id, o.Session); other {
				found = append(found, Finding{o.Session, fmt.Sprintf("its key and %s gave %s", first, id)})
			}
		}
		if d := o.Answer.Decision; d != "" {
			if first, other := differs(decisions, o.Session, d); other {
				found = append(found, Finding{o.Session, fmt.Sprintf("it was decided %.200q and %.200q", first, d)})
			}
		}
	}
	return found
}

// inTime gives operations as they ended.
func inTime(ops []Op) []Op {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(a.Return - b.Return) })
	return ops
}
