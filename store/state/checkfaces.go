package state

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
)

// templates belong to a session or a blocklist entry, and each has the
// enrolment that says so.
func (c *check) templates(tenant string) error {
	return c.each(templates, under(tenant), func(k, v []byte) error {
		t := &command.Template{}
		if ok, err := c.decode(templates, k, v, t); !ok {
			return err
		}
		at, id := where(templates, k), string(k[len(tenant)+1:])
		want := &command.Enrolment{List: InSubjects, Id: id, Model: t.Model}
		if b := peek[command.Blocked](c, blocked, tenant, id); b != nil {
			want.List, want.Subject = InBlocklist, b.Subject
		} else if s := peek[command.Session](c, sessions, tenant, id); s != nil {
			want.Subject = s.Subject
		} else {
			return c.found("session", at, "there is no such session or blocklist entry")
		}
		if err := c.expect(t.Session == id, "enrolment", at, "it is of another row"); err != nil {
			return err
		}
		e := peek[command.Enrolment](c, enrolments, tenant, number(t.Enrolled))
		return c.expect(e != nil && proto.Equal(e, want), "enrolment", at, "its enrolment %d is missing or another's", t.Enrolled)
	})
}

func (c *check) enrolments(tenant string) error {
	prefix := under(tenant)
	return c.each(enrolments, prefix, func(k, v []byte) error {
		at := where(enrolments, k)
		n, ok := sequence(k, len(prefix))
		if !ok {
			return c.found("row", at, "it has no number")
		}
		e := &command.Enrolment{}
		if ok, err := c.decode(enrolments, k, v, e); !ok {
			return err
		}
		t := peek[command.Template](c, templates, tenant, e.Id)
		return c.expect(t != nil && t.Enrolled == n, "enrolment", at, "it enrolled no template that there is")
	})
}

func (c *check) removals(tenant string) error {
	prefix := under(tenant)
	return c.each(removals, prefix, func(k, v []byte) error {
		if ok, err := c.decode(removals, k, v, &command.Enrolment{}); !ok {
			return err
		}
		at := where(removals, k)
		enrolled, ok := sequence(k, len(prefix)+8)
		if !ok {
			return c.found("row", at, "it has no numbers")
		}
		if err := c.expect(enrolled < binary.BigEndian.Uint64(k[len(prefix):]), "enrolment", at, "it was removed before it was enrolled"); err != nil {
			return err
		}
		return c.expect(c.get(enrolments, key(tenant, number(enrolled))) == nil, "enrolment", at, "what it removed is still there")
	})
}

func (c *check) blocklist(tenant string) error {
	return c.each(blocked, under(tenant), func(k, v []byte) error {
		b := &command.Blocked{}
		if ok, err := c.decode(blocked, k, v, b); !ok {
			return err
		}
		at := where(blocked, k)
		u := peek[command.Subject](c, subjects, tenant, b.Subject)
		for _, e := range []struct {
			ok   bool
			what string
		}{
			{string(key(b.Tenant, b.Id)) == string(k), "it is of another row"},
			{u != nil && u.ErasedNs == 0 && u.Blocked == b.Id, "its subject is missing, erased or another's"},
			{c.get(templates, k) != nil, "its template is missing"},
		} {
			if err := c.expect(e.ok, "blocklist", at, "%s", e.what); err != nil {
				return err
			}
		}
		return nil
	})
}
