package appliance_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// drain a node, or no longer.
func drain(t *testing.T, through, of *appliancetest.Node, draining bool) {
	t.Helper()
	through.Home.Admin.Do(t, "PUT", "/v1/cluster/members/"+of.ID(t), appliancetest.JSON(map[string]bool{"draining": draining})).Want(t, 200)
}

// draining: a node that shall have no more work has none, through whichever it is
// submitted.
func (c *trio) draining(t *testing.T) {
	of := c.Nodes[1]
	home := c.Nodes[0].Tenant(t)
	ops := c.at(home.Key(t, access.Operator))
	drain(t, c.Nodes[0], of, true)
	time.Sleep(200 * time.Millisecond) // it is told beside the answer
	var all []string
	for i := range 4 {
		op := ops[i%3]
		id := op.FilledOf(t, "customer 1")
		op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
		all = append(all, id)
	}
	for _, id := range all {
		if a := ops[0].Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200); a.Text(t, "state") != "approved" {
			t.Errorf("%s", a.Body)
		}
		if got := row(t, c.Nodes[0], home.ID, id).Node; got == of.ID(t) {
			t.Errorf("%s was the job of a node that drains", id)
		}
	}
	drain(t, of, of, false)
}

// settled waits for sessions that others decide, each once.
func (c *trio) settled(t *testing.T, op *appliancetest.Client, home *appliancetest.Tenant, within time.Duration, all []string) {
	t.Helper()
	end := time.Now().Add(within)
	for _, id := range all {
		a := op.Do(t, "GET", fmt.Sprintf("/v1/sessions/%s?wait=%ds", id, min(30, max(1, int(time.Until(end).Seconds())))), nil).Want(t, 200)
		if a.Text(t, "state") != "approved" {
			t.Errorf("not decided in %v: %s", within, a.Body)
		}
	}
	made := map[string]int{}
	for _, l := range home.Leaves(t) {
		if l.Action == "decision.make" {
			made[l.Object["id"]]++
		}
	}
	for _, id := range all {
		if made[id] != 1 {
			t.Errorf("%s was decided %d times", id, made[id])
		}
	}
}

// notBy: sessions were decided by others than a node, and nobody died of it.
func (c *trio) notBy(t *testing.T, node, through *appliancetest.Node, home *appliancetest.Tenant, all []string) {
	t.Helper()
	for _, id := range all {
		if r := row(t, through, home.ID, id); r.Node == node.ID(t) || r.Deaths != 0 {
			t.Errorf("decided by %s after %d deaths", r.Node, r.Deaths)
		}
	}
}

// waitingAt gives a node jobs that no worker takes in hand.
func (c *trio) waitingAt(t *testing.T, op *appliancetest.Client, home *appliancetest.Tenant, through, at *appliancetest.Node) (all []string) {
	t.Helper()
	at.Inside().Jobs().Pause()
	for range 4 {
		all = append(all, assigned(t, op, home, through, at, "customer 1"))
	}
	return all
}

// warnings of a node's log.
func warnings(n *appliancetest.Node) string {
	var all []string
	for line := range strings.SplitSeq(n.Log(), "\n") {
		if strings.Contains(line, `"WARN"`) || strings.Contains(line, `"ERROR"`) {
			all = append(all, line)
		}
	}
	return strings.Join(all, "\n")
}

// stops: a node that stops in order gives away what waits and what is in hand;
// nobody dies of it.
func (c *trio) stops(t *testing.T) {
	leader := c.Leader(t)
	at := c.other(leader)
	through := c.other(leader, at)
	home := through.Tenant(t)
	op := home.Key(t, access.Operator)
	all := c.waitingAt(t, op, home, through, at)
	jobs := at.Inside().Jobs()
	jobs.Resume()
	appliancetest.Eventually(t, 10*time.Second, func() bool { return jobs.Stats().Running > 0 }, func() string { return "a job is in hand" })
	c.Stop(t, at)
	stopped := time.Now()
	for _, id := range all {
		if r := row(t, leader, home.ID, id); r.State == "submitted" && r.Node == at.ID(t) {
			t.Errorf("after the stop a job is still its own:\n%s", warnings(at))
		}
	}
	c.settled(t, op, home, 60*time.Second, all)
	for _, id := range all {
		if r := row(t, leader, home.ID, id); r.Deaths != 0 {
			t.Errorf("%d deaths of an orderly stop", r.Deaths)
		}
	}
	t.Logf("all are decided %v after the stop", time.Since(stopped))
	c.back(t, at)
}

// sealed: the jobs of a node that answers, and can do none, are decided by the others.
func (c *trio) sealed(t *testing.T) {
	at := c.other(c.Leader(t))
	through := c.other(at)
	home := through.Tenant(t)
	op := home.Key(t, access.Operator)
	all := c.waitingAt(t, op, home, through, at)
	at.At(through.Home.Admin).Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	c.settled(t, op, home, 60*time.Second, all)
	c.notBy(t, at, through, home, all)
	c.Stop(t, at)
	c.back(t, at)
}

// cutOff: the jobs of a leader that is cut off, one of them in hand, are decided
// by the others, once.
func (c *trio) cutOff(t *testing.T) {
	lost := c.Leader(t)
	through := c.other(lost)
	home := through.Tenant(t)
	op := home.Key(t, access.Operator)
	all := c.waitingAt(t, op, home, through, lost)
	if err := lost.Inside().CutOff(); err != nil {
		t.Fatal(err)
	}
	lost.Inside().Jobs().Resume()
	c.settled(t, op, home, 60*time.Second, all)
	c.notBy(t, lost, through, home, all)
	c.kill(t, lost)
	c.back(t, lost)
	c.settled(t, op, home, 10*time.Second, all) // it brings nothing of its own
}

// kill ends a node abruptly, once its workers have nothing in hand: the models
// are not closed under them.
func (c *trio) kill(t *testing.T, n *appliancetest.Node) {
	t.Helper()
	jobs := n.Inside().Jobs()
	jobs.Pause()
	appliancetest.Eventually(t, 30*time.Second, func() bool { return jobs.Stats().Running == 0 }, func() string { return "the workers end" })
	if err := n.Inside().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ended(n); !errors.Is(err, appliance.ErrKilled) {
		t.Fatal(err)
	}
}
