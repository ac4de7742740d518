package state_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// cast is who was invited and who came, in a story.
type cast struct {
	invitations []string
	joined      int
	removed     int
}

// step of the cluster: what an administrator would do, well and badly.
func (n *cast) step(w *world, r *rand.Rand) *command.Command {
	var present, gone []string
	var ring *command.Ring
	var authority *command.Authority
	var version uint64
	w.view(func(v *state.View) {
		all, err := v.Members()
		must(w.t, err)
		for _, m := range all {
			if m.RemovedNs == 0 {
				present = append(present, m.Id)
			} else {
				gone = append(gone, m.Id)
			}
		}
		ring, _ = v.Ring()
		authority, _ = v.Authority()
		version = v.Version()
	})
	some := func(of []string) string {
		if len(of) == 0 || r.IntN(20) == 0 {
			return "nod_x"
		}
		return of[r.IntN(len(of))]
	}
	address := func() string { return fmt.Sprintf("host%d:8443", r.IntN(24)) }
	if version >= 3 && r.IntN(3) == 0 {
		return rotation(w, r, authority)
	}
	switch r.IntN(25) {
	case 0:
		return w.authority("certificate", "sealed key")
	case 1, 2:
		c := &command.SetRing{Ring: &command.Ring{Serial: ring.GetSerial() + uint64(r.IntN(5)), Sum: hash(fmt.Sprint("ring ", len(w.log)))}, Before: ring.GetSum()}
		if r.IntN(4) == 0 {
			c.Before = hash("another")
		}
		return w.command(command.Type_SET_RING, "", c)
	case 3, 4, 5, 6, 7, 20, 21:
		id := fmt.Sprint("inv_", len(w.log))
		if r.IntN(10) > 0 {
			n.invitations = append(n.invitations, id)
		} else if len(n.invitations) > 0 {
			id = some(n.invitations) // that there is, or was
		}
		replaces := ""
		if r.IntN(3) == 0 {
			replaces = some(append(present, gone...))
		}
		return w.invite(id, time.Duration(r.IntN(120))*time.Minute, replaces)
	case 8, 9, 10, 11, 12, 13, 22, 23:
		m := member(fmt.Sprint("nod_", len(w.log)))
		if r.IntN(20) == 0 {
			m.Id = some(append(present, gone...))
		}
		m.Address, m.Commands = address(), 1+uint32(r.IntN(5)+2)/3
		invitation := ""
		if len(n.invitations) > 0 && r.IntN(10) > 0 { // of the newest
			invitation = n.invitations[max(0, len(n.invitations)-1-r.IntN(4))]
		}
		return w.join(invitation, m)
	case 14, 15, 16, 17:
		p := &command.ChangeMember{Node: some(present)}
		if r.IntN(10) == 0 {
			p.Node = some(gone)
		}
		switch r.IntN(6) {
		case 0:
			p.Address = proto.String(address())
		case 1:
			p.Name = proto.String(fmt.Sprint("name ", r.IntN(5)))
		case 2:
			p.Key = hash(fmt.Sprint(len(w.log)))[:32-r.IntN(3)/2]
		case 3:
			p.Release = proto.String(fmt.Sprint(r.IntN(3)))
		case 4:
			p.Commands = proto.Uint32(uint32(1 + r.IntN(3)))
		case 5:
			p.Draining = proto.Bool(r.IntN(2) == 0)
		}
		return w.change(p)
	}
	return w.removeMember(some(append(present, present...)))
}

// rotation is a step of the authority's: mostly the one that follows.
func rotation(w *world, r *rand.Rand, of *command.Authority) *command.Command {
	all := []step{{next: fmt.Sprint("certificate ", len(w.log))}, {change: true}, {drop: true}}
	i := 0
	switch {
	case len(of.GetNextCertificate()) > 0:
		i = 1
	case len(of.GetEarlier()) > 0:
		i = 2
	}
	if r.IntN(4) == 0 {
		i = r.IntN(3)
	}
	before := string(of.GetCertificate())
	if r.IntN(8) == 0 {
		before = "another"
	}
	return w.rotate(before, all[i])
}

// told that c came to a.
func (n *cast) told(c *command.Command, a *command.Answer) {
	if a.Refusal != "" || a.Replay != nil {
		return
	}
	switch c.Type {
	case command.Type_JOIN:
		n.joined++
	case command.Type_REMOVE_MEMBER:
		n.removed++
	}
}

// compare with what the state lists.
func (n *cast) compare(w *world) {
	w.t.Helper()
	w.view(func(v *state.View) {
		all, err := v.Members()
		must(w.t, err)
		present := 0
		for _, m := range all {
			if m.RemovedNs == 0 {
				present++
			}
		}
		if len(all) != n.joined || present != n.joined-n.removed || n.joined > 0 && present == 0 {
			w.t.Fatalf("after %d entries %d members, %d of them present; %d have joined and %d were removed", len(w.log), len(all), present, n.joined, n.removed)
		}
	})
}
