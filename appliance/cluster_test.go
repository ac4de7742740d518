package appliance_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// TestCluster holds three nodes against what a cluster promises to its clients.
// Each part but the last leaves all three running and voting.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes with their models take a minute")
	}
	c := &trio{appliancetest.Trio(t)}
	for _, part := range []struct {
		name string
		do   func(*trio, *testing.T)
	}{
		{"evidence and decision", (*trio).decision},
		{"progress as it is watched", (*trio).progress},
		{"copies of pictures", (*trio).copies},
		{"a tenant made through a follower", (*trio).tenants},
		{"a revoked credential", (*trio).revoked},
		{"one key on two nodes", (*trio).sameKey},
		{"one face on two nodes", (*trio).sameFace},
		{"a draining node", (*trio).draining},
		{"signing keys", (*trio).signingKeys},
		{"erasure", (*trio).erasure},
		{"pictures that one node lacks", (*trio).pictures},
		{"a node that is sealed", (*trio).sealed},
		{"rotation of the authority", (*trio).rotation},
		{"a node that stops in order", (*trio).stops},
		{"a node that is cut off", (*trio).cutOff},
		{"a node without the others", (*trio).alone},
		{"two nodes that are lost for good", (*trio).lost},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.do(c, t) }) {
			break // it may have left the cluster as no other part expects it
		}
	}
}

// trio is the cluster of the test.
type trio struct{ *appliancetest.Cluster }

// operators are one credential at each node.
func (c *trio) operators(t *testing.T) []*appliancetest.Client {
	return c.at(c.Nodes[0].Home.Key(t, access.Operator))
}

// at each node.
func (c *trio) at(client *appliancetest.Client) (all []*appliancetest.Client) {
	for _, n := range c.Nodes {
		all = append(all, n.At(client))
	}
	return all
}

