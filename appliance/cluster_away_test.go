package appliance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// other gives a node of the cluster that is none of these.
func (c *trio) other(than ...*appliancetest.Node) *appliancetest.Node {
	for _, n := range c.Nodes {
		free := true
		for _, o := range than {
			free = free && n != o
		}
		if free {
			return n
		}
	}
	return nil
}

// back starts a node that was away, and waits until all vote and answer.
func (c *trio) back(t *testing.T, n *appliancetest.Node) {
	t.Helper()
	c.Again(t, n)
	n.Serving(t)
	c.Steady(t, 3)
}

// tenants: one that was made through a follower is of use at once through all.
func (c *trio) tenants(t *testing.T) {
	leader, followers := c.Leader(t), c.Followers(t)
	for round := range 6 {
		by := followers[round%2]
		home := by.Tenant(t)
		for i, n := range []*appliancetest.Node{c.other(by, leader), leader, by} {
			admin := n.At(home.Admin)
			a := admin.Do(t, "POST", "/v1/clients", appliancetest.JSON(map[string]any{"name": fmt.Sprint("operator ", i), "roles": []string{"operator"}}))
			if a.Status != 201 {
				t.Fatalf("round %d: a credential of a new tenant, at node %d: %d %s", round, i, a.Status, a.Body)
			}
			op := n.As(a.Text(t, "key"))
			if a := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer"))); a.Status != 201 {
				t.Errorf("round %d: a session of a new tenant, at node %d: %d %s", round, i, a.Status, a.Body)
			}
		}
	}
}

// ring is the key-ring's files on a node's disk.
func ring(t *testing.T, n *appliancetest.Node) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.Data, "*keyring*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = string(b)
	}
	return all
}

// oneRing: all nodes have the same key-ring, and no other one is left on a disk.
func (c *trio) oneRing(t *testing.T) {
	t.Helper()
	var all []map[string]string
	appliancetest.Eventually(t, 10*time.Second, func() bool {
		all = nil
		for _, n := range c.Nodes {
			all = append(all, ring(t, n))
		}
		for _, r := range all {
			if len(r) != 1 || r["keyring"] != all[0]["keyring"] {
				return false
			}
		}
		return true
	}, func() string {
		var names []string
		for _, r := range all {
			for name, b := range r {
				names = append(names, fmt.Sprintf("%s (%d bytes)", name, len(b)))
			}
		}
		return fmt.Sprintf("one key-ring on all nodes: %v", names)
	})
}

// signatures of a node's checkpoint.
func signatures(t *testing.T, n *appliancetest.Node) string {
	t.Helper()
	b := string(n.Home.Admin.Do(t, "GET", "/v1/audit/checkpoint?log=system", nil).Want(t, 200).Body)
	var signers []string
	for line := range strings.SplitSeq(b, "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "—" {
			signers = append(signers, f[2][:6]) // the key's hash is in front of the signature
		}
	}
	return strings.Join(signers, " ")
}

// signingKeys: what a follower has rotated and retired, all nodes sign by, and a
// node that was away, too.
func (c *trio) signingKeys(t *testing.T) {
	same := func(what string, keys int, nodes ...*appliancetest.Node) string {
		t.Helper()
		var all []string
		for _, n := range nodes {
			all = append(all, signatures(t, n))
		}
		for _, s := range all {
			if s != all[0] || len(strings.Fields(s)) != keys {
				t.Errorf("%s: %q, want the same %d on all", what, all, keys)
			}
		}
		return all[0]
	}
	first := same("before", 1, c.Nodes...)
	follower := c.Followers(t)[0]
	admin := follower.Home.Admin
	admin.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200)
	same("rotated", 2, c.Nodes...)
	admin.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200)
	if now := same("retired", 1, c.Nodes...); now == first {
		t.Error("the same key signs")
	}
	c.oneRing(t)

	away := c.other(c.Leader(t), follower)
	c.Stop(t, away)
	admin.Do(t, "POST", "/v1/audit/keys/rotate", nil).Want(t, 200)
	admin.Do(t, "POST", "/v1/audit/keys/retire?early=true", nil).Want(t, 200)
	home := follower.Tenant(t)
	made := home.Key(t, access.Operator).Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 1"))).Want(t, 201)
	reviewer := home.Key(t, access.Reviewer)
	c.Again(t, away)
	// The first that it says of anybody is right.
	appliancetest.Eventually(t, 30*time.Second, func() bool {
		a, err := away.At(reviewer).Send(away.At(reviewer).Request(t, "GET", "/v1/subjects/"+made.Text(t, "subject"), nil, "Purpose: review"))
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != 200 && a.Status != 503 {
			t.Fatalf("a node that was away says %d %s", a.Status, a.Body)
		}
		return a.Status == 200
	}, func() string { return "the node serves" })
	same("after a node was away", 1, c.Nodes...)
	c.oneRing(t)
	c.Steady(t, 3)
}

