package state

import (
	"crypto/sha256"
	"errors"
	"net"
	"slices"

	"gatehouse/store/command"
)

const (
	// MaxMembers of a cluster: seven voters survive three losses; more cost
	// each write more than they give.
	MaxMembers = 7
	// maxInvitations that are open at one time: one for each place there is.
	maxInvitations = MaxMembers
	maxAddress     = 255 + 1 + 5 // a host name (RFC 1035), ":", a port
	maxWitness     = 512         // a name of 255 bytes at most, a hash, a key of 45 in base64
)

var metaRing = []byte("ring")

// setRing puts a key-ring in force where the one before it is.
func (a *apply) setRing(p *command.SetRing) error {
	if len(p.Ring.GetSum()) != sha256.Size {
		return refuse(Malformed)
	}
	r, err := load[command.Ring](a, meta, metaRing)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if string(r.GetSum()) != string(p.Before) || r != nil && p.Ring.Serial <= r.Serial {
		return refuse(RingChanged)
	}
	a.answer.Id = RingID
	return a.store(meta, metaRing, p.Ring)
}

// RingID is the id in the answer to a change of the key-ring.
const RingID = "keyring"

// invite one node. Invitations that have ended are forgotten.
func (a *apply) invite(p *command.Invite) error {
	i := p.Invitation
	if !named(i.GetId()) || len(i.Secret) != sha256.Size || i.ExpiresNs <= a.ProposedAtNs || a.get(invitations, key(i.Id)) != nil {
		return refuse(Malformed)
	}
	open, err := a.openInvitations()
	if err != nil {
		return err
	}
	present, err := a.present()
	if err != nil {
		return err
	}
	if i.Replaces != "" && !slices.ContainsFunc(present, func(m *command.Member) bool { return m.Id == i.Replaces }) {
		return refuse(NoMember)
	}
	if open >= maxInvitations || places(append(present, &command.Member{Replaces: i.Replaces})...) > MaxMembers {
		return refuse(TooManyMembers)
	}
	a.answer.Id = i.Id
	return a.store(invitations, key(i.Id), i)
}

// openInvitations counts them, and drops those that have ended.
func (a *apply) openInvitations() (int, error) {
	var ended [][]byte
	var failed error
	n := 0
	a.scan(invitations, nil, nil, func(k, _ []byte) bool {
		i, err := load[command.Invitation](a, invitations, k)
		switch {
		case err != nil:
			failed = err
		case i.ExpiresNs <= a.ProposedAtNs:
			ended = append(ended, append([]byte(nil), k...))
		default:
			n++
		}
		return failed == nil
	})
	for _, k := range ended {
		a.del(invitations, k)
	}
	return n, failed
}

// present members: those that were not removed.
func (a *apply) present() (all []*command.Member, err error) {
	a.scan(members, nil, nil, func(k, _ []byte) bool {
		m, e := load[command.Member](a, members, k)
		if err = e; e == nil && m.RemovedNs == 0 {
			all = append(all, m)
		}
		return e == nil
	})
	return all, err
}

// places that present members take: who replaces another shares its place until
// that one is removed.
func places(present ...*command.Member) int {
	n := 0
	for _, m := range present {
		if !slices.ContainsFunc(present, func(o *command.Member) bool { return m.Id != "" && o.Replaces == m.Id }) {
			n++
		}
	}
	return n
}

// taken says whether another present member has the address or the name.
func taken(present []*command.Member, m *command.Member) bool {
	return slices.ContainsFunc(present, func(o *command.Member) bool {
		return o.Id != m.Id && (o.Address == m.Address || m.Name != "" && o.Name == m.Name)
	})
}

