package appliance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
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

// elsewhere submits a session to another node, which does not exist.
func elsewhere(t *testing.T, n *appliancetest.Node, in *appliance.Node, node string) (id string) {
	t.Helper()
	op := n.Home.Key(t, access.Operator)
	id = op.FilledOf(t, "customer 1")
	c := callerOf(n.Home, op)
	_, err := in.Sessions().Propose(t.Context(), c, command.Type_SUBMIT, &command.Submit{Session: id, Node: node}, nil, act.Event(c, audit.SessionSubmit, "session", id))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// take the jobs of a node for another one.
func take(t *testing.T, in *appliance.Node, from, to string) {
	t.Helper()
	if err := in.Sessions().Take(t.Context(), from, func() string { return to }); err != nil {
		t.Fatal(err)
	}
}

// Who has waited at nodes that were lost is not blamed for it, however many they
// were; who was in hand at a death is, wherever the job has gone meanwhile.
func TestLostNodes(t *testing.T) {
	var in *appliance.Node
	n := appliancetest.Start(t, appliancetest.Opened(func(n *appliance.Node) { in = n }))
	op := n.Home.Key(t, access.Operator)
	waited, died := elsewhere(t, n, in, "nod_1"), elsewhere(t, n, in, "nod_1")
	for i := 1; i < 5; i++ {
		take(t, in, fmt.Sprint("nod_", i), fmt.Sprint("nod_", i+1))
	}
	n.Restart(t, func() { // this node had it in hand when it was lost
		if err := os.WriteFile(filepath.Join(n.Data, "jobs", died), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	n.Restart(t, nil) // one death counts once
	if r := row(t, n, n.Home.ID, died); r.Deaths != 1 || r.Node != "nod_5" || r.State != state.Submitted {
		t.Fatalf("%v", r)
	}
	take(t, in, "nod_5", in.Sessions().Node)
	for id, deaths := range map[string]uint32{waited: 0, died: 1} {
		if s := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200); s.Text(t, "state") != "approved" {
			t.Errorf("%s", s.Body)
		}
		if r := row(t, n, n.Home.ID, id); r.Deaths != deaths {
			t.Errorf("%d deaths, want %d", r.Deaths, deaths)
		}
	}
}

// What ends whole machines, which keep no word of it, does not go round for ever.
func TestPoisonThatLeavesNoWord(t *testing.T) {
	n, in := inside(t)
	id := elsewhere(t, n, in, "nod_0")
	for i := range 100 {
		take(t, in, fmt.Sprint("nod_", i%2), fmt.Sprint("nod_", (i+1)%2))
	}
	if r := row(t, n, n.Home.ID, id); r.State != state.Failed || r.Failure != "node_lost" || r.Attempt < 15 {
		t.Errorf("%v", r)
	}
}
