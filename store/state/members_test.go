package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// Commands of the cluster itself.

func member(id string) *command.Member {
	return &command.Member{Id: id, Address: id + ":8443", Key: hash("key of " + id), Release: "1.0", Commands: 2}
}

// invite for as long; replaces may be "".
func (w *world) invite(id string, open time.Duration, replaces string) *command.Command {
	c := w.command(command.Type_INVITE, "", nil)
	return payload(w, c, &command.Invite{Invitation: &command.Invitation{Id: id, Secret: hash("secret of " + id), ExpiresNs: c.ProposedAtNs + int64(open), Replaces: replaces}})
}

func payload(w *world, c *command.Command, p proto.Message) *command.Command {
	made, err := command.New(c.Type, p)
	must(w.t, err)
	c.Payload = made.Payload
	return c
}

func (w *world) join(invitation string, m *command.Member) *command.Command {
	return w.command(command.Type_JOIN, "", &command.Join{Invitation: invitation, Member: m})
}

func (w *world) change(p *command.ChangeMember) *command.Command {
	return w.command(command.Type_CHANGE_MEMBER, "", p)
}

func (w *world) removeMember(node string) *command.Command {
	return w.command(command.Type_REMOVE_MEMBER, "", &command.RemoveMember{Node: node})
}

func (w *world) reassign(session string, attempt uint32, node string) *command.Command {
	return w.with(w.command(command.Type_REASSIGN, "ten_a", nil), &command.Reassign{Session: session, Attempt: attempt, Node: node}, session, "sub_"+session)
}

func (w *world) authority(certificate, key string) *command.Command {
	return w.command(command.Type_SET_AUTHORITY, "", &command.SetAuthority{Authority: &command.Authority{Certificate: []byte(certificate), Key: []byte(key)}})
}

// ring is a key-ring's file in place of another.
func (w *world) ring(serial uint64, file, before string) *command.Command {
	p := &command.SetRing{Ring: &command.Ring{Serial: serial, Sum: hash(file)}}
	if before != "" {
		p.Before = hash(before)
	}
	return w.command(command.Type_SET_RING, "", p)
}

func (w *world) finalise(version uint32) *command.Command {
	return w.command(command.Type_FINALISE, "", &command.Finalise{Version: version})
}

// joined is the first member, or one that was invited.
func (w *world) joined(first bool, m *command.Member) {
	w.t.Helper()
	invitation := ""
	if !first {
		invitation = "inv_" + m.Id
		w.ok(w.invite(invitation, time.Hour, ""))
	}
	w.ok(w.join(invitation, m))
}

// clustered has the members nod_a and nod_b.
func clustered(t testing.TB) *world {
	w := foundedAt(t, 2)
	w.joined(true, member("nod_a"))
	w.joined(false, member("nod_b"))
	return w
}

// known is all that the state shows of the cluster, as text.
func (w *world) known(invitations ...string) string {
	w.t.Helper()
	var b strings.Builder
	w.view(func(v *state.View) {
		all, err := v.Members()
		must(w.t, err)
		for _, m := range all {
			one, err := v.Member(m.Id)
			if err != nil || !proto.Equal(one, m) {
				w.t.Errorf("member %s: %v, %v, listed as %v", m.Id, one, err, m)
			}
			fmt.Fprintf(&b, "%s %s %s %d", m.Id, m.Address, m.Release, m.Commands)
			for _, more := range []struct {
				is   bool
				text string
			}{{m.Name != "", " named " + m.Name}, {m.Replaces != "", " for " + m.Replaces}, {m.Draining, " draining"}, {m.RemovedNs != 0, " removed"}, {true, "\n"}} {
				if more.is {
					b.WriteString(more.text)
				}
			}
		}
		for _, id := range invitations {
			if i, err := v.Invitation(id); err == nil {
				fmt.Fprintln(&b, "invited", i.Id, i.Replaces)
			} else if !errors.Is(err, state.ErrNotFound) {
				w.t.Error(err)
			}
		}
		if a, err := v.Authority(); err == nil {
			fmt.Fprintf(&b, "authority %s %s\n", a.Certificate, a.Key)
		} else if !errors.Is(err, state.ErrNotFound) {
			w.t.Error(err)
		}
		if r, err := v.Ring(); err == nil {
			fmt.Fprintf(&b, "ring %d %.4x\n", r.Serial, r.Sum)
		} else if !errors.Is(err, state.ErrNotFound) {
			w.t.Error(err)
		}
	})
	return b.String()
}

