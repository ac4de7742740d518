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
	for round := range 4 {
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
	if a := op.Do(t, "GET", "/v1/sessions/"+session, nil); a.Problem(t) != "unavailable" {
		t.Errorf("a session without a majority: %d %s", a.Status, a.Body)
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