// row of a session, as a node has it.
func row(t *testing.T, n *appliancetest.Node, tenant, id string) *command.Session {
	t.Helper()
	var s *command.Session
	err := n.Inside().State().View(func(v *state.View) (err error) { s, err = v.Session(tenant, id); return err })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// assigned is a submitted session whose job is a node's, of the person of a
// reference.
func assigned(t *testing.T, op *appliancetest.Client, home *appliancetest.Tenant, through, to *appliancetest.Node, reference string) string {
	t.Helper()
	id := op.FilledOf(t, reference)
	give(t, op, home, through, to, id)
	return id
}

// give submits a session for a node.
func give(t *testing.T, op *appliancetest.Client, home *appliancetest.Tenant, through, to *appliancetest.Node, id string) {
	t.Helper()
	caller := callerOf(home, op)
	_, err := through.Inside().Sessions().Propose(t.Context(), caller, command.Type_SUBMIT, &command.Submit{Session: id, Node: to.ID(t)}, nil, act.Event(caller, audit.SessionSubmit, "session", id))
	if err != nil {
		t.Fatal(err)
	}
}

// names of the pictures on a node's disk.
func names(t *testing.T, n *appliancetest.Node) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(n.Data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			return nil
		}
		if err == nil && d.Type().IsRegular() && len(d.Name()) == 64 {
			all[d.Name()] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// held is on how many disks each picture is that is on one.
func (c *trio) held(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, n := range c.Nodes {
		for name := range names(t, n) {
			all[name]++
		}
	}
	return all
}

// decision: evidence through one node and another, submitted through that one,
// read through all, awaited at a third.
func (c *trio) decision(t *testing.T) {
	ops := c.operators(t)
	p := appliancetest.Evidence(t)
	id := ops[0].Create(t)
	before := c.held(t)
	for i, picture := range [][]byte{p.Document, p.Selfie} {
		ops[i].Put(t, id, []string{"document_front", "selfie"}[i], picture).Want(t, 200)
		now := c.held(t) // as it was answered
		fresh := 0
		for name, n := range now {
			if before[name] == 0 {
				if fresh++; n < 2 {
					t.Errorf("an acknowledged picture is on %d disks", n)
				}
			}
		}
		if fresh != 1 {
			t.Errorf("%d new pictures on the disks after one was put", fresh)
		}
		before = now
	}
	c.Nodes[2].Inside().Jobs().Pause() // another one decides
	type woken struct {
		a    *appliancetest.Answer
		took time.Duration
	}
	waits := make(chan woken, 1)
	r := ops[2].Request(t, "GET", "/v1/sessions/"+id+"?wait=30s", nil)
	go func() {
		start := time.Now()
		a, err := ops[2].Send(r)
		if err != nil {
			t.Error(err)
		}
		waits <- woken{a, time.Since(start)}
	}()
	ops[1].Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
	w := <-waits
	c.Nodes[2].Inside().Jobs().Resume()
	if w.a == nil {
		t.Fatal("who waits has no answer")
	}
	if w.took > 30*time.Second || w.a.Text(t, "state") != "approved" {
		t.Errorf("who waits at a third node was told after %v: %s", w.took, w.a.Body)
	}
	reviewers := c.at(c.Nodes[0].Home.Key(t, access.Reviewer))
	var sessions, results [][]byte
	for i := range c.Nodes { // before the results: reading those is in the log, whose size a session has
		sessions = append(sessions, ops[i].Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200).Body)
	}
	for i := range c.Nodes {
		results = append(results, reviewers[i].Do(t, "GET", "/v1/sessions/"+id+"/result", nil, "Purpose: review").Want(t, 200).Body)
		for slot, picture := range map[string][]byte{"document_front": p.Document, "selfie": p.Selfie} {
			a := reviewers[i].Do(t, "GET", "/v1/sessions/"+id+"/evidence/"+slot, nil, "Purpose: review").Want(t, 200)
			if !bytes.Equal(a.Body, picture) {
				t.Errorf("node %d gives another %s", i, slot)
			}
		}
	}
	for i := range c.Nodes {
		if !bytes.Equal(sessions[i], sessions[0]) || !bytes.Equal(results[i], results[0]) {
			t.Errorf("node %d answers otherwise:\n%s\n%s", i, sessions[i], results[i])
		}
	}
	if got := row(t, c.Nodes[0], c.Nodes[0].Home.ID, id).Node; got == c.Nodes[2].ID(t) {
		t.Error("the node whose workers pause has decided")
	}
}

// progress: what happens through one node is told at once to who watches at
// another one.
func (c *trio) progress(t *testing.T) {
	ops := c.operators(t)
	id := ops[0].Create(t)
	watch := c.Nodes[2].Dial(t, nil)
	a, err := watch.Do(ops[2].Request(t, "GET", "/v1/sessions/"+id+"/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	told := make(chan string, 16)
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(a.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				told <- data
			}
		}
	}()
	next := func(what string) {
		t.Helper()
		select {
		case data := <-told:
			if !strings.Contains(data, what) {
				t.Errorf("%s, want %s", data, what)
			}
		case <-time.After(8 * time.Second): // the stream's own look comes after 15
			t.Errorf("who watches at another node is not told of %s", what)
		}
	}
	next(`"created"`)
	ops[0].Put(t, id, "selfie", appliancetest.Evidence(t).Selfie).Want(t, 200)
	next(`"selfie"`)
}

// copies: after healing each picture is on all disks.
func (c *trio) copies(t *testing.T) {
	appliancetest.Eventually(t, 90*time.Second, func() bool {
		for _, n := range c.Nodes {
			n.Inside().Replica().Wake()
		}
		for _, n := range c.held(t) {
			if n < len(c.Nodes) {
				return false
			}
		}
		return true
	}, func() string {
		return fmt.Sprintf("each picture on all nodes: %v", slices.Collect(maps.Values(c.held(t))))
	})
}

// revoked: what one node has revoked no other one takes.
func (c *trio) revoked(t *testing.T) {
	home := c.Nodes[0].Home
	for round := range 20 {
		key := home.NewKey(t, access.Operator)
		at := c.at(key)
		for i := range at {
			at[i].Do(t, "GET", "/v1/sessions", nil).Want(t, 200)
		}
		by := round % len(c.Nodes)
		c.Nodes[by].At(home.Admin).Do(t, "DELETE", "/v1/clients/"+key.ID, nil).Want(t, 200)
		for i := range at {
			if a := at[(by+1+i)%len(at)].Do(t, "GET", "/v1/sessions", nil); a.Status != 401 {
				t.Errorf("round %d: revoked by node %d, and node %d answers %d", round, by, (by+1+i)%len(at), a.Status)
			}
		}
	}
}

// together sends requests at one time.
func together(t *testing.T, requests ...func() *appliancetest.Answer) []*appliancetest.Answer {
	t.Helper()
	all := make([]*appliancetest.Answer, len(requests))
	begin, done := make(chan struct{}), make(chan struct{})
	for i, do := range requests {
		go func() {
			<-begin
			all[i] = do()
			done <- struct{}{}
		}()
	}
	close(begin)
	for range requests {
		<-done
	}
	return all
}

// sent is a request without the checks of Do, which end a test.
func sent(t *testing.T, c *appliancetest.Client, method, path string, body *appliancetest.Body, headers ...string) func() *appliancetest.Answer {
	r := c.Request(t, method, path, body, headers...)
	return func() *appliancetest.Answer {
		a, err := c.Send(r)
		if err != nil {
			t.Error(err)
			return &appliancetest.Answer{}
		}
		return a
	}
}

// sameKey: the same request under the same key, through two nodes at one time, has
// one effect and one answer.
func (c *trio) sameKey(t *testing.T) {
	home := c.Nodes[0].Home
	admin, ops := c.at(home.Admin), c.operators(t)
	count := func(path string) int {
		t.Helper()
		var all map[string]json.RawMessage
		var list []json.RawMessage
		admin[0].Do(t, "GET", path, nil).Want(t, 200).JSON(t, &all)
		for _, v := range all {
			if json.Unmarshal(v, &list) == nil {
				return len(list)
			}
		}
		t.Fatalf("%s is no list", path)
		return 0
	}
	one := func(what string, status int, do ...func() *appliancetest.Answer) {
		t.Helper()
		a := together(t, do...)
		if a[0].Status != status || a[1].Status != status || !bytes.Equal(a[0].Body, a[1].Body) {
			t.Errorf("%s: %d %s\n%d %s", what, a[0].Status, a[0].Body, a[1].Status, a[1].Body)
		}
	}
	clients, sessions := count("/v1/clients"), appliancetest.Counts(home.Leaves(t))["session.create"]
	const rounds = 10
	for i := range rounds {
		a, b := i%3, (i+1)%3
		key := fmt.Sprintf("Idempotency-Key: session-%d", i)
		body := appliancetest.JSON(appliancetest.Request(""))
		one("a session", 201, sent(t, ops[a], "POST", "/v1/sessions", body, key), sent(t, ops[b], "POST", "/v1/sessions", body, key))
		key = fmt.Sprintf("Idempotency-Key: client-%d", i)
		body = appliancetest.JSON(map[string]any{"name": "same", "roles": []string{"operator"}})
		one("a credential", 201, sent(t, admin[a], "POST", "/v1/clients", body, key), sent(t, admin[b], "POST", "/v1/clients", body, key))
	}
	if got := appliancetest.Counts(home.Leaves(t))["session.create"] - sessions; got != rounds {
		t.Errorf("%d sessions by %d keys", got, rounds)
	}
	if got := count("/v1/clients") - clients; got < rounds || got > rounds+1 { // and the auditor's
		t.Errorf("%d clients by %d keys", got, rounds)
	}
	made := appliancetest.Counts(home.Leaves(t))["decision.make"]
	p := appliancetest.Evidence(t)
	form := appliancetest.VerificationFormOf(t, "customer of one key", p.Document, p.Selfie)
	v := together(t, sent(t, ops[1], "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: v"), sent(t, ops[2], "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: v"))
	if v[0].Status != 200 || v[1].Status != 200 || v[0].Text(t, "id") != v[1].Text(t, "id") || v[0].Text(t, "state") != v[1].Text(t, "state") {
		t.Errorf("a verification: %d %s\n%d %s", v[0].Status, v[0].Body, v[1].Status, v[1].Body)
	}
	if got := appliancetest.Counts(home.Leaves(t))["decision.make"] - made; got != 1 {
		t.Errorf("%d decisions by one key", got)
	}
	tenants := count("/v1/tenants")
	body := appliancetest.JSON(map[string]string{"organisation": "same", "name": "administrator"})
	one("a tenant", 201, sent(t, admin[1], "POST", "/v1/tenants", body, "Idempotency-Key: t"), sent(t, admin[2], "POST", "/v1/tenants", body, "Idempotency-Key: t"))
	if got := count("/v1/tenants") - tenants; got != 1 {
		t.Errorf("%d tenants by one key", got)
	}
}

// sameFace: of one new face that two nodes verify at one time the later finds the
// earlier.
func (c *trio) sameFace(t *testing.T) {
	for round := range 5 {
		home := c.Nodes[round%3].Tenant(t) // where nobody is enrolled
		op := home.Key(t, access.Operator)
		var all []string
		for range 2 {
			all = append(all, op.Filled(t))
		}
		one, other := c.Nodes[round%3], c.Nodes[(round+1)%3]
		together(t, func() *appliancetest.Answer { give(t, op, home, one, one, all[0]); return nil },
			func() *appliancetest.Answer { give(t, op, home, other, other, all[1]); return nil })
		approved, duplicates := 0, 0
		for _, id := range all {
			switch state, rules := outcome(t, op, id); {
			case state == "approved":
				approved++
			case duplicate(state, rules):
				duplicates++
			default:
				t.Errorf("round %d: %s %v", round, state, rules)
			}
		}
		if approved != 1 || duplicates != 1 {
			t.Errorf("round %d: %d approved, %d duplicates", round, approved, duplicates)
		}
	}
}
