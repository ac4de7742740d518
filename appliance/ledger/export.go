package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/report"
	"gatehouse/store/audit"
	"gatehouse/store/audit/bundle"
	"gatehouse/store/audit/index"
	"gatehouse/store/audit/segment"
	"gatehouse/store/audit/trust"
	"gatehouse/store/command"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Range of a log that an auditor wants.
type Range struct {
	From, To      *int64 // sizes of the log; nil: its beginning, its present end
	After, Before time.Time
	Nonce         string
	Recipient     *bundle.Recipient // whom personal values are disclosed to; nil: to nobody
}

// Export prepares a bundle. That it is made is in the log before it returns.
func (l *Ledger) Export(ctx context.Context, c access.Caller, name string, r Range) (*bundle.Prepared, error) {
	if err := l.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	e, err := l.export(ctx, c, name, r)
	if err != nil {
		return nil, err
	}
	done := act.Event(c, audit.AuditExport, "log", name)
	done.Facts = map[string]string{"from": strconv.FormatInt(e.From, 10), "to": strconv.FormatInt(e.To, 10), "disclosures": strconv.FormatBool(r.Recipient != nil)}
	if r.Nonce != "" {
		done.Facts["nonce"] = r.Nonce
	}
	if r.Recipient != nil {
		done.Facts["recipient"] = fmt.Sprintf("%x", sha256.Sum256([]byte(r.Recipient.String())))
	}
	prepared, err := e.Prepare(ctx)
	if errors.Is(err, bundle.ErrTooLarge) {
		return nil, problem.New(problem.TooLarge, "%v", err)
	}
	if err != nil {
		return nil, damaged(err, e.Origin)
	}
	return prepared, l.Record(ctx, c, done)
}

func (l *Ledger) export(ctx context.Context, c access.Caller, name string, r Range) (*bundle.Export, error) {
	log := l.State.Log(name)
	h, challenge, err := l.challenge(ctx, c, name, r)
	if err != nil {
		return nil, err
	}
	from, to, err := l.sizes(ctx, name, h, r)
	if err != nil {
		return nil, err
	}
	if challenge >= to || challenge >= 0 && challenge < from {
		return nil, problem.New(problem.BadValue, "the nonce is in the log as event %d, which the range from %d to %d does not hold", challenge, from, to).In("nonce")
	}
	e := &bundle.Export{
		Origin: h.Origin, From: from, To: to, Nonce: r.Nonce, Challenge: challenge, Hashes: log, Leaves: log.Scan, Recipient: r.Recipient,
		Now: l.Now,
		Sign: func(text string) ([]byte, error) {
			l.signing.Lock() // the keys stay while they sign
			defer l.signing.Unlock()
			return l.signer.SignText(h.Origin, text)
		},
	}
	if r.Recipient != nil {
		e.Openings = func(leaf *audit.Leaf) ([]audit.Opening, error) { return l.openings(c.Tenant, name, leaf) }
	}
	end, err := l.signed(name, h.Origin, to)
	if err != nil {
		return nil, err
	}
	start := signed{}
	if from > 0 {
		if start, err = l.signed(name, h.Origin, from); err != nil {
			return nil, err
		}
	}
	e.Start, e.End = start.note, end.note
	if name != audit.System {
		if e.System, err = l.slice(ctx, name, from, to); err != nil {
			return nil, err
		}
	}
	if e.Keys, err = l.keys(h.Origin); err != nil {
		return nil, err
	}
	e.Report, err = l.report(e, start, end)
	return e, err
}

// challenge writes the auditor's nonce into the log, where it is not there yet,
// and anchors the log's head. It gives the head and the nonce's event; -1: none.
func (l *Ledger) challenge(ctx context.Context, c access.Caller, name string, r Range) (state.LogHead, int64, error) {
	log := l.State.Log(name)
	h, err := log.Head()
	if err != nil {
		return h, 0, err
	}
	at := int64(-1)
	if r.Nonce != "" {
		l.nonces.Lock()
		defer l.nonces.Unlock()
		if at, err = l.nonce(ctx, name, h, r.Nonce); err != nil {
			return h, 0, damaged(err, h.Origin)
		}
		if at < 0 {
			if r.To != nil || !r.Before.IsZero() {
				return h, 0, problem.New(problem.BadValue, "the nonce is not in the log yet: leave out the end of the range, so that it ends after it").In("nonce")
			}
			e := act.Event(c, audit.AuditChallenge, "log", name)
			e.Facts = map[string]string{"nonce": r.Nonce}
			if name == audit.System { // it must stand in the log that is exported
				c = system(c)
			}
			a, err := l.Propose(ctx, c, command.Type_RECORD, nil, nil, e)
			if err != nil {
				return h, 0, err
			}
			at = int64(a.Seq)
		}
	}
	if err := l.Tick(ctx); err != nil {
		return h, 0, err
	}
	h, err = log.Head()
	return h, at, err
}

