package state

import (
	"errors"

	"gatehouse/store/command"
)

// block enrols a face in the blocklist, under a subject of its own. No face is
// looked for before: a blocked one may be on file as often as it likes.
func (a *apply) block(p *command.Block) error {
	if _, err := a.tenant(); err != nil {
		return err
	}
	b, u := p.Blocked, p.Subject
	if !named(b.GetId()) || b.Tenant != a.Tenant || !named(b.Subject) || !whole(p.Template, b.Id) {
		return refuse(Malformed)
	}
	if u.GetId() != b.Subject || u.Tenant != a.Tenant || len(u.Key) == 0 || len(u.Reference)+len(u.Sealed) > 0 || u.ErasedNs != 0 {
		return refuse(Malformed)
	}
	k := key(a.Tenant, b.Id)
	// A session of that name would have, or get, its template in the same row.
	if a.get(blocked, k) != nil || a.get(sessions, k) != nil || a.get(subjects, key(a.Tenant, u.Id)) != nil {
		return refuse(Exists)
	}
	if b.Session != "" {
		if err := a.source(b.Session); err != nil {
			return err
		}
	}
	u.Blocked = b.Id
	if err := a.store(subjects, key(a.Tenant, u.Id), u); err != nil {
		return err
	}
	if err := a.store(blocked, k, b); err != nil {
		return err
	}
	a.answer.Id = b.Id
	return a.enrol(InBlocklist, u.Id, p.Template)
}

// source checks the session that a blocked face is from: of an erased one
// nothing is left that a face could be from.
func (a *apply) source(session string) error {
	s, err := load[command.Session](a, sessions, key(a.Tenant, session))
	switch {
	case errors.Is(err, ErrNotFound):
		return refuse(NoSession)
	case err != nil:
		return err
	case s.State == Erased:
		return refuse(SubjectErased)
	}
	return nil
}

// unblock ends an entry as erasure ends a person.
func (a *apply) unblock(p *command.Unblock) error {
	k := key(a.Tenant, p.Blocked)
	b, err := load[command.Blocked](a, blocked, k)
	if errors.Is(err, ErrNotFound) {
		return refuse(NoBlocked)
	}
	if err != nil {
		return err
	}
	a.answer.Id = b.Id
	a.del(blocked, k)
	if err := a.unenrol(b.Id); err != nil {
		return err
	}
	u, err := load[command.Subject](a, subjects, key(a.Tenant, b.Subject))
	if err != nil {
		return corrupt(subjects, key(a.Tenant, b.Subject), err)
	}
	return a.erase(u)
}
