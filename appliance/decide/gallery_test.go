package decide_test

import (
	"strings"
	"testing"

	"gatehouse/appliance/decide"
	"gatehouse/engine"
)

// Who is on the blocklist is for compliance to judge; a duplicate is not.
func TestBlockedFaceIsEscalated(t *testing.T) {
	for name, want := range map[string]struct {
		code     string
		escalate bool
	}{decide.NotListed: {"blocklist.face", true}, decide.Unique: {"duplicate.face", false}} {
		d := decided(t, standard(t), signals(map[string]engine.Status{name: engine.Failed}))
		if len(d.Reasons) != 1 || d.Reasons[0].Code != want.code || d.Reasons[0].Escalate != want.escalate || d.Outcome != decide.Review {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Without a gallery nobody waits for what it would say, and no other rule is
// lost.
func TestAlone(t *testing.T) {
	rules := standard(t)
	alone := rules.Alone()
	if name, _, _ := strings.Cut(alone.Version(), "/"); name != "default-alone" || alone.Version() == rules.Version() {
		t.Errorf("%s, the set is %s", alone.Version(), rules.Version())
	}
	without := map[string]engine.Status{decide.Unique: "", decide.NotListed: ""}
	if d := decided(t, alone, signals(without)); d.Outcome != decide.Accepted || d.RuleSet.String() != alone.Version() {
		t.Errorf("alone: %+v", d)
	}
	if d := decided(t, rules, signals(without)); d.Outcome != decide.Review || len(d.Reasons) != 2 || d.RuleSet.String() != rules.Version() {
		t.Errorf("with a gallery that is not asked: %+v", d)
	}
	for _, n := range needed {
		if n == decide.Unique || n == decide.NotListed {
			continue
		}
		for _, status := range []engine.Status{"", engine.Unavailable, engine.Failed} {
			without[n] = status
			if d := decided(t, alone, signals(without)); d.Outcome == decide.Accepted {
				t.Errorf("alone, %s %q: accepted", n, status)
			}
			delete(without, n)
		}
	}
}
