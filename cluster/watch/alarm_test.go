package watch_test

import (
	"testing"

	"gatehouse/cluster/watch"
)

func TestAlarmsThatOthersSet(t *testing.T) {
	n := trio(false)
	watched(t, n, func(d *watch.Dog) {
		for range 3 {
			d.Set(watch.Undecided, true, "nod_b at entry 5000")
		}
		sleep(0)
		if got := n.told; len(got) != 1 || got[0] != (watch.Alarm{Kind: watch.Undecided, Detail: "nod_b at entry 5000"}) {
			t.Errorf("told %v", got)
		}
		d.Set(watch.Undecided, false, "")
		d.Set(watch.Differs, false, "")
		sleep(0)
		if n.hears() != "state_undecided -state_undecided" || len(d.Alarms()) != 0 {
			t.Errorf("told %q, alarms %v", n.hears(), d.Alarms())
		}
	})
}

func TestEveryAlarmSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	seen := map[string]watch.Kind{}
	for _, k := range watch.Kinds() {
		for _, text := range []string{string(k), k.Wrong(), k.Next()} {
			if was, twice := seen[text]; text == "" || twice {
				t.Errorf("%s says %q, as %s", k, text, was)
			}
			seen[text] = k
		}
	}
	if k := watch.Kind("none"); k.Wrong() != "" || k.Next() != "" {
		t.Error("an alarm that there is none of")
	}
}
