package appliance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit/trust"
)

func survivor(t *testing.T, n *appliancetest.Node) appliance.Survivor {
	t.Helper()
	s, err := appliance.Survive(n.Data)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// ended waits until a session is: approved, or in review where its face is known.
func ended(t *testing.T, op *appliancetest.Client, session string) {
	t.Helper()
	if state := op.Do(t, "GET", "/v1/sessions/"+session+"?wait=30s", nil).Want(t, 200).Text(t, "state"); state != "approved" && state != "review" {
		t.Errorf("the session is %s", state)
	}
}

// logged events, as the query asks for them.
func logged(t *testing.T, c *appliancetest.Client, query string) []appliancetest.Leaf {
	t.Helper()
	var page struct{ Events []appliancetest.Leaf }
	c.Do(t, "GET", "/v1/audit/events?"+query, nil).Want(t, 200).JSON(t, &page)
	return page.Events
}

// lost: two nodes are lost with their disks, and the third goes on by hand. It
// leaves a cluster of other nodes, so that it comes last.
func (c *trio) lost(t *testing.T) {
	n, gone := c.Nodes[0], c.Nodes[1:]
	op, home := n.Home.Key(t, access.Operator), n.Home
	session := op.Filled(t)
	op.Do(t, "POST", "/v1/sessions/"+session+"/submit", nil).Want(t, 202)
	ended(t, op, session)
	gone[1].Inside().Jobs().Pause()
	waits := assigned(t, op, home, n, gone[1], "somebody who waits")
	events := len(logged(t, home.Admin, "log=system&limit=200"))
	for _, o := range append(slices.Clone(gone), n) {
		c.kill(t, o)
	}

	own, other := survivor(t, n), survivor(t, gone[0])
	for what, peers := range map[string][]appliance.Survivor{
		"another one alone": {other},
		"a majority":        {own, other},
		"an earlier line":   {{Cluster: own.Cluster, Node: own.Node, Term: own.Term, Index: own.Index - 1, Applied: own.Applied - 1}},
		"no member":         {own, {Cluster: own.Cluster, Node: "nod_06c2t0e6o1qk5f3b2a1s9d8f7g", Term: 1, Index: 1}},
	} {
		if _, err := appliance.Recover(n.Data, peers, nil, time.Now()); !errors.Is(err, appliance.ErrRecovery) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now := survivor(t, n); now != own {
		t.Fatalf("a recovery that was refused has changed the node from %v to %v", own, now)
	}
	r, err := appliance.Recover(n.Data, []appliance.Survivor{own}, []string{"INC-1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r.First != own.Node || len(r.Lost) != 2 || r.Epoch != 2 {
		t.Errorf("%+v", r)
	}
	for _, kept := range []string{"state.db", "raft/log", "raft/vote.db"} {
		if _, err := os.Stat(filepath.Join(r.Kept, kept)); err != nil {
			t.Error(err)
		}
	}

	c.Again(t, n)
	n.Serving(t)
	if s := n.Standing(t); len(s.Members) != 1 || !s.Quorum || s.Leader != own.Node || len(s.Advice) > 0 {
		t.Errorf("the cluster after the recovery: %+v", s)
	}
	ended(t, op, session)
	ended(t, op, waits) // its node is lost
	leaves := logged(t, home.Admin, "log=system&from=0")
	if len(leaves) < 4 || leaves[0].Action != "log.epoch.start" || leaves[1].Action != "cluster.recover" || leaves[2].Action != "node.member.remove" || leaves[3].Action != "node.member.remove" {
		t.Errorf("the new epoch begins with %+v", leaves[:min(4, len(leaves))])
	}
	closed := logged(t, home.Admin, "log=system&limit=200&epoch=1")
	if len(closed) < events {
		t.Errorf("the closed log has %d events, it had %d", len(closed), events)
	}
	home.Admin.Do(t, "GET", "/v1/audit/events?log=system&epoch=3", nil).Want(t, 400)
	auditor := home.Key(t, access.Auditor)
	var found struct {
		Origin string
		Total  int
	}
	auditor.Do(t, "POST", "/v1/audit/search", appliancetest.JSON(fmt.Sprintf(`{"session":%q,"epoch":1}`, session))).Want(t, 200).JSON(t, &found)
	if want := own.Cluster + "/" + home.ID + "/e1"; found.Total == 0 || found.Origin != want {
		t.Errorf("a search in the closed log: %+v, want events of %s", found, want)
	}
	auditor.Do(t, "POST", "/v1/audit/exports", appliancetest.JSON(`{}`)).Want(t, 200)
	policy := string(auditor.Do(t, "GET", "/v1/audit/trust", nil).Want(t, 200).Body)
	if _, err := trust.ParsePolicy([]byte(policy)); err != nil {
		t.Errorf("%v: %s", err, policy)
	}
	for _, origin := range []string{home.ID + "/e1", home.ID + "/e2", "system/e1", "system/e2"} {
		if !strings.Contains(policy, "log "+own.Cluster+"/"+origin+"+") || strings.HasSuffix(origin, "/e1") != strings.Contains(policy, "valid "+own.Cluster+"/"+origin+"+") {
			t.Errorf("the policy and the key of %s:\n%s", origin, policy)
		}
	}

	// One that was lost comes back all the same: nobody lets it in.
	c.Again(t, gone[0])
	// A new one gets all there is.
	c.Nodes = []*appliancetest.Node{n}
	fresh := c.Join(t, "d")
	ended(t, fresh.At(op), session)
	if again := logged(t, fresh.At(home.Admin), "log=system&limit=200&epoch=1"); len(again) != len(closed) {
		t.Errorf("a new node has %d events of the closed log, not %d", len(again), len(closed))
	}
	if a := gone[0].Home.Admin.Do(t, "GET", "/readyz", nil); a.Status == 200 {
		t.Error("a lost node that came back serves")
	}
	if err := c.Ended(gone[0]); err != nil {
		t.Log(err)
	}
	for _, one := range []*appliancetest.Node{fresh, n} {
		c.Stop(t, one)
		report, err := appliance.Check(context.Background(), one.Data, func(string, int, int) {})
		kept := 0
		if one == n {
			kept = 1
		}
		if err != nil || len(report.Notes) != kept {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, f := range report.Findings {
			if f.Kind != "evidence" { // pictures may not all have come yet, or were on the lost nodes alone
				t.Error(f)
			}
		}
	}
}
