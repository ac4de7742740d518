package state_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// memberRefusals are ways to be refused, where there are the members nod_a and
// nod_b. The command is proposed last.
var memberRefusals = []struct {
	name string
	code state.Refusal
	make func(w *world) *command.Command
}{
	{"a second authority", state.Exists, func(w *world) *command.Command {
		w.ok(w.authority("cert", "key"))
		return w.authority("another", "key")
	}},
	{"an authority without a certificate", state.Malformed, func(w *world) *command.Command { return w.authority("", "key") }},
	{"an authority without a key", state.Malformed, func(w *world) *command.Command { return w.authority("cert", "") }},
	{"no authority", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_SET_AUTHORITY, "", nil) }},
	{"a rotation before it is in use", state.VersionUnsupported, func(w *world) *command.Command {
		w.ok(w.authority("cert", "key"))
		return w.rotate("cert", step{next: "next"})
	}},
	{"no key-ring", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_SET_RING, "", nil) }},
	{"a key-ring whose sum is none", state.Malformed, func(w *world) *command.Command {
		return w.command(command.Type_SET_RING, "", &command.SetRing{Ring: &command.Ring{Serial: 1, Sum: hash("a")[:31]}})
	}},
	{"a key-ring in place of none", state.RingChanged, func(w *world) *command.Command { return w.ring(1, "a", "x") }},
	{"no invitation", state.Malformed, func(w *world) *command.Command { return w.command(command.Type_INVITE, "", nil) }},
	{"an invitation without an id", state.Malformed, func(w *world) *command.Command { return w.invite("", time.Hour, "") }},
	{"an invitation whose id ends a key", state.Malformed, func(w *world) *command.Command { return w.invite("inv\x00x", time.Hour, "") }},
	{"an invitation that has ended", state.Malformed, func(w *world) *command.Command { return w.invite("inv", 0, "") }},
	{"an invitation whose secret is none", state.Malformed, func(w *world) *command.Command {
		c := w.invite("inv", time.Hour, "")
		return payload(w, c, &command.Invite{Invitation: &command.Invitation{Id: "inv", Secret: []byte("secret"), ExpiresNs: w.now * 2}})
	}},
	{"an invitation that there is", state.Malformed, func(w *world) *command.Command {
		w.ok(w.invite("inv", time.Hour, ""))
		return w.invite("inv", time.Hour, "")
	}},
	{"an invitation to replace nobody", state.NoMember, func(w *world) *command.Command { return w.invite("inv", time.Hour, "nod_x") }},
	{"an invitation to replace who was removed", state.NoMember, func(w *world) *command.Command {
		w.ok(w.removeMember("nod_b"))
		return w.invite("inv", time.Hour, "nod_b")
	}},
	{"an eighth open invitation", state.TooManyMembers, func(w *world) *command.Command {
		for i := range 7 {
			w.ok(w.invite(fmt.Sprint("inv_", i), time.Hour, ""))
		}
		return w.invite("inv", time.Hour, "")
	}},
	{"an invitation where no place is free", state.TooManyMembers, func(w *world) *command.Command {
		for i := range state.MaxMembers - 2 {
			w.joined(false, member(fmt.Sprint("nod_", i)))
		}
		return w.invite("inv", time.Hour, "")
	}},
	{"an eighth member", state.TooManyMembers, func(w *world) *command.Command {
		w.ok(w.invite("inv", time.Hour, ""))
		for i := range state.MaxMembers - 2 {
			w.joined(false, member(fmt.Sprint("nod_", i)))
		}
		return w.join("inv", member("nod_x"))
	}},
	{"nobody joins", state.Malformed, func(w *world) *command.Command { return w.invited(nil) }},
	{"a member without an id", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Id = "" })
	}},
	{"a member whose id ends a key", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Id = "nod\x00" })
	}},
	{"a member whose key is none", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Key = m.Key[1:] })
	}},
	{"a member without an address", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Address = "" })
	}},
	{"a member at no port", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Address = "host:" })
	}},
	{"a member at no host", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Address = ":8443" })
	}},
	{"a member at an endless address", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Address = strings.Repeat("x", 256) + ":65535" })
	}},
	{"a member that was removed before", state.Malformed, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.RemovedNs = 1 })
	}},
	{"a member that there is", state.Exists, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Id = "nod_b" })
	}},
	{"another's address", state.Exists, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Address = "nod_b:8443" })
	}},
	{"another's name", state.Exists, func(w *world) *command.Command {
		w.ok(w.change(&command.ChangeMember{Node: "nod_a", Name: proto.String("head office")}))
		return w.invited(func(m *command.Member) { m.Name = "head office" })
	}},
	{"a member that does not know the commands in use", state.VersionUnsupported, func(w *world) *command.Command {
		return w.invited(func(m *command.Member) { m.Commands = 1 })
	}},
	{"a second first member", state.NoInvitation, func(w *world) *command.Command { return w.join("", member("nod_x")) }},
	{"to join by an invitation that never was", state.NoInvitation, func(w *world) *command.Command { return w.join("inv", member("nod_x")) }},
	{"to join by one that was used", state.NoInvitation, func(w *world) *command.Command { return w.join("inv_nod_b", member("nod_x")) }},
	{"to change nobody", state.NoMember, func(w *world) *command.Command { return w.change(&command.ChangeMember{Node: "nod_x"}) }},
	{"to change no member", state.NoMember, func(w *world) *command.Command { return w.command(command.Type_CHANGE_MEMBER, "", nil) }},
	{"to move to no port", state.Malformed, func(w *world) *command.Command {
		return w.change(&command.ChangeMember{Node: "nod_b", Address: proto.String("host")})
	}},
	{"to move to another's address", state.Exists, func(w *world) *command.Command {
		return w.change(&command.ChangeMember{Node: "nod_b", Address: proto.String("nod_a:8443")})
	}},
	{"to take another's name", state.Exists, func(w *world) *command.Command {
		w.ok(w.change(&command.ChangeMember{Node: "nod_a", Name: proto.String("head office")}))
		return w.change(&command.ChangeMember{Node: "nod_b", Name: proto.String("head office")})
	}},
	{"a new key that is none", state.Malformed, func(w *world) *command.Command {
		return w.change(&command.ChangeMember{Node: "nod_b", Key: []byte{}})
	}},
	{"to forget the commands in use", state.VersionUnsupported, func(w *world) *command.Command {
		return w.change(&command.ChangeMember{Node: "nod_b", Commands: proto.Uint32(1)})
	}},
	{"to remove nobody", state.NoMember, func(w *world) *command.Command { return w.removeMember("nod_x") }},
	{"to remove the last", state.LastMember, func(w *world) *command.Command {
		w.ok(w.removeMember("nod_a"))
		return w.removeMember("nod_b")
	}},
	{"to reassign no session", state.NoSession, func(w *world) *command.Command { return w.reassign("ses_x", 1, "nod_b") }},
	{"to reassign what is no job", state.StaleAttempt, func(w *world) *command.Command {
		w.collected("ses_1")
		return w.reassign("ses_1", 0, "nod_b")
	}},
	{"to reassign in no tenant", state.NoSession, func(w *world) *command.Command {
		c := w.reassign("ses_1", 1, "nod_b")
		c.Tenant = "ten_x"
		return c
	}},
	{"a version that a member does not know", state.VersionUnsupported, func(w *world) *command.Command { return w.finalise(command.Version + 1) }},
}

