package ledger

import (
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/appliance/access"
	"gatehouse/store/audit"
	"gatehouse/store/audit/index"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// Query says which events are wanted: all that is set must hold.
type Query struct {
	Session, Subject, Actor, Action, Object string
	Reference                               string // the bank's own, of a person
	After, Before                           time.Time
	Below                                   int64 // sequence number; 0: from the end
	Limit                                   int
}

// Found is a page of events, the newest first. Each was verified against the
// tree of Size leaves under Root.
type Found struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Total  int64 // that match below the query's Below
	Leaves [][]byte
	Next   int64 // Below of the next page; 0: this is the last
}

// Search finds events. That somebody searched is in the log before it returns.
func (l *Ledger) Search(ctx context.Context, c access.Caller, name string, q Query) (*Found, error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return nil, err
	}
	out := &Found{Origin: h.Origin, Size: h.Size}
	if out.Root, err = audit.Root(h.Size, log); err != nil {
		return nil, damaged(err, h.Origin)
	}
	known := true
	if q.Reference != "" {
		var subject string
		if subject, err = l.subject(c.Tenant, q.Reference); err != nil {
			return nil, err
		}
		known = subject != "" && (q.Subject == "" || q.Subject == subject)
		q.Subject = subject
	}
	if known {
		if err := l.find(ctx, log, name, h, &q, out); err != nil {
			return nil, err
		}
	}
	return out, l.seen(ctx, c, name, q.facts(out))
}

// find fills the page.
func (l *Ledger) find(ctx context.Context, log *state.Log, name string, h state.LogHead, q *Query, out *Found) error {
	terms := q.terms()
	below := h.Size
	if q.Below > 0 {
		below = min(below, q.Below)
	}
	err := l.finder.parts(ctx, name, h, func(p *part) error {
		from, to, past, err := q.bounds(log, p, below)
		if err != nil {
			return err
		}
		found := max(0, to-from)
		next := func(yield func(int64) bool) { // all of a range need not be listed
			for seq := to - 1; seq >= from && yield(seq); seq-- {
			}
		}
		if len(terms) > 0 {
			all, err := p.find(ctx, terms, from, to)
			if err != nil {
				return err
			}
			found = int64(len(all))
			next = func(yield func(int64) bool) {
				for _, seq := range slices.Backward(all) {
					if !yield(seq) {
						return
					}
				}
			}
		}
		out.Total += found
		for seq := range next {
			if len(out.Leaves) == q.Limit {
				if out.Next == 0 {
					out.Next = seq + 1
				}
				break
			}
			leaf, matches, err := l.verified(log, h.Size, out.Root, seq, q)
			if err != nil {
				return err
			}
			if !matches {
				out.Total--
				continue
			}
			out.Leaves = append(out.Leaves, leaf)
		}
		if past {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return damaged(err, h.Origin)
	}
	return nil
}

// verified reads an event and shows that the tree has it; false where it was
// found by chance or lies outside of the times.
func (l *Ledger) verified(log *state.Log, size int64, root tlog.Hash, seq int64, q *Query) ([]byte, bool, error) {
	b, err := log.Leaf(seq)
	if err != nil {
		return nil, false, err
	}
	leaf, err := audit.DecodeLeaf(b)
	if err != nil || !q.matches(leaf) {
		return nil, false, err
	}
	proof, err := audit.InclusionProof(size, seq, log)
	if err != nil {
		return nil, false, err
	}
	return b, true, audit.VerifyInclusion(b, seq, size, proof, root)
}

// subject with this reference; empty where there is none.
func (l *Ledger) subject(tenant, reference string) (id string, err error) {
	var row *command.Tenant
	if err := l.State.View(func(v *state.View) (err error) { row, err = v.Tenant(tenant); return err }); err != nil {
		return "", err
	}
	t, err := l.Keys.Tenant(tenant, row.Key)
	if err != nil {
		return "", err
	}
	blind, err := t.Index("subject_ref", []byte(reference))
	if err != nil {
		return "", err
	}
	err = l.State.View(func(v *state.View) error {
		u, err := v.SubjectByReference(tenant, blind)
		if errors.Is(err, state.ErrNotFound) {
			return nil
		}
		id = u.GetId()
		return err
	})
	return id, err
}

func (q *Query) terms() []index.Term {
	var terms []index.Term
	for _, t := range []struct {
		field index.Field
		value string
	}{{index.Session, q.Session}, {index.Subject, q.Subject}, {index.Actor, q.Actor}, {index.Action, q.Action}, {index.Object, q.Object}} {
		if t.value != "" {
			terms = append(terms, index.Of(t.field, t.value))
		}
	}
	return terms
}

// bounds narrows a part of the log to the query's times, and to what lies below;
// past says that what is older is before them.
func (q *Query) bounds(log *state.Log, p *part, below int64) (from, to int64, past bool, err error) {
	from, to = p.from, p.to
	if !q.After.IsZero() {
		if from, err = p.size(log, audit.Time(q.After.UnixNano())); err != nil {
			return 0, 0, false, err
		}
	}
	if !q.Before.IsZero() {
		if to, err = p.size(log, audit.Time(q.Before.UnixNano())); err != nil {
			return 0, 0, false, err
		}
	}
	return from, min(to, below), from > p.from, nil
}

// size of the log, within the part, before a time.
func (p *part) size(log *state.Log, at audit.Time) (int64, error) {
	// The index knows it but for some hundred events.
	from, to := p.index.Bounds(at, math.MaxInt64)
	if from == to { // all are before it
		return p.to, nil
	}
	var failed error
	n := sort.Search(int(min(to, p.to)-from), func(i int) bool {
		b, err := log.Leaf(from + int64(i))
		if err == nil {
			var leaf *audit.Leaf
			if leaf, err = audit.DecodeLeaf(b); err == nil {
				return leaf.TSMono >= at
			}
		}
		failed = errors.Join(failed, err)
		return true
	})
	return from + int64(n), failed
}

// matches tells whether an event is one of those that are wanted.
func (q *Query) matches(l *audit.Leaf) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(q.Actor, l.Actor.ID) && is(q.Action, string(l.Action)) && is(q.Object, l.Object.ID) && is(q.Subject, l.SubjectRef) &&
		is(q.Session, index.SessionOf(l)) &&
		(q.After.IsZero() || l.TSMono >= audit.Time(q.After.UnixNano())) && (q.Before.IsZero() || l.TSMono < audit.Time(q.Before.UnixNano()))
}

// facts of a search for the log. Values stand there in the clear only where an
// event has them: anything else may be what somebody typed.
func (q *Query) facts(out *Found) map[string]string {
	facts := map[string]string{"matched": strconv.FormatInt(out.Total, 10), "shown": strconv.Itoa(len(out.Leaves))}
	var by []string
	for _, f := range []struct{ name, value string }{
		{"session", q.Session}, {"subject", q.Subject}, {"actor", q.Actor}, {"action", q.Action}, {"object", q.Object},
	} {
		if f.value == "" {
			continue
		}
		by = append(by, f.name)
		if len(out.Leaves) > 0 {
			facts[f.name] = f.value
		}
	}
	if q.Reference != "" {
		by = append(by, "reference")
	}
	for _, f := range []struct {
		name string
		at   time.Time
	}{{"after", q.After}, {"before", q.Before}} {
		if !f.at.IsZero() {
			by, facts[f.name] = append(by, f.name), f.at.UTC().Format(time.RFC3339Nano)
		}
	}
	facts["by"] = strings.Join(by, ",")
	if facts["by"] == "" {
		facts["by"] = "all"
	}
	return facts
}
