package state

import (
	"crypto/sha256"
	"errors"

	"gatehouse/store/command"
)

// members of the cluster, and what else the cluster knows of itself.
func (c *check) members() error {
	var present []*command.Member
	err := c.each(members, nil, func(k, v []byte) error {
		m := &command.Member{}
		if ok, err := c.decode(members, k, v, m); !ok {
			return err
		}
		if m.RemovedNs == 0 {
			present = append(present, m)
		}
		for _, e := range []struct {
			ok   bool
			what string
		}{
			{m.Id == string(k), "it is of another row"},
			{len(m.Key) == sha256.Size, "its key is no SHA-256"},
			{addressed(m.Address), "its address is none"},
			{m.JoinedNs > 0, "it never joined"},
			{m.RemovedNs != 0 || uint64(m.Commands) >= number64(c, metaVersion), "it does not know the commands that are in use"},
		} {
			if err := c.expect(e.ok, "member", where(members, k), "%s", e.what); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range present {
		if err := c.expect(!taken(present, m), "member", where(members, key(m.Id)), "another has its address or its name"); err != nil {
			return err
		}
	}
	if err := c.expect(places(present...) <= MaxMembers, "member", "", "there are %d, at most %d may be", places(present...), MaxMembers); err != nil {
		return err
	}
	some, _ := c.buckets[members].Cursor().First()
	return c.expect(some == nil || len(present) > 0, "member", "", "all were removed")
}

func (c *check) invitations() error {
	n := 0
	err := c.each(invitations, nil, func(k, v []byte) error {
		n++
		i := &command.Invitation{}
		if ok, err := c.decode(invitations, k, v, i); !ok {
			return err
		}
		for _, e := range []struct {
			ok   bool
			what string
		}{
			{i.Id == string(k), "it is of another row"},
			{len(i.Secret) == sha256.Size, "its secret is no SHA-256"},
			{i.ExpiresNs > 0, "it never ends"},
			{i.Replaces == "" || c.get(members, key(i.Replaces)) != nil, "it is for the place of nobody"},
		} {
			if err := c.expect(e.ok, "invitation", where(invitations, k), "%s", e.what); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.expect(n <= maxInvitations, "invitation", "", "there are %d, at most %d may be", n, maxInvitations)
}

// trust that the members have in each other: their authority and key-ring.
func (c *check) trust() error {
	whole := func(err error, ok bool, k []byte) error {
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err != nil:
			return c.found("row", where(meta, k), "it cannot be read: %v", err)
		}
		return c.expect(ok, "row", where(meta, k), "it is not whole")
	}
	a, err := load[command.Authority](c, meta, metaAuthority)
	begun := len(a.GetNextCertificate()) > 0
	step := begun == (len(a.GetNextKey()) > 0) && !(begun && len(a.GetEarlier()) > 0) // of its rotation
	if err := whole(err, len(a.GetCertificate()) > 0 && len(a.GetKey()) > 0 && step, metaAuthority); err != nil {
		return err
	}
	r, err := load[command.Ring](c, meta, metaRing)
	return whole(err, len(r.GetSum()) == sha256.Size, metaRing)
}
