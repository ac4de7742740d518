package member_test

import (
	"testing"

	"gatehouse/appliance/member"
)

// An older entry's members do not come back, but after a recovery.
func TestRewind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := member.OpenDirectory(dir, nil)
	must(t, err)
	must(t, d.Rewind()) // nobody is known yet
	one, two := []member.Known{{Node: "nod_a", Name: "a"}}, []member.Known{{Node: "nod_a", Name: "b"}}
	must(t, d.Set(100, one, nil))
	must(t, d.Set(50, two, nil))
	if d.Name("nod_a") != "a" {
		t.Error("an older entry counts")
	}
	must(t, d.Rewind())
	again, err := member.OpenDirectory(dir, nil)
	must(t, err)
	if again.Name("nod_a") != "a" {
		t.Error("who is known was forgotten")
	}
	must(t, again.Set(50, two, nil))
	if again.Name("nod_a") != "b" {
		t.Error("the state does not count")
	}
}
