package state

import (
	"errors"

	"gatehouse/store/command"
)

// eraseSubject of a person: a blocklist entry's is ended by UNBLOCK alone.
func (a *apply) eraseSubject(p *command.EraseSubject) error {
	u, err := load[command.Subject](a, subjects, key(a.Tenant, p.Subject))
	if errors.Is(err, ErrNotFound) || err == nil && u.Blocked != "" {
		return refuse(NoSubject)
	}
	if err != nil {
		return err
	}
	a.answer.Id = u.Id
	if u.ErasedNs != 0 {
		return refuse(SubjectErased)
	}
	return a.erase(u)
}

// erase shuts the subject's rows off at once and deletes the key: what was
// sealed under it cannot be read again once the erasure key's epoch ends.
func (a *apply) erase(u *command.Subject) error {
	if len(u.Reference) > 0 {
		a.del(references, key(a.Tenant, string(u.Reference)))
	}
	u.Key, u.Reference, u.Sealed, u.ErasedNs = nil, nil, nil, max(a.ProposedAtNs, 1)
	if err := a.store(subjects, key(a.Tenant, u.Id), u); err != nil {
		return err
	}
	prefix := append(key(a.Tenant, u.Id), 0)
	var theirs []string
	a.scan(bySubject, prefix, nil, func(k, _ []byte) bool {
		theirs = append(theirs, string(k[len(prefix):]))
		return true
	})
	for _, id := range theirs {
		if err := a.eraseSession(id); err != nil {
			return err
		}
	}
	var opened [][]byte
	a.scan(openings, prefix, nil, func(k, _ []byte) bool {
		opened = append(opened, append([]byte(nil), k...))
		return true
	})
	for _, k := range opened {
		a.del(openings, k)
	}
	return nil
}

func (a *apply) eraseSession(id string) error {
	s, err := load[command.Session](a, sessions, key(a.Tenant, id))
	if err != nil {
		return corrupt(sessions, key(a.Tenant, id), err)
	}
	a.del(deadlines, deadline(s.ExpiresNs, expiry, s))
	a.del(jobs, key(a.Tenant, s.Id))
	a.del(results, key(a.Tenant, s.Id))
	if err := a.unenrol(s.Id); err != nil {
		return err
	}
	for _, e := range s.Evidence {
		a.forget(e)
	}
	a.answer.Sessions = append(a.answer.Sessions, s.Id)
	s.State, s.Evidence, s.Attempt = Erased, nil, s.Attempt+1 // a worker's answer comes too late
	return a.save(s)
}
