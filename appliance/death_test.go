package appliance_test

import (
	"os"
	"path/filepath"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// A session that was under way at three deaths of the process fails with its
// reason; the others are decided at their first attempt.
func TestThreeDeaths(t *testing.T) {
	if testing.Short() {
		t.Skip("three restarts; jobs tests the order of work alone")
	}
	n := appliancetest.Start(t)
	op := n.Home.Key(t, access.Operator)
	var innocent []string
	for range 6 {
		innocent = append(innocent, op.FilledOf(t, "customer 1"))
	}
	poison := op.FilledOf(t, "customer 1")
	for _, id := range append(innocent, poison) {
		op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
	}
	for range 3 {
		n.Restart(t, func() { // as a process leaves it that was killed
			if err := os.WriteFile(filepath.Join(n.Data, "jobs", poison), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	s := op.Do(t, "GET", "/v1/sessions/"+poison+"?wait=30s", nil).Want(t, 200)
	if s.Text(t, "state") != "failed" || s.Text(t, "failure") != "worker_died" || s.Text(t, "attempt") != "3" {
		t.Errorf("%s", s.Body)
	}
	for _, id := range innocent {
		if s := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" || s.Text(t, "attempt") != "1" {
			t.Errorf("%s", s.Body)
		}
	}
	counts := map[string]int{}
	for _, l := range n.Home.Leaves(t) {
		if l.Object["id"] == poison {
			counts[l.Action]++
			if (l.Action == "session.retry" || l.Action == "session.fail") && l.Reason != "worker_died" {
				t.Errorf("%+v", l)
			}
		}
	}
	if counts["session.retry"] != 2 || counts["session.fail"] != 1 || counts["decision.make"] != 0 {
		t.Errorf("%v", counts)
	}
	op.Do(t, "POST", "/v1/sessions/"+poison+"/submit", nil).Refused(t, "session-closed")
}

// What was submitted before a stop is decided after the start, once.
func TestSubmittedSurvivesAStop(t *testing.T) {
	n := shared.Node(t)
	home := n.Tenant(t)
	op := home.Key(t, access.Operator)
	var all []string
	for range 4 {
		id := op.FilledOf(t, "customer 1")
		op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
		all = append(all, id)
	}
	n.Restart(t, nil)
	for _, id := range all {
		if s := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
			t.Errorf("%s", s.Body)
		}
	}
	if counts := appliancetest.Counts(home.Leaves(t)); counts["decision.make"] != 4 || counts["session.retry"] != 0 {
		t.Errorf("%v", counts)
	}
}