// nonce finds the newest event that has it; -1: none.
func (l *Ledger) nonce(ctx context.Context, name string, h state.LogHead, nonce string) (int64, error) {
	all, err := l.finder.all(ctx, name, h, index.Of(index.Action, string(audit.AuditChallenge)))
	if err != nil {
		return 0, err
	}
	for _, seq := range slices.Backward(all) {
		leaf, err := l.leaf(name, seq)
		if err != nil {
			return 0, err
		}
		if leaf.Action == audit.AuditChallenge && leaf.Data["nonce"] == nonce {
			return seq, nil
		}
	}
	return -1, nil
}

func (l *Ledger) leaf(name string, seq int64) (*audit.Leaf, error) {
	b, err := l.State.Log(name).Leaf(seq)
	if err != nil {
		return nil, err
	}
	return audit.DecodeLeaf(b)
}

// sizes of the log before and after the range. A range without an end ends where
// the log was anchored now.
func (l *Ledger) sizes(ctx context.Context, name string, h state.LogHead, r Range) (from, to int64, err error) {
	switch {
	case r.To != nil:
		to = *r.To
	case !r.Before.IsZero():
		to, err = l.sizeAt(ctx, name, h, r.Before)
	case name == audit.System:
		to = h.Size
	default:
		to = h.Anchored
	}
	if err != nil {
		return 0, 0, damaged(err, h.Origin)
	}
	if r.From != nil {
		from = *r.From
	} else if !r.After.IsZero() {
		if from, err = l.sizeAt(ctx, name, h, r.After); err != nil {
			return 0, 0, damaged(err, h.Origin)
		}
		from = min(from, to)
	}
	if from < 0 || from > to || to > h.Size {
		return 0, 0, problem.New(problem.BadValue, "the range from %d to %d is not one of the log, which has %d events", from, to, h.Size).In("to")
	}
	if to == 0 {
		return 0, 0, problem.New(problem.NotFound, "there is no event before the end of the range")
	}
	return from, to, nil
}

// sizeAt is the number of events before a time, by ts_mono, which never goes back.
func (l *Ledger) sizeAt(ctx context.Context, name string, h state.LogHead, at time.Time) (int64, error) {
	var failed error
	size := sort.Search(int(h.Size), func(i int) bool {
		if failed = errors.Join(failed, ctx.Err()); failed != nil {
			return true
		}
		leaf, err := l.leaf(name, int64(i))
		if err != nil {
			failed = err
			return true
		}
		return leaf.TSMono >= audit.Time(at.UnixNano())
	})
	return int64(size), failed
}

// signed is a checkpoint with the signatures of its witnesses.
type signed struct {
	note      []byte
	witnesses []report.Cosigner
}

// signed gives the checkpoint of a size.
func (l *Ledger) signed(name, origin string, size int64) (s signed, err error) {
	l.signing.Lock()
	s.note, err = l.signer.SignEarlier(origin, size, l.State.Log(name))
	l.signing.Unlock()
	if errors.Is(err, segment.ErrDamaged) {
		err = damaged(err, origin)
	}
	if err != nil {
		return s, err
	}
	var rows []*command.Cosignature
	err = l.State.View(func(v *state.View) (err error) {
		rows, err = v.Cosignatures(name, size)
		return err
	})
	var lines []string
	for _, row := range rows {
		who, _, at, err := trust.CosignatureLine(row.Line)
		if err != nil {
			return s, err
		}
		lines, s.witnesses = append(lines, row.Line), append(s.witnesses, report.Cosigner{Name: who, At: at})
	}
	if err == nil && len(lines) > 0 {
		s.note, err = trust.Merge(s.note, lines...)
	}
	return s, err
}

// anchors of one log in the system's, in order, which is also that of the
// sizes.
type anchors struct {
	ledger *Ledger
	seqs   []int64
}

// size that an anchor says the log had.
func (a *anchors) size(i int) (int64, error) {
	leaf, err := a.ledger.leaf(audit.System, a.seqs[i])
	if err != nil {
		return 0, err
	}
	text, _ := leaf.Data["size"].(string)
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: anchor %d has no size", audit.ErrLeaf, a.seqs[i])
	}
	return size, nil
}

// first anchor of a size at or above this one; len(a.seqs): there is none.
func (a *anchors) first(size int64) (int, error) {
	var failed error
	i := sort.Search(len(a.seqs), func(i int) bool {
		has, err := a.size(i)
		failed = errors.Join(failed, err)
		return failed != nil || has >= size
	})
	return i, failed
}