// join makes a member: the first by itself, another by an invitation, which it
// uses up.
func (a *apply) join(p *command.Join) error {
	m := p.Member
	if !named(m.GetId()) || len(m.Key) != sha256.Size || !addressed(m.Address) || m.RemovedNs != 0 {
		return refuse(Malformed)
	}
	if a.get(members, key(m.Id)) != nil { // or was: an id is used once
		return refuse(Exists)
	}
	present, err := a.present()
	if err != nil {
		return err
	}
	if taken(present, m) {
		return refuse(Exists)
	}
	m.Replaces = ""
	if p.Invitation == "" {
		if len(present) > 0 {
			return refuse(NoInvitation)
		}
	} else {
		i, err := load[command.Invitation](a, invitations, key(p.Invitation))
		switch {
		case errors.Is(err, ErrNotFound):
			return refuse(NoInvitation)
		case err != nil:
			return err
		case i.ExpiresNs <= a.ProposedAtNs:
			return refuse(NoInvitation)
		}
		m.Replaces = i.Replaces
		a.del(invitations, key(p.Invitation))
	}
	// More may have been invited than there are places.
	if places(append(present, m)...) > MaxMembers {
		return refuse(TooManyMembers)
	}
	if uint64(m.Commands) < number64(a, metaVersion) {
		return refuse(VersionUnsupported)
	}
	m.JoinedNs = a.ProposedAtNs
	a.answer.Id = m.Id
	return a.store(members, key(m.Id), m)
}

// addressed tells whether s is the address of a port.
func addressed(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && host != "" && port != "" && len(s) <= maxAddress
}

func (a *apply) changeMember(p *command.ChangeMember) error {
	m, err := a.member(p.Node)
	if err != nil {
		return err
	}
	if p.Address != nil {
		if !addressed(*p.Address) {
			return refuse(Malformed)
		}
		m.Address = *p.Address
	}
	if p.Name != nil {
		m.Name = *p.Name
	}
	if p.Key != nil {
		if len(p.Key) != sha256.Size {
			return refuse(Malformed)
		}
		m.Key = p.Key
	}
	if p.Release != nil {
		m.Release = *p.Release
	}
	if p.Commands != nil {
		m.Commands = *p.Commands
	}
	if p.Draining != nil {
		m.Draining = *p.Draining
	}
	if p.Witness != nil {
		if len(*p.Witness) > maxWitness {
			return refuse(Malformed)
		}
		m.Witness = *p.Witness
	}
	present, err := a.present()
	switch {
	case err != nil:
		return err
	case taken(present, m):
		return refuse(Exists)
	case uint64(m.Commands) < number64(a, metaVersion):
		return refuse(VersionUnsupported)
	}
	a.answer.Id = m.Id
	return a.store(members, key(m.Id), m)
}

func (a *apply) member(id string) (*command.Member, error) {
	m, err := load[command.Member](a, members, key(id))
	if errors.Is(err, ErrNotFound) || err == nil && m.RemovedNs != 0 {
		return nil, refuse(NoMember)
	}
	return m, err
}

func (a *apply) removeMember(p *command.RemoveMember) error {
	m, err := a.member(p.Node)
	if err != nil {
		return err
	}
	present, err := a.present()
	if err != nil {
		return err
	}
	if len(present) == 1 {
		return refuse(LastMember)
	}
	m.RemovedNs = a.ProposedAtNs
	a.answer.Id = m.Id
	return a.store(members, key(m.Id), m)
}

// reassign a job: the attempt goes on under another number, so that the node
// that had it cannot complete it.
func (a *apply) reassign(p *command.Reassign) error {
	s, err := a.attempt(p.Session, p.Attempt)
	if err != nil {
		return err
	}
	s.Attempt, s.Node = s.Attempt+1, p.Node
	return a.save(s)
}

// Members of the cluster, those that were removed among them, by id.
func (v *View) Members() (all []*command.Member, err error) {
	v.scan(members, nil, nil, func(k, _ []byte) bool {
		m, e := load[command.Member](v, members, k)
		if err = e; e == nil {
			all = append(all, m)
		}
		return e == nil
	})
	return all, err
}

// Member of the cluster, which may have been removed.
func (v *View) Member(id string) (*command.Member, error) {
	return load[command.Member](v, members, key(id))
}

// Invitation that was not used.
func (v *View) Invitation(id string) (*command.Invitation, error) {
	return load[command.Invitation](v, invitations, key(id))
}

// Ring is the key-ring that is in force; ErrNotFound: this node's own.
func (v *View) Ring() (*command.Ring, error) { return load[command.Ring](v, meta, metaRing) }
