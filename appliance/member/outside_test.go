package member_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/cluster"
)

// A node that was removed while it was off does not know it: it says that the others
// turn it away, and to whoever asks it what to do.
func TestRemovedWhileItWasOff(t *testing.T) {
	t.Parallel()
	h := founded(t)
	b, c := h.join(t, "b", ""), h.join(t, "c", "")
	if p := b.Outside(); p != nil {
		t.Errorf("a member: %v", p)
	}
	b.stop()
	must(t, h.nodes[0].Remove(t.Context(), access.Caller{}, b.id))
	must(t, c.raft.Ready(t.Context()))
	eventually(t, soon, "the third knows it", func() bool { return len(c.overview(t).Members) == 2 })
	c.stop() // who cannot be reached says nothing
	b.log = new(bytes.Buffer)
	b.open(t, cluster.Again)
	b.run()
	eventually(t, soon, "it is turned away", func() bool { return b.Outside() != nil })
	if advice := strings.Join(b.overview(t).Advice, "\n"); !strings.Contains(advice, b.Outside().Detail) || !strings.Contains(advice, "wipe its directory") {
		t.Errorf("what to do:\n%s", advice)
	}
	time.Sleep(3 * time.Second) // three looks, and one line
	b.stop()
	if log := b.log.String(); strings.Count(log, "takes no part in its cluster") != 1 || !strings.Contains(log, "wipe its directory") {
		t.Errorf("its log:\n%s", log)
	}
	if p := h.nodes[0].Outside(); p != nil {
		t.Errorf("the one that is left: %v", p)
	}
}