// slice of the system's log that anchors a range of another.
func (l *Ledger) slice(ctx context.Context, name string, from, to int64) (*bundle.System, error) {
	h, err := l.State.Log(audit.System).Head()
	if err != nil {
		return nil, err
	}
	a := anchors{ledger: l}
	a.seqs, err = l.finder.all(ctx, audit.System, h, index.Of(index.Action, string(audit.AuditAnchor)), index.Of(index.Object, name))
	if err != nil {
		return nil, damaged(err, h.Origin)
	}
	which, end, err := a.pick(from, to)
	if err != nil {
		return nil, damaged(err, h.Origin)
	}
	if end == len(a.seqs) {
		return nil, problem.New(problem.Unavailable, "the log is not anchored at %d events yet", to)
	}
	s := &bundle.System{}
	size := a.seqs[end] + 1
	log := l.State.Log(audit.System)
	for _, i := range which {
		one := bundle.Anchor{Seq: a.seqs[i]}
		if one.Leaf, err = log.Leaf(one.Seq); err == nil {
			one.Hashes, err = audit.InclusionProof(size, one.Seq, log)
		}
		if err != nil {
			return nil, damaged(err, h.Origin)
		}
		s.Anchors = append(s.Anchors, one)
	}
	beyond, err := a.size(end)
	if err == nil && beyond > to {
		s.Beyond, err = audit.ConsistencyProof(to, beyond, l.State.Log(name))
	}
	if err != nil {
		return nil, damaged(err, h.Origin)
	}
	last, err := l.signed(audit.System, h.Origin, size)
	if s.End = last.note; err != nil || from == 0 {
		return s, err
	}
	began, err := a.first(from)
	if err != nil {
		return nil, damaged(err, h.Origin)
	}
	earlier, err := l.signed(audit.System, h.Origin, a.seqs[began]+1)
	if err != nil {
		return nil, err
	}
	s.Start = earlier.note
	s.Consistency, err = audit.ConsistencyProof(a.seqs[began]+1, size, log)
	return s, err
}

// pick the anchors of a bundle: the last of each 65,536 events up to the range's
// end, and the first at or beyond the end.
func (a *anchors) pick(from, to int64) (which []int, end int, err error) {
	if end, err = a.first(to); err != nil || end == len(a.seqs) {
		return nil, end, err
	}
	for edge := (from>>segment.Height + 1) << segment.Height; ; edge += segment.Leaves {
		i, err := a.first(min(edge, to) + 1) // the one before is at or below the edge
		if err != nil {
			return nil, 0, err
		}
		if i--; i >= 0 && i != end && (len(which) == 0 || i > which[len(which)-1]) {
			if size, err := a.size(i); err != nil {
				return nil, 0, err
			} else if size > from {
				which = append(which, i)
			}
		}
		if edge >= to {
			return append(which, end), end, nil
		}
	}
}

// openings of an event's personal values; none where the person was erased.
func (l *Ledger) openings(tenant, log string, leaf *audit.Leaf) ([]audit.Opening, error) {
	if len(leaf.PII) == 0 || leaf.SubjectRef == "" {
		return nil, nil
	}
	var row *command.Tenant
	var who *command.Subject
	var sealed []byte
	err := l.State.View(func(v *state.View) (err error) {
		if row, err = v.Tenant(tenant); err != nil {
			return err
		}
		if who, err = v.Subject(tenant, leaf.SubjectRef); err != nil {
			return err
		}
		sealed, err = v.Openings(tenant, leaf.SubjectRef, log, leaf.Seq)
		return err
	})
	if errors.Is(err, state.ErrNotFound) || err == nil && who.ErasedNs != 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := l.Keys.Tenant(tenant, row.Key)
	if err != nil {
		return nil, err
	}
	subject, err := t.Subject(who.Id, who.Key)
	if err != nil {
		return nil, err
	}
	b, err := subject.Open(keys.Place{Table: "openings", Field: string(leaf.Action), Row: leaf.Object.ID, Version: 1}, sealed)
	if err != nil {
		return nil, fmt.Errorf("openings of event %d: %w", leaf.Seq, err)
	}
	var all []audit.Opening
	return all, json.Unmarshal(b, &all)
}

// keys that sign the log, for the auditor's information.
func (l *Ledger) keys(origin string) ([]bundle.Key, error) {
	var all []bundle.Key
	verifiers, err := l.Keys.Verifiers(origin)
	for _, v := range verifiers {
		all = append(all, bundle.Key{VKey: v})
	}
	return all, err
}

// report of the range, for a person.
func (l *Ledger) report(e *bundle.Export, start, end signed) (bundle.Report, error) {
	cluster, tenant, _, err := audit.ParseOrigin(e.Origin)
	if err != nil {
		return nil, err
	}
	m := report.Meta{Origin: e.Origin, Tenant: tenant, Cluster: cluster, From: e.From, To: e.To, Nonce: e.Nonce, Version: l.Version}
	if e.System != nil {
		m.Anchors = len(e.System.Anchors)
	}
	for _, k := range e.Keys {
		m.Keys = append(m.Keys, k.VKey)
	}
	if m.End, err = head(end, m.Keys); err == nil && start.note != nil {
		m.Start, err = head(start, m.Keys)
	}
	return report.New(m), err
}

// head of a checkpoint that this node has signed, with its keys.
func head(s signed, keys []string) (report.Head, error) {
	c, err := audit.ParseCheckpoint(s.note)
	if err != nil {
		return report.Head{}, err
	}
	return report.Head{Size: c.Size, Root: c.Root.String(), Signed: keys, Cosigned: s.witnesses}, nil
}
