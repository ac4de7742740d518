package appliance_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
	"gatehouse/store/command"
)

// Two who take their bundles slowly hold the places of all; a third is refused
// until one of them is gone. What was cut off is in the log: it had begun.
func TestExportsInTheMiddle(t *testing.T) {
	n, in := inside(t)
	auditor := n.Home.Key(t, access.Auditor)
	c := callerOf(n.Home, auditor)
	// 16 MB, more than the connections' buffers take.
	filler := strings.Repeat("x", 5000)
	for range 100 {
		var all []*command.Event
		for range command.MaxEvents {
			e := act.Event(c, audit.AccessResult, "session", "ses_x")
			e.Facts = map[string]string{"filler": filler}
			all = append(all, e)
		}
		if err := in.Sessions().Record(t.Context(), c, all...); err != nil {
			t.Fatal(err)
		}
	}
	slow := func() *http.Response {
		res, err := n.Dial(t, nil).Do(auditor.Request(t, "POST", "/v1/audit/exports", appliancetest.JSON(`{}`), "X-Request-Id: slow"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != 200 || res.ContentLength < 16<<20 {
			t.Fatalf("%s, %d bytes", res.Status, res.ContentLength)
		}
		return res
	}
	small := func(who *appliancetest.Client) *appliancetest.Answer {
		return who.Do(t, "POST", "/v1/audit/exports", appliancetest.JSON(`{"to":1}`))
	}
	left := slow()
	small(auditor).Want(t, 409).Refused(t, "busy")
	other := n.Tenant(t).Key(t, access.Auditor)
	small(other).Want(t, 200) // a slow reader is in nobody else's way
	var begun struct{ Events []appliancetest.Leaf }
	auditor.Do(t, "POST", "/v1/audit/search", appliancetest.JSON(`{"action":"audit.export"}`)).Want(t, 200).JSON(t, &begun)
	if len(begun.Events) != 1 {
		t.Errorf("of an export whose bytes are under way the log has %+v", begun.Events)
	}
	left.Body.Close() // its client is gone
	a := small(auditor)
	for end := time.Now().Add(10 * time.Second); a.Status != 200 && time.Now().Before(end); a = small(auditor) {
		time.Sleep(10 * time.Millisecond)
	}
	a.Want(t, 200)
	if !strings.Contains(n.Log(), "an export was cut off") {
		t.Error("the node does not say that an export was cut off")
	}
	whole := slow()
	if got, err := io.Copy(io.Discard, whole.Body); err != nil || got != whole.ContentLength {
		t.Errorf("%d of %d bytes, %v", got, whole.ContentLength, err)
	}
	for range 3 { // its place is free
		small(auditor).Want(t, 200)
	}
}