// What each command changes, and nothing else: what View shows is compared
// after each.
func TestWhatTheClusterKnowsOfItself(t *testing.T) {
	w := foundedAt(t, 2)
	a, b := "nod_a nod_a:8443 1.0 2\n", "nod_b nod_b:8443 1.0 2\n"
	authority := "authority cert key\n"
	ring := func(serial int, file string) string { return fmt.Sprintf("ring %d %.4x\n", serial, hash(file)) }
	for i, step := range []struct {
		c    *command.Command
		id   string
		want string
	}{
		{w.join("", member("nod_a")), "nod_a", a},
		{w.authority("cert", "key"), "", a + authority},
		{w.ring(1, "one", ""), state.RingID, a + authority + ring(1, "one")},
		{w.invite("inv_b", time.Hour, ""), "inv_b", a + "invited inv_b \n" + authority + ring(1, "one")},
		{w.join("inv_b", member("nod_b")), "nod_b", a + b + authority + ring(1, "one")},
		{w.ring(5, "two", "one"), state.RingID, a + b + authority + ring(5, "two")},
		{w.change(&command.ChangeMember{Node: "nod_b", Name: proto.String("branch")}), "nod_b", a + "nod_b nod_b:8443 1.0 2 named branch\n" + authority + ring(5, "two")},
		{w.change(&command.ChangeMember{Node: "nod_b", Address: proto.String("[::1]:1"), Release: proto.String("2.0"), Commands: proto.Uint32(3), Draining: proto.Bool(true)}),
			"nod_b", a + "nod_b [::1]:1 2.0 3 named branch draining\n" + authority + ring(5, "two")},
		{w.change(&command.ChangeMember{Node: "nod_b", Name: proto.String(""), Draining: proto.Bool(false)}), "nod_b", a + "nod_b [::1]:1 2.0 3\n" + authority + ring(5, "two")},
		{w.change(&command.ChangeMember{Node: "nod_b"}), "nod_b", a + "nod_b [::1]:1 2.0 3\n" + authority + ring(5, "two")},
		{w.invite("inv_c", time.Hour, "nod_b"), "inv_c", a + "nod_b [::1]:1 2.0 3\ninvited inv_c nod_b\n" + authority + ring(5, "two")},
		{w.join("inv_c", member("nod_c")), "nod_c", a + "nod_b [::1]:1 2.0 3\nnod_c nod_c:8443 1.0 2 for nod_b\n" + authority + ring(5, "two")},
		{w.removeMember("nod_b"), "nod_b", a + "nod_b [::1]:1 2.0 3 removed\nnod_c nod_c:8443 1.0 2 for nod_b\n" + authority + ring(5, "two")},
	} {
		if answer := w.ok(step.c); answer.Id != step.id || answer.Log != "system" {
			t.Errorf("step %d: answer %v, want the id %s", i, answer, step.id)
		}
		if got := w.known("inv_b", "inv_c"); got != step.want {
			t.Errorf("step %d, %v:\n%swant\n%s", i, step.c.Type, got, step.want)
		}
	}
	w.reopen()
	w.clean()
	w.view(func(v *state.View) {
		m, err := v.Member("nod_b")
		if err != nil || string(m.Key) != string(hash("key of nod_b")) || m.JoinedNs < start || m.RemovedNs <= m.JoinedNs || m.RemovedNs > w.now {
			t.Errorf("%v, %v", m, err)
		}
		if m, err := v.Member("nod_x"); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%v, %v", m, err)
		}
	})
	key := hash("another key")
	w.ok(w.change(&command.ChangeMember{Node: "nod_c", Key: key}))
	w.view(func(v *state.View) {
		if m, err := v.Member("nod_c"); err != nil || string(m.Key) != string(key) {
			t.Errorf("%v, %v", m, err)
		}
	})
}

