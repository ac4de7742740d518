package state_test

import (
	"errors"
	"fmt"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// step of the authority's rotation.
type step struct {
	next         string // certificate; its key is "key of " it
	change, drop bool
}

// rotate by a step, where before is in force.
func (w *world) rotate(before string, s step) *command.Command {
	p := &command.ChangeAuthority{Before: hash(before), Switch: s.change, Drop: s.drop}
	if s.next != "" {
		p.NextCertificate, p.NextKey = []byte(s.next), []byte("key of "+s.next)
	}
	return w.command(command.Type_CHANGE_AUTHORITY, "", p)
}

// rotated is a cluster of version 3 whose authority "cert" has come so many steps
// on to the authority "next".
func rotated(t testing.TB, steps int) *world {
	t.Helper()
	w := foundedAt(t, 3)
	w.ok(w.authority("cert", "key of cert"))
	for _, s := range []*command.Command{w.rotate("cert", step{next: "next"}), w.rotate("cert", step{change: true}), w.rotate("next", step{drop: true})}[:steps] {
		w.ok(s)
	}
	return w
}

func (w *world) trusted() (s string) {
	w.t.Helper()
	w.view(func(v *state.View) {
		a, err := v.Authority()
		if errors.Is(err, state.ErrNotFound) {
			s = "none"
			return
		}
		must(w.t, err)
		s = fmt.Sprintf("%s, %s; next %s, %s; earlier %s", a.Certificate, a.Key, a.NextCertificate, a.NextKey, a.Earlier)
	})
	return s
}

// Each step follows the one before, and no other does: not one of the same
// rotation out of turn, nor one of somebody who has not seen the last.
func TestTheAuthorityIsRotatedStepByStep(t *testing.T) {
	names := []string{"next", "switch", "drop"}
	steps := []step{{next: "third"}, {change: true}, {drop: true}}
	for after, want := range []struct {
		trusted string
		allowed int // step
		then    string
	}{
		{"cert, key of cert; next , ; earlier ", 0, "cert, key of cert; next third, key of third; earlier "},
		{"cert, key of cert; next next, key of next; earlier ", 1, "next, key of next; next , ; earlier cert"},
		{"next, key of next; next , ; earlier cert", 2, "next, key of next; next , ; earlier "},
		{"next, key of next; next , ; earlier ", 0, "next, key of next; next third, key of third; earlier "},
	} {
		w := rotated(t, after)
		if got := w.trusted(); got != want.trusted {
			t.Errorf("after %d steps: %s, want %s", after, got, want.trusted)
		}
		now, other := "cert", "next"
		if after > 1 {
			now, other = other, now
		}
		for i, s := range steps {
			refusedWith(t, w, w.rotate(other, s), state.AuthorityChanged, audit.System)
			refusedWith(t, w, w.rotate("", s), state.AuthorityChanged, audit.System)
			if i != want.allowed {
				refusedWith(t, w, w.rotate(now, s), state.AuthorityChanged, audit.System)
			}
		}
		if a := w.ok(w.rotate(now, steps[want.allowed])); a.Id != state.AuthorityID || a.Log != audit.System {
			t.Errorf("after %d steps, %s: %v", after, names[want.allowed], a)
		}
		if got := w.trusted(); got != want.then {
			t.Errorf("after %d steps and %s: %s, want %s", after, names[want.allowed], got, want.then)
		}
		w.reopen()
		w.clean()
		if got := w.trusted(); got != want.then {
			t.Errorf("opened again: %s, want %s", got, want.then)
		}
		refusedWith(t, w, w.authority("fourth", "key"), state.Exists, audit.System) // none comes in beside the steps
	}
}

func TestWhatIsNoStepOfARotation(t *testing.T) {
	w := foundedAt(t, 3)
	refusedWith(t, w, w.rotate("cert", step{next: "next"}), state.AuthorityChanged, audit.System) // there is none
	w.ok(w.authority("cert", "key of cert"))
	long := make([]byte, 8<<10+1)
	before := hash("cert")
	for name, p := range map[string]*command.ChangeAuthority{
		"nothing":                {Before: before},
		"next and switch":        {Before: before, NextCertificate: []byte("next"), NextKey: []byte("key"), Switch: true},
		"switch and drop":        {Before: before, Switch: true, Drop: true},
		"next without its key":   {Before: before, NextCertificate: []byte("next")},
		"a key alone":            {Before: before, NextKey: []byte("key")},
		"a long certificate":     {Before: before, NextCertificate: long, NextKey: []byte("key")},
		"a long key":             {Before: before, NextCertificate: []byte("next"), NextKey: long},
		"the one that there is":  {Before: before, NextCertificate: []byte("cert"), NextKey: []byte("key")},
		"the same without a key": {Before: before, NextCertificate: []byte("cert")},
	} {
		t.Run(name, func(t *testing.T) {
			refusedWith(t, w, w.command(command.Type_CHANGE_AUTHORITY, "", p), state.Malformed, audit.System)
		})
	}
	refusedWith(t, w, w.command(command.Type_CHANGE_AUTHORITY, "", nil), state.Malformed, audit.System)
	w.ok(w.rotate("cert", step{next: "next"}))
}
