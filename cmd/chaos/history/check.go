package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// picturesMax of failed sessions are drawn; more say nothing new.
const picturesMax = 20

// Report of a check.
type Report struct {
	Operations, Acknowledged, Unknown, Failed int
	Sessions                                  int
	Illegal                                   []Verdict // no order explains the answers
	Undecided                                 []Verdict // the time was over
}

// Verdict on a session that is not known to be good.
type Verdict struct {
	Session string
	Picture string // an HTML file; may be empty
}

// Err is nil where every session is linearizable, else ErrIllegal or
// ErrUndecided.
func (r *Report) Err() error {
	switch {
	case len(r.Illegal) > 0:
		return fmt.Errorf("%w: %d of %d sessions, the first is %s, see %q", ErrIllegal, len(r.Illegal), r.Sessions, r.Illegal[0].Session, r.Illegal[0].Picture)
	case len(r.Undecided) > 0:
		return fmt.Errorf("%w: %d of %d sessions, the first is %s", ErrUndecided, len(r.Undecided), r.Sessions, r.Undecided[0].Session)
	}
	return nil
}

// Check searches an order of the operations of each session that explains all
// answers, for as long as limit together. Sessions that have none are drawn
// into dir, which is made. The error is ctx's, or of dir.
func Check(ctx context.Context, ops []Op, limit time.Duration, dir string) (*Report, error) {
	r := &Report{Operations: len(ops)}
	sessions := map[string][]Op{}
	for _, o := range ops {
		sessions[o.Session] = append(sessions[o.Session], o)
		switch o.Outcome {
		case OK:
			r.Acknowledged++
		case Unknown:
			r.Unknown++
		case Failed:
			r.Failed++
		}
	}
	r.Sessions = len(sessions)
	end := time.Now().Add(limit)
	for _, name := range slices.Sorted(maps.Keys(sessions)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		left := time.Until(end)
		if left <= 0 { // no time at all would be all the time, to porcupine
			r.Undecided = append(r.Undecided, Verdict{Session: name})
			continue
		}
		result, info := porcupine.CheckOperationsVerbose(model(), parts(sessions[name]), left)
		var err error
		v := Verdict{Session: name}
		switch result {
		case porcupine.Illegal:
			v.Picture, err = draw(info, dir, len(r.Illegal)+1)
			r.Illegal = append(r.Illegal, v)
		case porcupine.Unknown:
			r.Undecided = append(r.Undecided, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

func draw(info porcupine.LinearizationInfo, dir string, n int) (string, error) {
	if n > picturesMax {
		return "", nil
	}
	path := filepath.Join(dir, fmt.Sprintf("illegal-%d.html", n))
	err := os.MkdirAll(dir, 0o755)
	return path, errors.Join(err, porcupine.VisualizePath(model(), info, path))
}

func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, input, _ any) (bool, any) {
			next, ok := s.(state).apply(input.(step))
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(state).equal(b.(state)) },
		DescribeOperation: func(input, _ any) string {
			p := input.(step)
			answer := p.answered.String()
			if p.unknown {
				answer = "?"
			}
			what := string(p.kind)
			if p.whole != p.kind {
				what = fmt.Sprintf("%s: %s", p.whole, p.kind)
			}
			return fmt.Sprintf("client %d %s %s → %s", p.client, what, p.slot, answer)
		},
		DescribeState: func(s any) string { return s.(state).String() },
	}
}

// parts are the atomic steps of the operations of one session. What was refused
// is none, nor is a read without an answer.
func parts(ops []Op) []porcupine.Operation {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Op) int { return int(a.Call - b.Call) })
	var last int64
	for _, o := range ops {
		last = max(last, o.Return)
	}
	type effect struct {
		kind Kind
		key  string
	}
	perhaps := map[effect]bool{}
	var all []porcupine.Operation
	for _, o := range ops {
		end := o.Return
		if o.open() {
			end = last + 1 // any time later, which is never, too
		}
		for _, p := range o.steps() {
			// What has an effect once, and may at any time later, explains no
			// more when it is tried again; and each doubles the search.
			if once := (effect{p.kind, p.key}); p.unknown && (p.kind == Create || p.kind == Erase || p.key != "") {
				if perhaps[once] {
					continue
				}
				perhaps[once] = true
			}
			all = append(all, porcupine.Operation{Input: p, Call: o.Call, Return: end})
		}
	}
	inRows(all)
	return all
}

// steps of an operation. A submission, and what its answer shows, are two: the
// cluster may decide in between, and others see it.
func (o Op) steps() (all []step) {
	if o.Outcome == Failed && !o.open() {
		return nil
	}
	add := func(p step) {
		p.client, p.whole, p.unknown = o.Client, o.Kind, o.open()
		p.answered = o.Answer
		if p.kind == Create {
			p.answered = Answer{ID: o.Answer.ID} // the answer is of the session as it was made
		}
		all = append(all, p)
	}
	if o.Answer.Missing {
		add(step{kind: Read})
		return all
	}
	key := o.Key
	if o.Kind == Verify {
		key = o.Session
	}
	if o.Kind == Create || o.Kind == Verify {
		add(step{kind: Create})
	}
	if o.Kind == Evidence || o.Kind == Verify {
		for _, slot := range slices.Sorted(maps.Keys(o.Pictures)) {
			add(step{kind: Evidence, slot: slot, bytes: o.Pictures[slot]})
		}
	}
	if o.Kind == Submit || o.Kind == Verify {
		add(step{kind: Submit, key: key})
	}
	if o.Kind == Erase {
		add(step{kind: Erase})
	}
	if o.Outcome == OK && (o.Kind == Submit || o.Kind == Verify || o.Kind == Read) {
		add(step{kind: Read})
	}
	return all
}

// inRows lays operations that overlap into rows of their own, for the picture.
func inRows(all []porcupine.Operation) {
	var ends []int64
	for i := range all {
		row := slices.IndexFunc(ends, func(end int64) bool { return end < all[i].Call })
		if row < 0 {
			row = len(ends)
			ends = append(ends, 0)
		}
		ends[row] = all[i].Return
		all[i].ClientId = row
	}
}