// erasure through one node is one on all, those that were away among them.
func (c *trio) erasure(t *testing.T) {
	home := c.Nodes[0].Tenant(t)
	op, review, compliance := home.Key(t, access.Operator), c.at(home.Key(t, access.Reviewer)), c.at(home.Key(t, access.Compliance))
	selfie := appliancetest.Evidence(t).Selfie
	found := func(n int) int {
		t.Helper()
		a := compliance[n].Do(t, "POST", "/v1/faces/search", appliancetest.Form(t, appliancetest.Part{Name: "face", Kind: "image/jpeg", Bytes: selfie}), "Purpose: review").Want(t, 200)
		var f struct {
			Subjects struct{ Candidates []any }
		}
		a.JSON(t, &f)
		return len(f.Subjects.Candidates)
	}
	person := func() (session, subject string, pictures map[string]bool) {
		t.Helper()
		before := c.held(t)
		id := op.Filled(t)
		op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
		a := op.Do(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil).Want(t, 200)
		if got := a.Text(t, "state"); got != "approved" {
			t.Fatalf("%s", a.Body)
		}
		pictures = map[string]bool{}
		appliancetest.Eventually(t, 90*time.Second, func() bool { // on all disks
			for _, n := range c.Nodes {
				n.Inside().Replica().Wake()
			}
			whole := 0
			for name, n := range c.held(t) {
				if before[name] == 0 {
					pictures[name] = true
					if n == 3 {
						whole++
					}
				}
			}
			return whole == 2
		}, func() string { return "two pictures on all disks" })
		for i := range c.Nodes {
			if n := found(i); n != 1 {
				t.Errorf("node %d finds %d faces", i, n)
			}
		}
		return id, a.Text(t, "subject"), pictures
	}
	gone := func(i int, session string, pictures map[string]bool) {
		t.Helper()
		for _, what := range []string{"result", "evidence/selfie"} {
			if a := review[i].Do(t, "GET", "/v1/sessions/"+session+"/"+what, nil, "Purpose: review"); a.Status != 410 {
				t.Errorf("node %d: %s of an erased person: %d %s", i, what, a.Status, a.Body)
			}
		}
		if n := found(i); n != 0 {
			t.Errorf("node %d finds %d faces of an erased person", i, n)
		}
		appliancetest.Eventually(t, 10*time.Second, func() bool {
			for name := range names(t, c.Nodes[i]) {
				if pictures[name] {
					return false
				}
			}
			return true
		}, func() string { return fmt.Sprintf("node %d: the pictures of an erased person are gone", i) })
	}
	session, subject, pictures := person()
	by := c.Nodes[2].At(home.Key(t, access.Compliance, access.TenantAdmin))
	by.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=subject_request", nil).Want(t, 200)
	for i := range c.Nodes {
		gone(i, session, pictures)
	}

	session, subject, pictures = person()
	away := c.Nodes[1]
	c.Stop(t, away)
	by.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=subject_request", nil).Want(t, 200)
	c.back(t, away)
	for i := range c.Nodes {
		gone(i, session, pictures)
	}
}

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
	for i := range 6 {
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

// waitingAt gives a node jobs that no worker takes in hand.
func (c *trio) waitingAt(t *testing.T, op *appliancetest.Client, home *appliancetest.Tenant, through, at *appliancetest.Node) (all []string) {
	t.Helper()
	at.Inside().Jobs().Pause()
	for range 3 {
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

// stops: a node that stops in order gives away what waits; nobody dies of it.
func (c *trio) stops(t *testing.T) {
	leader := c.Leader(t)
	at := c.other(leader)
	through := c.other(leader, at)
	home := through.Tenant(t)
	op := home.Key(t, access.Operator)
	inHand := assigned(t, op, home, through, at, "customer 1")
	jobs := at.Inside().Jobs()
	appliancetest.Eventually(t, 10*time.Second, func() bool { return jobs.Stats().Running == 1 }, func() string { return "a job is in hand" })
	all := append(c.waitingAt(t, op, home, through, at), inHand)
	c.Stop(t, at)
	for _, id := range all {
		if r := row(t, leader, home.ID, id); r.Node == at.ID(t) || r.Deaths != 0 {
			t.Errorf("after the stop: the job of %s, %d deaths\n%s", r.Node, r.Deaths, warnings(at))
		}
	}
	c.settled(t, op, home, 20*time.Second, all)
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
	c.settled(t, op, home, 30*time.Second, all)
	for _, id := range all {
		if r := row(t, through, home.ID, id); r.Node == lost.ID(t) || r.Deaths != 1 {
			t.Errorf("decided by %s after %d deaths", r.Node, r.Deaths)
		}
	}
	c.kill(t, lost)
	c.back(t, lost)
	c.settled(t, op, home, 10*time.Second, all) // it brings nothing of its own
}

// alone: a node that lost the others says how it stands, and promises nothing;
// started alone, it says that it waits.
func (c *trio) alone(t *testing.T) {
	n := c.Nodes[0]
	op := n.Home.Key(t, access.Operator)
	session := op.Create(t)
	for _, other := range c.Nodes[1:] {
		c.kill(t, other)
	}
	appliancetest.Eventually(t, 20*time.Second, func() bool { return !n.Standing(t).Quorum }, func() string { return "the node sees that it is alone" })
	if s := n.Standing(t); len(s.Members) != 3 || len(s.Advice) == 0 || !strings.Contains(s.Advice[0], "no majority") {
		t.Errorf("%+v", s)
	}
	n.Nobody().Do(t, "GET", "/livez", nil).Want(t, 200)
	if a := n.Home.Admin.Do(t, "GET", "/readyz", nil); a.Status != 503 {
		t.Errorf("ready without a majority: %d %s", a.Status, a.Body)
	}
	n.Home.Admin.Do(t, "GET", "/v1/status", nil).Want(t, 200)
	for _, what := range []string{"/v1/sessions/" + session, "/v1/clients"} {
		if a := n.At(n.Home.Admin).Do(t, "GET", what, nil); a.Problem(t) != "unavailable" {
			t.Errorf("%s without a majority: %d %s", what, a.Status, a.Body)
		}
	}

	c.kill(t, n)
	c.Again(t, n)
	n.Nobody().Do(t, "GET", "/livez", nil).Want(t, 200)
	for _, what := range []string{"/readyz", "/v1/status", "/v1/cluster", "/v1/sessions/" + session, "/nowhere"} {
		a := n.Home.Admin.Do(t, "GET", what, nil)
		if a.Status != 503 || a.Problem(t) != "unavailable" || a.Text(t, "next") == "" {
			t.Errorf("%s while it waits: %d %s", what, a.Status, a.Body)
		}
	}
	for _, other := range c.Nodes[1:] {
		c.Again(t, other)
	}
	for _, one := range c.Nodes {
		one.Serving(t)
	}
	c.Steady(t, 3)
	op.Do(t, "GET", "/v1/sessions/"+session, nil).Want(t, 200)
}
