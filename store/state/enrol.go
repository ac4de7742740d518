package state

import (
	"encoding/binary"
	"errors"

	"gatehouse/store/command"
)

// Lists that a face is enrolled in.
const (
	InSubjects  = "subjects"
	InBlocklist = "blocklist"
)

// enrollable tells whether the template of id may be enrolled: its face was
// compared with every other one up to an enrolment, searched, and none has come
// since. Else two sessions of one new face, decided at once, would not find
// each other.
func (a *apply) enrollable(t *command.Template, id string, searched uint64) error {
	if !whole(t, id) {
		return refuse(Malformed)
	}
	n, err := newest(a, enrolments, a.Tenant)
	if err != nil {
		return err
	}
	if n > searched {
		return refuse(SearchAgain)
	}
	return nil
}

// whole tells whether a template is there and is that of id.
func whole(t *command.Template, id string) bool {
	return t.GetSession() == id && t.GetModel() != "" && len(t.GetSealed()) > 0
}

// enrol the one template of this entry, whose index numbers the enrolment.
func (a *apply) enrol(list, subject string, t *command.Template) error {
	t.Enrolled = a.entry.Index
	if err := a.store(templates, key(a.Tenant, t.Session), t); err != nil {
		return err
	}
	return a.store(enrolments, key(a.Tenant, number(t.Enrolled)), &command.Enrolment{List: list, Id: t.Session, Subject: subject, Model: t.Model})
}

// unenrol deletes the template of a session or blocklist entry, where it has
// one, and keeps for ever that this enrolment is gone.
func (a *apply) unenrol(id string) error {
	t, err := load[command.Template](a, templates, key(a.Tenant, id))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	k := key(a.Tenant, number(t.Enrolled))
	e, err := load[command.Enrolment](a, enrolments, k)
	if err != nil {
		return corrupt(enrolments, k, err)
	}
	a.del(templates, key(a.Tenant, id))
	a.del(enrolments, k)
	e.Subject = ""
	return a.store(removals, key(a.Tenant, number(a.entry.Index)+number(t.Enrolled)), e)
}

// newest gives the index of the last entry that wrote a tenant's row into a
// table whose keys begin with it; 0: none did.
func newest(r reader, t table, tenant string) (uint64, error) {
	k := r.last(t, tenant)
	if k == nil {
		return 0, nil
	}
	at := k[len(tenant)+1:]
	if len(at) < 8 {
		return 0, corrupt(t, k, errNoNumber)
	}
	return binary.BigEndian.Uint64(at), nil
}