// invited is a join of nod_x that would do, but for a change; nil: of nobody.
func (w *world) invited(change func(*command.Member)) *command.Command {
	w.t.Helper()
	w.ok(w.invite("inv", time.Hour, ""))
	if change == nil {
		return w.join("inv", nil)
	}
	m := member("nod_x")
	change(m)
	return w.join("inv", m)
}

func TestEveryRefusalOfTheMembersLeavesOnlyItsLeaf(t *testing.T) {
	seen := map[state.Refusal]bool{}
	for _, r := range memberRefusals {
		seen[r.code] = true
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := clustered(t)
			c := r.make(w)
			log := c.Tenant
			if log != "ten_a" {
				log = audit.System
			}
			refusedWith(t, w, c, r.code, log)
		})
	}
	for _, code := range []state.Refusal{state.NoMember, state.NoInvitation, state.TooManyMembers, state.LastMember, state.RingChanged} {
		if !seen[code] {
			t.Errorf("nothing is refused with %s", code)
		}
	}
}

// What the cluster does to itself is in no tenant's log, least of all in that
// of a tenant that there is not.
func TestATenantDoesNotChangeTheMembers(t *testing.T) {
	w := clustered(t)
	for _, c := range []*command.Command{w.authority("cert", "key"), w.rotate("cert", step{next: "next"}), w.ring(1, "a", ""), w.invite("inv", time.Hour, ""), w.join("", member("nod_x")),
		w.change(&command.ChangeMember{Node: "nod_b"}), w.removeMember("nod_b")} {
		c.Tenant = "ten_a"
		refusedWith(t, w, c, state.Malformed, "ten_a")
		c.Tenant = "ten_x"
		refusedWith(t, w, c, state.Malformed, audit.System)
	}
	w.clean()
}
