package state

import (
	"slices"

	"gatehouse/store/command"
)

func (c *check) clients(tenant string) error {
	return c.each(clients, under(tenant), func(k, v []byte) error {
		r := &command.Client{}
		if ok, err := c.decode(clients, k, v, r); !ok {
			return err
		}
		at := where(clients, k)
		if err := c.expect(string(key(r.Tenant, r.Id)) == string(k), "client", at, "it is of another row"); err != nil {
			return err
		}
		for _, cred := range []struct {
			kind string
			hash []byte
		}{{byKey, r.Key}, {byCertificate, r.Certificate}} {
			if len(cred.hash) == 0 {
				continue
			}
			owner := string(c.get(credentials, key(cred.kind, string(cred.hash))))
			if r.RevokedNs != 0 { // another may hold it since
				continue
			}
			if err := c.expect(owner == string(k), "client", at, "its %s does not find it", cred.kind); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *check) credentials() error {
	return c.each(credentials, nil, func(k, v []byte) error {
		parts, owner := split(k, 2), split(v, 2)
		r := peek[command.Client](c, clients, owner...)
		hash := r.GetKey()
		if parts[0] == byCertificate {
			hash = r.GetCertificate()
		}
		return c.expect(r != nil && r.RevokedNs == 0 && string(hash) == parts[1], "client", where(credentials, k), "it belongs to no client")
	})
}

func (c *check) subjects(tenant string) error {
	return c.each(subjects, under(tenant), func(k, v []byte) error {
		r := &command.Subject{}
		if ok, err := c.decode(subjects, k, v, r); !ok {
			return err
		}
		at := where(subjects, k)
		if err := c.expect(string(key(r.Tenant, r.Id)) == string(k), "subject", at, "it is of another row"); err != nil {
			return err
		}
		if r.ErasedNs != 0 {
			return c.expect(len(r.Key)+len(r.Reference)+len(r.Sealed) == 0, "subject", at, "it was erased and is not empty")
		}
		if r.Blocked != "" {
			b := peek[command.Blocked](c, blocked, tenant, r.Blocked)
			return c.expect(b.GetSubject() == r.Id, "subject", at, "its blocklist entry is missing or another's")
		}
		if len(r.Reference) == 0 {
			return nil
		}
		return c.expect(string(c.get(references, key(tenant, string(r.Reference)))) == r.Id, "subject", at, "its reference does not find it")
	})
}

func (c *check) references(tenant string) error {
	return c.each(references, under(tenant), func(k, v []byte) error {
		r := peek[command.Subject](c, subjects, tenant, string(v))
		return c.expect(r != nil && string(key(tenant, string(r.Reference))) == string(k), "subject", where(references, k), "it finds no subject of that reference")
	})
}

func (c *check) sessions(tenant string) error {
	return c.each(sessions, under(tenant), func(k, v []byte) error {
		s := &command.Session{}
		if ok, err := c.decode(sessions, k, v, s); !ok {
			return err
		}
		at, has := where(sessions, k), c.logged[s.Id]
		u := peek[command.Subject](c, subjects, tenant, s.Subject)
		row := func(t table, k []byte) bool { return c.get(t, k) != nil }
		isDecided := s.State == Approved || s.State == Rejected || s.State == InReview
		for _, e := range []struct {
			ok   bool
			what string
		}{
			{string(key(s.Tenant, s.Id)) == string(k), "it is of another row"},
			{u != nil, "its subject is missing"},
			{u.GetBlocked() == "", "its subject is a blocklist entry's"},
			{u == nil || (u.ErasedNs != 0) == (s.State == Erased), "its subject is erased and it is not, or the reverse"},
			{row(bySubject, key(tenant, s.Subject, s.Id)), "its subject does not find it"},
			{has&created != 0, "the audit log does not say that it was created"},
			{!isDecided || has&decided != 0, "the audit log has no decision of it"},
			{isDecided == row(results, key(tenant, s.Id)), "it has a result and no decision, or the reverse"},
			{isDecided || !row(templates, key(tenant, s.Id)), "it has a template and no decision"},
			{(s.State == Submitted) == row(jobs, key(tenant, s.Id)), "it is submitted and no job, or the reverse"},
			{collecting(s) == row(deadlines, deadline(s.ExpiresNs, expiry, s)), "it is collecting evidence without a deadline, or the reverse"},
			{s.State != Expired || len(s.Evidence) == 0 || row(deadlines, deadline(s.FinishedNs+int64(EvidenceAfterExpiry), purge, s)), "it has expired and its evidence is not due to be deleted"},
			{s.State != Erased || len(s.Evidence) == 0, "it was erased and has evidence"},
		} {
			if err := c.expect(e.ok, "session", at, "%s", e.what); err != nil {
				return err
			}
		}
		return c.evidence(s)
	})
}

func (c *check) evidence(s *command.Session) error {
	for _, e := range s.Evidence {
		at := s.Tenant + "/" + s.Id + "/" + e.Id
		if err := c.expect(string(c.get(blobs, key(e.Blob))) == string(key(s.Tenant, s.Id)), "evidence", at, "its object %s is not held for it", e.Blob); err != nil {
			return err
		}
		if c.blob == nil {
			continue
		}
		if err := c.blob(e.Blob); err != nil {
			if err := c.found("evidence", at, "its object %s: %v", e.Blob, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *check) bySubject(tenant string) error {
	return c.each(bySubject, under(tenant), func(k, _ []byte) error {
		parts := split(k, 3)
		s := peek[command.Session](c, sessions, tenant, parts[2])
		return c.expect(s.GetSubject() == parts[1] && s != nil, "session", where(bySubject, k), "the subject has no such session")
	})
}

func (c *check) results(tenant string) error {
	return c.each(results, under(tenant), func(k, v []byte) error {
		if ok, err := c.decode(results, k, v, &command.Result{}); !ok {
			return err
		}
		return c.expect(c.get(sessions, k) != nil, "session", where(results, k), "there is no such session")
	})
}

func (c *check) openings(tenant string) error {
	return c.each(openings, under(tenant), func(k, _ []byte) error {
		parts := split(k, 4)
		u := peek[command.Subject](c, subjects, tenant, parts[1])
		if err := c.expect(u != nil && u.ErasedNs == 0, "subject", where(openings, k), "an opening of somebody who is not on file"); err != nil {
			return err
		}
		sealed := parts[3] < number(peek[command.Head](c, heads, parts[2]).GetSealed())
		return c.expect(sealed || c.get(leaves, key(parts[2], parts[3])) != nil, "log", where(openings, k), "an opening without its leaf")
	})
}

func (c *check) jobs() error {
	return c.each(jobs, nil, func(k, _ []byte) error {
		s := peek[command.Session](c, sessions, split(k, 2)...)
		return c.expect(s.GetState() == Submitted, "session", where(jobs, k), "a job without a submitted session")
	})
}

func (c *check) blobs() error {
	return c.each(blobs, nil, func(k, v []byte) error {
		s := peek[command.Session](c, sessions, split(v, 2)...)
		named := slices.ContainsFunc(s.GetEvidence(), func(e *command.Evidence) bool { return e.Blob == string(k) })
		return c.expect(named, "evidence", where(blobs, k), "no evidence names it")
	})
}

func (c *check) deadlines() error {
	return c.each(deadlines, nil, func(k, _ []byte) error {
		if len(k) < 8 {
			return c.found("row", where(deadlines, k), "it has no time")
		}
		parts := split(k[8:], 3)
		s := peek[command.Session](c, sessions, parts[1], parts[2])
		ok := false
		switch {
		case s == nil:
		case parts[0] == expiry:
			ok = collecting(s) && string(deadline(s.ExpiresNs, expiry, s)) == string(k)
		case parts[0] == purge:
			ok = s.State == Expired || s.State == Erased
		}
		return c.expect(ok, "session", where(deadlines, k), "a deadline of nothing")
	})
}

func (c *check) replays() error {
	err := c.each(replays, nil, func(k, v []byte) error {
		r := &command.Replay{}
		if ok, err := c.decode(replays, k, v, r); !ok {
			return err
		}
		return c.expect(c.get(replaysBy, append([]byte(number(uint64(r.AtNs))), k...)) != nil, "replay", where(replays, k), "it is never forgotten")
	})
	if err != nil {
		return err
	}
	return c.each(replaysBy, nil, func(k, _ []byte) error {
		if len(k) < 8 {
			return c.found("row", where(replaysBy, k), "it has no time")
		}
		r := peek[command.Replay](c, replays, string(k[8:]))
		return c.expect(r != nil && number(uint64(r.AtNs)) == string(k[:8]), "replay", where(replaysBy, k), "it forgets nothing")
	})
}
