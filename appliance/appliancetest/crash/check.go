package crash

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
	"gatehouse/store/audit"
)

// sample of older sessions that are looked at after each kill.
const sample = 4

// check holds the node against the ledger. all looks at every session and at
// every checkpoint; else at those with news and at a few others.
func (r *run) check(ctx context.Context, all bool) error {
	listed, err := list(ctx, r.workers[0].client)
	if err != nil {
		return err
	}
	errs := make([]error, len(r.workers))
	var parts sync.WaitGroup
	for i, w := range r.workers {
		parts.Go(func() { errs[i] = w.check(ctx, listed, all) })
	}
	parts.Wait()
	if err := errors.Join(append(errs, r.gallery(ctx))...); err != nil {
		return err
	}
	var heads [][]byte
	for _, w := range r.workers {
		heads = append(heads, w.heads...)
		w.heads = nil
	}
	if err := r.tenant.follow(ctx, r.workers[0].client, heads, all); err != nil {
		return err
	}
	if err := r.system.follow(ctx, r.admin, nil, all); err != nil {
		return err
	}
	if err := r.auditor.visit(ctx, r.workers[0].client); err != nil {
		return err
	}
	for _, w := range r.workers {
		for _, s := range w.sessions {
			r.logged(s)
		}
	}
	return nil
}

// list gives the state of every session of the tenant.
func list(ctx context.Context, n *client.Client) (map[string]api.SessionState, error) {
	states := map[string]api.SessionState{}
	for cursor := ""; ; {
		page, err := n.Sessions(ctx, cursor, pageSize)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Sessions {
			states[s.Id] = s.State
		}
		if page.Next == nil {
			return states, nil
		}
		cursor = *page.Next
	}
}

func (w *worker) check(ctx context.Context, listed map[string]api.SessionState, all bool) error {
	older := map[*session]bool{}
	for range min(sample, len(w.sessions)) {
		older[w.sessions[w.random.IntN(len(w.sessions))]] = true
	}
	for _, s := range w.sessions {
		if s.id == "" {
			continue
		}
		state, there := listed[s.id]
		switch {
		case !there:
			w.report.broken(Lost, "session %s is not listed", s.id)
			continue
		case rank(state) < rank(s.state):
			w.report.broken(Lost, "session %s was %s and is listed as %s", s.id, s.state, state)
		}
		if !all && !s.fresh && !older[s] {
			continue
		}
		if err := w.checkSession(ctx, s); err != nil {
			return err
		}
		s.fresh = false
	}
	return nil
}

func (w *worker) checkSession(ctx context.Context, s *session) error {
	a, err := w.client.Session(ctx, s.id, 0)
	if problem := (*client.Problem)(nil); errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		w.report.broken(Lost, "session %s: %v", s.id, err)
		return nil
	}
	if err := w.take(s)(a, err); err != nil {
		return err
	}
	if s.erased || s.state == api.SessionStateErased {
		return w.gone(ctx, s)
	}
	for slot := range s.evidence {
		if s.erasing { // whether it was is not known
			break
		}
		switch err := w.compare(ctx, s, slot); {
		case isProblem(err):
			w.report.broken(Lost, "evidence %s of session %s: %v", s.evidence[slot].id, s.id, err)
		case err != nil:
			return err
		default:
			w.report.read()
		}
	}
	if s.single {
		return nil
	}
	return w.repeat(ctx, s)
}

// gone checks that nothing of an erased person is shown.
func (w *worker) gone(ctx context.Context, s *session) error {
	for _, slot := range slots {
		switch _, err := w.client.Evidence(ctx, s.id, slot, api.PurposeReview, io.Discard); {
		case err == nil:
			w.report.broken(Lost, "session %s was erased and shows its %s", s.id, slot)
		case !isProblem(err):
			return err
		}
	}
	switch _, err := w.client.Result(ctx, s.id, api.PurposeReview); {
	case err == nil:
		w.report.broken(Lost, "session %s was erased and shows its result", s.id)
	case !isProblem(err):
		return err
	}
	return nil
}

func isProblem(err error) bool {
	p := (*client.Problem)(nil)
	return errors.As(err, &p) && p.Status != http.StatusTooManyRequests && p.Status != http.StatusServiceUnavailable
}

// logged checks that what was acknowledged is in the log, as often as it may.
func (r *run) logged(s *session) {
	once := func(a audit.Action, object string, must bool) {
		n := r.tenant.count(a, object)
		if n == 0 && must {
			r.report.broken(Fork, "session %s: %s of %s is not in the log", s.id, a, object)
		}
		if n > 1 {
			r.report.broken(Twice, "session %s: %s of %s is in the log %d times", s.id, a, object, n)
		}
	}
	atLeast := func(n int, a audit.Action, object string) {
		if logged := r.tenant.count(a, object); logged < n {
			r.report.broken(Fork, "session %s: %s of %s was done %d times and logged %d times", s.id, a, object, n, logged)
		}
	}
	if s.id == "" {
		return
	}
	once(audit.SessionCreate, s.id, true)
	once(audit.SessionSubmit, s.id, s.submitted)
	once(audit.DecisionMake, s.id, s.decision != nil)
	for _, e := range s.evidence {
		once(audit.SessionEvidenceAdd, e.id, true)
		atLeast(e.reads, audit.AccessEvidence, e.id)
	}
	atLeast(s.resultReads, audit.AccessResult, s.id)
	atLeast(s.subjectReads, audit.AccessSubject, s.subject)
	if s.erased {
		atLeast(1, audit.SubjectEraseRestrict, s.subject)
	}
}
