package state

import (
	"errors"
	"slices"

	"gatehouse/store/command"
)

// States of a session. A submitted one that a worker has in hand is shown as
// processing; the state does not know of it.
const (
	Created   = "created"
	Collect   = "collecting"
	Submitted = "submitted"
	Approved  = "approved"
	Rejected  = "rejected"
	InReview  = "review"
	Failed    = "failed"
	Expired   = "expired"
	Erased    = "erased"
)

// MaxAttempts of a job: one that has killed its worker three times fails.
const MaxAttempts = 3

// Tries is how many captures a slot of evidence takes (document 3, selfie 3,
// liveness 2: the API's design); 0: there is no such slot.
func Tries(slot string) uint32 {
	switch slot {
	case "document_front", "document_back", "selfie":
		return 3
	case "liveness_frame_1", "liveness_frame_2", "liveness_frame_3", "liveness_frame_4", "liveness_frame_5":
		return 2
	}
	return 0
}

// Required are the slots that a session must have before it is submitted.
func Required() []string { return []string{"document_front", "selfie"} }

func (a *apply) createSession(p *command.CreateSession) error {
	if _, err := a.tenant(); err != nil {
		return err
	}
	s, u := fresh(p.Session), p.Subject
	if !named(s.Id) || s.Tenant != a.Tenant || u.GetTenant() != a.Tenant || s.ExpiresNs <= 0 || s.TtlNs <= 0 || len(u.Reference) > maxName || u.ErasedNs != 0 || u.Blocked != "" {
		return refuse(Malformed)
	}
	if a.get(sessions, key(a.Tenant, s.Id)) != nil || a.get(blocked, key(a.Tenant, s.Id)) != nil { // the two share a table of templates
		return refuse(Exists)
	}
	if len(u.Reference) > 0 {
		if known := a.get(references, key(a.Tenant, string(u.Reference))); known != nil {
			u = &command.Subject{Id: string(known)}
		}
	}
	row, err := load[command.Subject](a, subjects, key(a.Tenant, u.Id))
	switch {
	case errors.Is(err, ErrNotFound):
		if len(u.Key) == 0 || !named(u.Id) {
			return refuse(NoSubject)
		}
		if err := a.store(subjects, key(a.Tenant, u.Id), u); err != nil {
			return err
		}
		if len(u.Reference) > 0 {
			a.put(references, key(a.Tenant, string(u.Reference)), []byte(u.Id))
		}
	case err != nil:
		return err
	case row.Blocked != "":
		return refuse(NoSubject)
	case row.ErasedNs != 0:
		return refuse(SubjectErased)
	}
	s.Subject, s.State = u.Id, Created
	for _, e := range a.Events {
		e.Subject = u.Id
	}
	a.put(bySubject, key(a.Tenant, s.Subject, s.Id), nil)
	a.put(deadlines, deadline(s.ExpiresNs, expiry, s), nil)
	a.answer.Id = s.Id
	return a.save(s)
}

// fresh has what a session starts with, and nothing of what becomes of it.
func fresh(s *command.Session) *command.Session {
	return &command.Session{Id: s.GetId(), Tenant: s.GetTenant(), Kind: s.GetKind(), Batch: s.GetBatch(), Consent: s.GetConsent(),
		CreatedBy: s.GetCreatedBy(), CreatedNs: s.GetCreatedNs(), ExpiresNs: s.GetExpiresNs(), TtlNs: s.GetTtlNs()}
}

// session of the command, before its deadline where it is still collecting.
func (a *apply) session(id string) (*command.Session, error) {
	s, err := load[command.Session](a, sessions, key(a.Tenant, id))
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(NoSession)
	}
	if err != nil {
		return nil, err
	}
	if collecting(s) && a.ProposedAtNs >= s.ExpiresNs || s.State == Expired {
		return nil, refuse(SessionExpired)
	}
	a.answer.Id = s.Id
	return s, nil
}

func collecting(s *command.Session) bool { return s.State == Created || s.State == Collect }

func (a *apply) save(s *command.Session) error {
	s.Revision = a.entry.Index
	return a.store(sessions, key(a.Tenant, s.Id), s)
}

