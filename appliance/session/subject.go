package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/verify"
	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// Result reads what was read and seen in a verification. It is in the audit
// log before it returns.
func (s *Service) Result(ctx context.Context, c access.Caller, session string) (json.RawMessage, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	row, err := s.session(c.Tenant, session)
	if err != nil {
		return nil, err
	}
	var result *command.Result
	err = s.State.View(func(v *state.View) (err error) {
		result, err = v.Result(c.Tenant, row.Id)
		return err
	})
	switch {
	case row.State == state.Erased:
		return nil, problem.New(problem.SubjectErased, "the person was erased")
	case errors.Is(err, state.ErrNotFound):
		return nil, problem.New(problem.NotFound, "the session has no result yet")
	case err != nil:
		return nil, err
	}
	u, _, err := s.subject(c.Tenant, row.Subject)
	if err != nil {
		return nil, err
	}
	b, err := u.Open(place("results", "detail", row.Id), result.Detail)
	if err != nil {
		return nil, damaged(err, "the result of session "+row.Id)
	}
	seen := act.Event(c, audit.AccessResult, "session", row.Id)
	if err := s.seen(ctx, c, row.Subject, seen); err != nil {
		return nil, err
	}
	return s.shownTo(c, b)
}

// shownTo leaves out of a result whom the face is like, unless its reader may
// search faces; and who was erased since.
func (s *Service) shownTo(c access.Caller, detail []byte) (json.RawMessage, error) {
	var kept struct {
		Document json.RawMessage  `json:"document"`
		Face     json.RawMessage  `json:"face"`
		Likeness *verify.Likeness `json:"likeness,omitempty"`
	}
	if err := json.Unmarshal(detail, &kept); err != nil {
		return nil, problem.New(problem.Damaged, "the result cannot be read").Because(err)
	}
	if !c.Has(access.Reviewer) && !c.Has(access.Compliance) {
		kept.Likeness = nil
	}
	if l := kept.Likeness; l != nil {
		if err := errors.Join(s.standing(c.Tenant, &l.Subjects), s.standing(c.Tenant, &l.Blocklist)); err != nil {
			return nil, err
		}
	}
	return json.Marshal(kept)
}

// seen puts an access to a person's data into the audit log. Where the person
// was erased meanwhile, nothing may leave.
func (s *Service) seen(ctx context.Context, c access.Caller, subject string, e *command.Event) error {
	e.Subject = subject
	if err := s.Record(ctx, c, e); err != nil {
		return err
	}
	return s.State.View(func(v *state.View) error {
		row, err := v.Subject(c.Tenant, subject)
		if err == nil && row.ErasedNs != 0 {
			err = act.Refusal(state.SubjectErased)
		}
		return err
	})
}

// Subject is what is held of a person.
type Subject struct {
	*command.Subject
	Reference string
	Sessions  []string
}

// sessionsShown of one person; nobody has near as many.
const sessionsShown = 1000

// Subject reads what is held of a person. It is in the audit log before it
// returns.
func (s *Service) Subject(ctx context.Context, c access.Caller, subject string) (*Subject, error) {
	if err := id.Check(id.Subject, subject); err != nil {
		return nil, problem.New(problem.NotFound, "there is no such subject")
	}
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	u, row, err := s.subject(c.Tenant, subject)
	if row != nil && row.Blocked != "" { // of an entry of the blocklist, not of a person who was verified
		return nil, problem.New(problem.NotFound, "there is no such subject")
	}
	if row == nil || err != nil && row.ErasedNs == 0 {
		return nil, err
	}
	out := &Subject{Subject: row}
	if row.ErasedNs == 0 && len(row.Sealed) > 0 {
		b, err := u.Open(place("subjects", "reference", row.Id), row.Sealed)
		if err != nil {
			return nil, damaged(err, "the reference of subject "+row.Id)
		}
		out.Reference = string(b)
	}
	if err := s.State.View(func(v *state.View) error {
		out.Sessions = v.SessionsOf(c.Tenant, row.Id, sessionsShown)
		return nil
	}); err != nil {
		return nil, err
	}
	seen := act.Event(c, audit.AccessSubject, "subject", row.Id)
	if row.ErasedNs != 0 { // that there was somebody is all there is to see
		seen.Subject = row.Id
		return out, s.Record(ctx, c, seen)
	}
	return out, s.seen(ctx, c, row.Id, seen)
}

// Erase shuts a person's data off at once, deletes the rows and the wrapped
// key, and removes the pictures. It gives how many pictures were removed.
func (s *Service) Erase(ctx context.Context, c access.Caller, subject, reason string) (*command.Subject, int, error) {
	if err := id.Check(id.Subject, subject); err != nil {
		return nil, 0, problem.New(problem.NotFound, "there is no such subject")
	}
	e := act.Event(c, audit.SubjectEraseRestrict, "subject", subject)
	e.Subject, e.Reason = subject, reason
	a, err := s.Propose(ctx, c, command.Type_ERASE_SUBJECT, &command.EraseSubject{Subject: subject, Reason: reason}, nil, e)
	if err != nil {
		return nil, 0, err
	}
	for _, one := range a.Sessions {
		s.Jobs.Changed(one)
	}
	if err := s.Faces.Removed(c.Tenant); err != nil {
		return nil, 0, err
	}
	removed, err := s.Discard(a.Blobs)
	if err != nil {
		return nil, 0, err
	}
	var row *command.Subject
	err = s.State.View(func(v *state.View) (err error) {
		row, err = v.Subject(c.Tenant, subject)
		return err
	})
	if err != nil {
		err = fmt.Errorf("subject %s: %w", subject, err)
	}
	return row, removed, err
}

// Discard removes pictures that no row names any more, and counts them. The
// rows go from the disk first: after a crash between, 'gatehouse data check'
// would miss the pictures.
func (s *Service) Discard(names []string) (removed int, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	if err := s.State.Commit(); err != nil { // whose interval commits ends the process
		return 0, err
	}
	for _, name := range names {
		switch err := s.Blobs.Remove(name); {
		case err == nil, errors.Is(err, blob.ErrNotFound): // what was agreed on is followed on every node, this one too
			removed++
		case errors.Is(err, blob.ErrSync):
			return removed, err
		default: // the sweep finds it
			s.Log.Warn("a picture that nothing names could not be removed yet", "error", err)
		}
	}
	return removed, nil
}
