package state

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// PlatformAdmin is the role that a cluster is never without, once it has one.
const PlatformAdmin = "platform_admin"

// Kinds of credential.
const (
	byKey         = "key"
	byCertificate = "certificate"
)

func (a *apply) found(p *command.Found) error {
	if a.get(meta, metaFound) != nil {
		return refuse(Exists)
	}
	if _, err := audit.Origin(p.Cluster, audit.System, 1); err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if p.Version > command.Version {
		return fmt.Errorf("%w: version %d of the commands; this program knows %d", command.ErrUnknown, p.Version, command.Version)
	}
	a.put(meta, metaSetup, p.SetupCode)
	a.put(meta, metaEpoch, binary.BigEndian.AppendUint64(nil, 1))
	a.put(meta, metaVersion, binary.BigEndian.AppendUint64(nil, max(1, uint64(p.Version))))
	a.answer.Id = p.Cluster
	return a.store(meta, metaFound, p)
}

func (a *apply) setup(p *command.Setup) error {
	want := a.get(meta, metaSetup)
	if want == nil {
		return refuse(SetUpAlready)
	}
	if len(want) != 32 || string(want) != string(p.SetupCode) {
		return refuse(WrongSetupCode)
	}
	if err := a.createTenant(p.Tenant, p.Admin); err != nil {
		return err
	}
	a.del(meta, metaSetup)
	a.answer.Id = p.Admin.GetId()
	return nil
}

func (a *apply) renewCode(p *command.RenewCode) error {
	if a.get(meta, metaSetup) == nil {
		return refuse(SetUpAlready)
	}
	if len(p.SetupCode) != sha256.Size {
		return refuse(Malformed)
	}
	a.put(meta, metaSetup, p.SetupCode)
	return nil
}

// tenant of the command.
func (a *apply) tenant() (*command.Tenant, error) {
	t, err := load[command.Tenant](a, tenants, key(a.Tenant))
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(NoTenant)
	}
	return t, err
}

// createTenant with its first client.
func (a *apply) createTenant(t *command.Tenant, admin *command.Client) error {
	if _, err := audit.Origin(t.GetId(), t.GetId(), 1); err != nil { // it names a log, too
		return refuse(Malformed)
	}
	if t.Id == audit.System || a.get(tenants, key(t.Id)) != nil {
		return refuse(Exists)
	}
	if err := a.store(tenants, key(t.Id), t); err != nil {
		return err
	}
	if err := a.createClient(t.Id, admin); err != nil {
		return err
	}
	a.answer.Id = t.Id
	return nil
}

// createClient of a tenant, and of no other.
func (a *apply) createClient(tenant string, c *command.Client) error {
	if c.GetTenant() != tenant || !named(c.GetId()) || !hashed(c.Key) || !hashed(c.Certificate) {
		return refuse(Malformed)
	}
	if a.get(tenants, key(tenant)) == nil {
		return refuse(NoTenant)
	}
	k := key(c.Tenant, c.Id)
	if a.get(clients, k) != nil {
		return refuse(Exists)
	}
	for kind, hash := range map[string][]byte{byKey: c.Key, byCertificate: c.Certificate} {
		if len(hash) > 0 && a.get(credentials, key(kind, string(hash))) != nil {
			return refuse(Exists)
		}
	}
	if len(c.Key) > 0 {
		a.put(credentials, key(byKey, string(c.Key)), k)
	}
	if len(c.Certificate) > 0 {
		a.put(credentials, key(byCertificate, string(c.Certificate)), k)
	}
	a.answer.Id = c.Id
	return a.store(clients, k, c)
}

func (a *apply) revokeClient(p *command.RevokeClient) error {
	c, err := load[command.Client](a, clients, key(a.Tenant, p.Client))
	if errors.Is(err, ErrNotFound) {
		return refuse(NoClient)
	}
	if err != nil {
		return err
	}
	if c.RevokedNs != 0 {
		a.answer.Id, a.Events = c.Id, nil // nothing happens
		return nil
	}
	if slices.Contains(c.Roles, PlatformAdmin) {
		left := 0
		a.scan(clients, nil, nil, func(k, v []byte) bool {
			other, e := load[command.Client](a, clients, k)
			if e != nil {
				err = e
				return false
			}
			if other.RevokedNs == 0 && other.Id != c.Id && slices.Contains(other.Roles, PlatformAdmin) {
				left++
			}
			return left == 0
		})
		if err != nil {
			return err
		}
		if left == 0 {
			return refuse(LastAdministrator)
		}
	}
	c.RevokedNs = max(a.ProposedAtNs, 1)
	if len(c.Key) > 0 {
		a.del(credentials, key(byKey, string(c.Key)))
	}
	if len(c.Certificate) > 0 {
		a.del(credentials, key(byCertificate, string(c.Certificate)))
	}
	a.answer.Id = c.Id
	return a.store(clients, key(c.Tenant, c.Id), c)
}

func (a *apply) finalise(p *command.Finalise) error {
	if uint64(p.Version) < number64(a, metaVersion) {
		return refuse(VersionUnsupported)
	}
	present, err := a.present()
	if err != nil {
		return err
	}
	for _, m := range present {
		if m.Commands < p.Version { // it would have to stop
			return refuse(VersionUnsupported)
		}
	}
	switch {
	case p.Version <= command.Version:
	case len(present) == 0: // a node alone: there is nobody to differ from
		return refuse(VersionUnsupported)
	default: // the others know it
		return fmt.Errorf("%w: version %d of the commands; this program knows %d", command.ErrUnknown, p.Version, command.Version)
	}
	a.put(meta, metaVersion, binary.BigEndian.AppendUint64(nil, uint64(p.Version)))
	return nil
}