func (a *apply) addEvidence(p *command.AddEvidence) error {
	s, err := a.session(p.Session)
	if err != nil {
		return err
	}
	e := p.Evidence
	i := slices.IndexFunc(s.Evidence, func(o *command.Evidence) bool { return o.Slot == e.GetSlot() })
	same := i >= 0 && len(e.Request) > 0 && string(s.Evidence[i].Request) == string(e.Request)
	switch {
	case same && (s.Evidence[i].Refused == "" || p.Repeated):
		a.answer.Id, a.Events = s.Evidence[i].Id, nil // the same bytes again: nothing happens
		return nil
	case p.Repeated && (i >= 0 || !collecting(s)):
		return refuse(KeyReused)
	case !collecting(s):
		return refuse(SessionClosed)
	}
	n := uint32(1)
	if i >= 0 {
		n = s.Evidence[i].Tries + 1
	}
	if n > Tries(e.GetSlot()) {
		return refuse(TriesUsedUp)
	}
	if !named(e.Id) || !named(e.Blob) {
		return refuse(Malformed)
	}
	if a.get(blobs, key(e.Blob)) != nil { // else it would be deleted with the first that names it
		return refuse(Exists)
	}
	e.Tries, e.Refused = n, ""
	if i >= 0 {
		a.forget(s.Evidence[i])
		s.Evidence[i] = e
	} else {
		s.Evidence = append(s.Evidence, e)
	}
	a.put(blobs, key(e.Blob), key(a.Tenant, s.Id))
	a.answer.Named = append(a.answer.Named, e.Blob)
	s.State = Collect
	a.answer.Id, a.answer.Sessions = e.Id, append(a.answer.Sessions, s.Id) // who watches it, on whichever node
	return a.save(s)
}

// forget the picture of evidence; its file is for the proposer to remove.
func (a *apply) forget(e *command.Evidence) {
	a.del(blobs, key(e.Blob))
	a.answer.Blobs = append(a.answer.Blobs, e.Blob)
}

func (a *apply) submit(p *command.Submit) error {
	s, err := a.session(p.Session)
	if err != nil {
		return err
	}
	if !collecting(s) {
		return refuse(SessionClosed)
	}
	for _, slot := range Required() {
		if !slices.ContainsFunc(s.Evidence, func(e *command.Evidence) bool { return e.Slot == slot && e.Refused == "" }) {
			return refuse(EvidenceMissing)
		}
	}
	s.State, s.SubmittedNs, s.Node, s.Attempt = Submitted, a.ProposedAtNs, p.Node, s.Attempt+1
	s.Failure = ""
	a.del(deadlines, deadline(s.ExpiresNs, expiry, s))
	a.put(jobs, key(a.Tenant, s.Id), nil)
	return a.save(s)
}

// attempt of a job that is under way.
func (a *apply) attempt(session string, n uint32) (*command.Session, error) {
	s, err := a.session(session)
	if err != nil {
		return nil, err
	}
	if s.State != Submitted || s.Attempt != n {
		return nil, refuse(StaleAttempt)
	}
	return s, nil
}

// finish ends the work on a session.
func (a *apply) finish(s *command.Session, state string) error {
	s.State, s.FinishedNs = state, a.ProposedAtNs
	a.del(jobs, key(a.Tenant, s.Id))
	return a.save(s)
}

func (a *apply) retry(p *command.Retry) error {
	s, err := a.attempt(p.Session, p.Attempt)
	if err != nil {
		return err
	}
	s.Deaths++
	if s.Deaths >= MaxAttempts {
		s.Failure = p.Reason
		return a.finish(s, Failed)
	}
	s.Attempt, s.Node = s.Attempt+1, p.Node
	return a.save(s)
}

func (a *apply) complete(p *command.Complete) error {
	s, err := a.attempt(p.Session, p.Attempt)
	if err != nil {
		return err
	}
	if p.Outcome != Approved && p.Outcome != Rejected && p.Outcome != InReview || p.Result == nil {
		return refuse(Malformed)
	}
	if p.Template != nil {
		if err := a.enrollable(p.Template, s.Id, p.Searched); err != nil {
			return err
		}
	}
	s.Outcome, s.Reasons = p.Outcome, p.Reasons
	if err := a.store(results, key(a.Tenant, s.Id), p.Result); err != nil {
		return err
	}
	if p.Template != nil {
		if err := a.enrol(InSubjects, s.Subject, p.Template); err != nil {
			return err
		}
	}
	return a.finish(s, p.Outcome)
}

// giveBack asks for evidence again that could not be used.
func (a *apply) giveBack(p *command.Return) error {
	s, err := a.attempt(p.Session, p.Attempt)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.Evidence, func(e *command.Evidence) bool { return e.Slot == p.Slot })
	if i < 0 {
		return refuse(EvidenceMissing)
	}
	if s.Evidence[i].Tries >= Tries(p.Slot) {
		s.Failure = p.Reason
		return a.finish(s, Failed)
	}
	s.Evidence[i].Refused = p.Reason
	s.State, s.Failure = Collect, p.Reason
	// The session may have outlived its time while it was worked on.
	s.ExpiresNs = max(s.ExpiresNs, a.ProposedAtNs+s.TtlNs)
	a.del(jobs, key(a.Tenant, s.Id))
	a.put(deadlines, deadline(s.ExpiresNs, expiry, s), nil)
	return a.save(s)
}

func (a *apply) failed(p *command.Fail) error {
	s, err := a.attempt(p.Session, p.Attempt)
	if err != nil {
		return err
	}
	s.Failure = p.Reason
	return a.finish(s, Failed)
}