// What a member says of when it joined, and for whom, is not believed.
func TestAJoinSaysOnlyWhatItMay(t *testing.T) {
	w := foundedAt(t, 2)
	for _, m := range []*command.Member{member("nod_a"), member("nod_b")} {
		invitation := ""
		if m.Id == "nod_b" {
			invitation = "inv"
			w.ok(w.invite(invitation, time.Hour, ""))
		}
		m.JoinedNs, m.Replaces = 5, "nod_x"
		c := w.join(invitation, m)
		w.ok(c)
		w.view(func(v *state.View) {
			if m, err := v.Member(m.Id); err != nil || m.JoinedNs != c.ProposedAtNs || m.Replaces != "" {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}

func TestAnInvitationIsUsedOnceAndEnds(t *testing.T) {
	w := clustered(t)
	refused := func(c *command.Command, want state.Refusal) {
		t.Helper()
		if a := w.do(c); a.Refusal != string(want) {
			t.Errorf("%v: %v, want %s", c.Type, a, want)
		}
	}
	w.ok(w.invite("inv_c", time.Hour, ""))
	bad := member("nod_c")
	bad.Commands = 1
	refused(w.join("inv_c", bad), state.VersionUnsupported) // and the invitation is still there
	w.ok(w.join("inv_c", member("nod_c")))
	refused(w.join("inv_c", member("nod_d")), state.NoInvitation)

	// By the time of the command that would use it, and by no other.
	invited := w.invite("inv_d", time.Minute, "")
	w.ok(invited)
	late := w.join("inv_d", member("nod_d"))
	late.ProposedAtNs = invited.ProposedAtNs + int64(time.Minute)
	refused(late, state.NoInvitation)
	w.ok(w.tick(late.ProposedAtNs + int64(time.Hour)))
	early := w.join("inv_d", member("nod_d"))
	early.ProposedAtNs = invited.ProposedAtNs + int64(time.Minute) - 1
	w.ok(early)

	// Seven are open at most; those that have ended make room and are forgotten.
	for i := range 6 {
		w.ok(w.invite(fmt.Sprint("inv_", i), time.Hour, ""))
	}
	last := w.invite("inv_6", time.Minute, "")
	w.ok(last)
	refused(w.invite("inv_7", time.Hour, ""), state.TooManyMembers)
	c := w.invite("inv_7", time.Hour, "")
	c.ProposedAtNs = last.ProposedAtNs + int64(time.Minute)
	w.ok(c)
	if got := w.known("inv_5", "inv_6", "inv_7"); strings.Contains(got, "inv_6") || !strings.Contains(got, "inv_5") || !strings.Contains(got, "inv_7") {
		t.Error(got)
	}
	refused(w.join("inv_6", member("nod_e")), state.NoInvitation)
	w.clean()
}

// Seven members, whatever was invited; one more while it takes another's place.
func TestPlacesOfACluster(t *testing.T) {
	w := clustered(t)
	for _, id := range []string{"c", "d", "e", "f", "g", "h", "i"} {
		w.ok(w.invite("inv_"+id, time.Hour, ""))
	}
	for _, id := range []string{"c", "d", "e", "f", "g"} {
		w.ok(w.join("inv_"+id, member("nod_"+id)))
	}
	for _, c := range []*command.Command{w.join("inv_h", member("nod_h")), w.invite("inv_x", time.Hour, "")} {
		if a := w.do(c); a.Refusal != string(state.TooManyMembers) {
			t.Errorf("%v with seven members: %v", c.Type, a)
		}
	}
	// Two were invited for one place.
	w.ok(w.invite("inv_1", time.Hour, "nod_g"))
	w.ok(w.invite("inv_2", time.Hour, "nod_g"))
	w.ok(w.join("inv_1", member("nod_1")))
	w.clean()
	for _, c := range []*command.Command{w.join("inv_2", member("nod_2")), w.invite("inv_y", time.Hour, "nod_g")} {
		if a := w.do(c); a.Refusal != string(state.TooManyMembers) {
			t.Errorf("%v for a place that is taken: %v", c.Type, a)
		}
	}
	w.ok(w.removeMember("nod_g"))
	if a := w.do(w.join("inv_2", member("nod_2"))); a.Refusal != string(state.TooManyMembers) {
		t.Errorf("a place that was left to another: %v", a)
	}
	w.ok(w.removeMember("nod_c"))
	w.ok(w.join("inv_2", member("nod_2")))
	w.clean()
}

func TestARemovedMemberIsGoneForGood(t *testing.T) {
	w := clustered(t)
	w.ok(w.removeMember("nod_b"))
	w.ok(w.invite("inv_1", time.Hour, ""))
	again := member("nod_b")
	again.Address, again.Key = "elsewhere:1", hash("another")
	for c, want := range map[*command.Command]state.Refusal{
		w.join("inv_1", again): state.Exists,
		w.change(&command.ChangeMember{Node: "nod_b", Draining: proto.Bool(true)}): state.NoMember,
		w.removeMember("nod_b"):               state.NoMember,
		w.invite("inv_2", time.Hour, "nod_b"): state.NoMember,
		w.removeMember("nod_a"):               state.LastMember,
		w.change(&command.ChangeMember{Node: "nod_b", Address: proto.String("nowhere")}): state.NoMember,
	} {
		if a := w.do(c); a.Refusal != string(want) {
			t.Errorf("%v: %v, want %s", c.Type, a, want)
		}
	}
	// Another node may have its address.
	c := member("nod_c")
	c.Address = "nod_b:8443"
	w.ok(w.join("inv_1", c))
	if got := w.known(); got != "nod_a nod_a:8443 1.0 2\nnod_b nod_b:8443 1.0 2 removed\nnod_c nod_b:8443 1.0 2\n" {
		t.Error(got)
	}
	w.clean()
}

// A key-ring comes into force where the one before it is, and no two at once.
func TestTheKeyRingIsComparedAndSet(t *testing.T) {
	w := foundedAt(t, 2)
	for i, step := range []struct {
		c    *command.Command
		want state.Refusal
		ring string
	}{
		{w.ring(1, "a", "x"), state.RingChanged, ""}, // there is none
		{w.ring(3, "a", ""), "", "a"},
		{w.ring(4, "b", ""), state.RingChanged, "a"},
		{w.ring(4, "b", "x"), state.RingChanged, "a"},
		{w.ring(3, "b", "a"), state.RingChanged, "a"}, // no newer
		{w.ring(2, "b", "a"), state.RingChanged, "a"},
		{w.ring(4, "b", "a"), "", "b"},
		{w.ring(5, "c", "a"), state.RingChanged, "b"}, // the other of two that came from a
		{w.ring(5, "c", "b"), "", "c"},
	} {
		if a := w.do(step.c); a.Refusal != string(step.want) {
			t.Errorf("step %d: %v, want %q", i, a, step.want)
		}
		w.view(func(v *state.View) {
			if r, err := v.Ring(); step.ring == "" && !errors.Is(err, state.ErrNotFound) || step.ring != "" && string(r.GetSum()) != string(hash(step.ring)) {
				t.Errorf("step %d: %v, %v, want %q", i, r, err, step.ring)
			}
		})
	}
}
