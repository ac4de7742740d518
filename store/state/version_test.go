package state_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

func (w *world) version() (n uint64) {
	w.t.Helper()
	w.view(func(v *state.View) { n = v.Version() })
	return n
}

// A cluster uses the commands of its active version, and no newer ones.
func TestCommandsOfTheNextVersion(t *testing.T) {
	for version, want := range map[uint32]uint64{0: 1, 1: 1, 2: 2} {
		if w := foundedAt(t, version); w.version() != want {
			t.Errorf("founded with version %d: %d is active", version, w.version())
		}
	}
	w := founded(t)
	w.collected("ses_1")
	w.ok(w.submit("ses_1"))
	next := func() []*command.Command {
		return []*command.Command{w.authority("cert", "key"), w.ring(1, "a", ""), w.join("", member("nod_a")), w.invite("inv_b", 1e9, ""),
			w.change(&command.ChangeMember{Node: "nod_a", Draining: proto.Bool(true)}), w.join("inv_b", member("nod_b")), w.removeMember("nod_b"), w.reassign("ses_1", 1, "nod_b")}
	}
	seen := map[command.Type]bool{}
	for _, c := range next() {
		log := audit.System
		if c.Tenant != "" {
			log = c.Tenant
		}
		refusedWith(t, w, c, state.VersionUnsupported, log)
		seen[c.Type] = true
	}
	for typ := range command.Type_name {
		if typ := command.Type(typ); command.Since(typ) == 2 && !seen[typ] {
			t.Errorf("%v was not tried", typ)
		}
	}
	w.ok(w.finalise(2))
	if w.version() != 2 {
		t.Errorf("version %d is active", w.version())
	}
	for _, c := range next() {
		w.ok(c)
	}
	if a := w.do(w.finalise(1)); a.Refusal != string(state.VersionUnsupported) { // it never goes back
		t.Errorf("%v", a)
	}
	w.clean()
}

// A type of version 3 is refused in a cluster that uses version 2.
func TestCommandsOfVersion3(t *testing.T) {
	w := clustered(t)
	w.ok(w.authority("cert", "key"))
	tried := map[command.Type]bool{command.Type_START_EPOCH: true} // which raises the version: see epoch_test.go
	for _, c := range []*command.Command{w.rotate("cert", step{next: "next"})} {
		refusedWith(t, w, c, state.VersionUnsupported, audit.System)
		tried[c.Type] = true
	}
	for typ := range command.Type_name {
		if typ := command.Type(typ); command.Since(typ) == 3 && !tried[typ] {
			t.Errorf("%v was not tried", typ)
		}
	}
	for _, node := range []string{"nod_a", "nod_b"} {
		w.ok(w.change(&command.ChangeMember{Node: node, Commands: proto.Uint32(3)}))
	}
	w.ok(w.finalise(3))
	w.ok(w.rotate("cert", step{next: "next"}))
	w.clean()
}

// What a member does not know is not put in use; what all know but this
// program, stops it.
func TestFinaliseAsksTheMembers(t *testing.T) {
	tomorrow := command.Version + uint32(1)
	w := clustered(t)
	unsupported := func(what string) {
		t.Helper()
		if a := w.do(w.finalise(tomorrow)); a.Refusal != string(state.VersionUnsupported) {
			t.Errorf("%s: %v", what, a)
		}
	}
	knows := func(node string) *command.Command {
		return w.change(&command.ChangeMember{Node: node, Commands: &tomorrow})
	}
	unsupported("nobody knows it")
	w.ok(knows("nod_a"))
	unsupported("one knows it")
	w.ok(w.finalise(2)) // all know it
	w.ok(knows("nod_b"))
	w.ok(w.removeMember("nod_a"))
	if _, err := w.s.Apply([]state.Entry{w.entry(w.finalise(tomorrow))}); !errors.Is(err, command.ErrUnknown) {
		t.Errorf("all know it but this program: %v", err)
	}
}

func TestAFoundingOfAVersionThatIsNotKnown(t *testing.T) {
	w := empty(t)
	c := w.command(command.Type_FOUND, "", &command.Found{Cluster: "clu_a", Node: "nod_a", SetupCode: hash("code"), Version: command.Version + 1})
	if _, err := w.s.Apply([]state.Entry{w.entry(c)}); !errors.Is(err, command.ErrUnknown) {
		t.Errorf("%v", err)
	}
}
