package member_test

import (
	"strings"
	"testing"

	"gatehouse/appliance/member"
	alarm "gatehouse/cluster/watch"
)

// Whoever is asked says what is wrong with another node, and what to do about it.
func TestAlarmsOfAnotherNode(t *testing.T) {
	t.Parallel()
	h := founded(t)
	h.join(t, "b", "").says.Store(&member.Report{Alarms: []alarm.Kind{alarm.Growing, alarm.Full, "of_tomorrow"}, Full: true})
	var advice string
	eventually(t, soon, "it says so", func() bool {
		advice = strings.Join(h.nodes[0].overview(t).Advice, "\n")
		return strings.Contains(advice, "b says: "+alarm.Growing.Wrong()+" "+alarm.Growing.Next())
	})
	if !strings.Contains(advice, `"of_tomorrow"`) {
		t.Errorf("an alarm of a newer release is not told:\n%s", advice)
	}
	if !strings.Contains(advice, "b has a full disk") || strings.Contains(advice, alarm.Full.Wrong()) {
		t.Errorf("the disk that is full is to be told once:\n%s", advice)
	}
}
