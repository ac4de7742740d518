package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// What a search finds is what reading the whole log finds, page by page, while
// the log grows.
func TestAuditSearchIsAFilter(t *testing.T) {
	const queries = 120
	_, home, people := worked(t)
	op := home.Key(t, access.Operator)
	// A client may ask 200 times a second.
	readers := []*appliancetest.Client{home.NewKey(t, access.Auditor), home.NewKey(t, access.Compliance), home.NewKey(t, access.Auditor)}
	before := everything(t, readers[0], "tenant")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	type done struct {
		query
		first sought
		seqs  []int64
	}
	var all []done
	grown := 0
	for i := range queries {
		q := random(r, before, people)
		first, seqs := q.all(t, readers[i%len(readers)], func() {
			if grown++; grown%4 == 0 {
				op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 1"))).Want(t, 201)
			}
		})
		all = append(all, done{q, first, seqs})
	}
	log := everything(t, readers[0], "tenant")
	hits := 0
	for _, d := range all {
		var want []int64
		for _, e := range slices.Backward(log[:d.first.Size]) {
			if d.fits(&e, people) {
				want = append(want, e.Seq)
			}
		}
		if !slices.Equal(d.seqs, want) {
			t.Errorf("%v in %d events: found %v, want %v", d.query, d.first.Size, d.seqs, want)
		}
		if n := int64(len(want)); d.first.Total != n {
			t.Errorf("%v: a total of %d, want %d", d.query, d.first.Total, n)
		}
		if len(want) > 0 {
			hits++
		}
	}
	if hits < queries/4 {
		t.Errorf("only %d of %d queries found something", hits, queries)
	}
}

// Each term finds what it is for, and each search is in the log once: with what
// was asked for where something was found, and never with a reference.
func TestAuditSearchIsLogged(t *testing.T) {
	n, home, people := worked(t)
	c := home.Key(t, access.Auditor)
	log := everything(t, c, "tenant")
	var decided event
	for _, e := range log {
		if e.Action == "decision.make" {
			decided = e
		}
	}
	person := people["customer 1"]
	if decided.Subject != person {
		t.Fatalf("%+v", decided)
	}
	long := strings.Repeat("x", 256)
	middle := log[len(log)/2].At
	for i, s := range []struct {
		query
		by   string
		some bool
	}{
		{query{}, "all", true},
		{query{"session": decided.session()}, "session", true},
		{query{"subject": person}, "subject", true},
		{query{"actor": home.Key(t, access.Operator).ID}, "actor", true},
		{query{"action": "decision.make"}, "action", true},
		{query{"object": decided.Object.ID}, "object", true},
		{query{"reference": "customer 1"}, "subject,reference", true}, // whose it is
		{query{"reference": "customer 1", "subject": person, "action": "session.create"}, "subject,action,reference", true},
		{query{"after": middle}, "after", true},
		{query{"before": middle, "action": "session.create"}, "action,before", true},
		{query{"reference": "customer 99"}, "reference", false},
		{query{"reference": "customer 1", "subject": people["customer 2"]}, "subject,reference", false},
		{query{"session": long, "actor": long, "object": long}, "session,actor,object", false},
		{query{"action": "backup.create"}, "action", false},
		{query{"after": log[0].At.Add(-time.Hour), "before": log[0].At}, "after,before", false},
		{query{"after": time.Now().Add(time.Hour)}, "after", false},
		{query{"subject": "Mrs Miller, born 1970"}, "subject", false},
	} {
		request := fmt.Sprint("search-", i)
		var got sought
		c.Do(t, "POST", "/v1/audit/search", appliancetest.JSON(s.query), "X-Request-Id: "+request).Want(t, 200).JSON(t, &got)
		if (len(got.Events) > 0) != s.some || got.Origin == "" || got.Root == "" || got.Size < int64(len(log)) {
			t.Errorf("%v: %+v", s.query, got)
		}
		if !slices.IsSortedFunc(got.Events, func(a, b event) int { return int(b.Seq - a.Seq) }) {
			t.Errorf("%v: %v is not the newest first", s.query, got.seqs())
		}
		var left []appliancetest.Leaf
		for _, l := range home.Leaves(t) {
			if l.Req.RequestID == request {
				left = append(left, l)
			}
		}
		if len(left) != 1 || left[0].Action != "access.audit" || left[0].Object["id"] != home.ID || left[0].Actor["id"] != c.ID || left[0].Req.Route != "POST /v1/audit/search" {
			t.Fatalf("%v left %+v", s.query, left)
		}
		facts := left[0].Data
		if facts["by"] != s.by || facts["matched"] != fmt.Sprint(got.Total) || facts["shown"] != fmt.Sprint(len(got.Events)) {
			t.Errorf("%v: the log says %v", s.query, facts)
		}
		for name, value := range s.query {
			switch text, isText := value.(string); {
			case name == "after" || name == "before":
				at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(facts[name]))
				if err != nil || !at.Equal(value.(time.Time)) {
					t.Errorf("%v: the log says %v", s.query, facts)
				}
			case name == "reference":
			case isText && s.some != (facts[name] == text):
				t.Errorf("%v: the log says %v", s.query, facts)
			}
		}
		b, err := json.Marshal(left[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, never := range []string{"customer", "Miller", long} {
			if strings.Contains(string(b), never) || strings.Contains(n.Log(), never) {
				t.Errorf("%v: a log shows %.20q", s.query, never)
			}
		}
	}
}

func TestAuditSearchRefuses(t *testing.T) {
	_, home := tenant(t)
	c := home.Key(t, access.Auditor)
	home.Key(t, access.Operator).Create(t)
	count := func() int { return appliancetest.Counts(home.Leaves(t))["access.audit"] }
	before := count()
	long := strings.Repeat("x", 257)
	bad := []query{{"action": "no.such"}, {"action": "decision"}, {"log": "other"}, {"log": home.ID}, {"log": ""}, {"limit": 0}, {"limit": 201}, {"limit": -1}, {"limit": "1"},
		{"cursor": ""}, {"cursor": "!"}, {"cursor": "MA"}, {"cursor": "LTE"}, {"cursor": "eA"}, {"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"}, {"cursor": long},
		{"after": "yesterday"}, {"after": 1700000000}, {"after": "2026-11-25"}, {"after": "1969-12-31T23:59:59Z"}, {"before": "2262-01-01T00:00:00Z"}, {"before": "0000-01-01T00:00:00Z"}}
	for _, name := range []string{"session", "subject", "reference", "actor", "object", "action"} {
		bad = append(bad, query{name: ""}, query{name: long}, query{name: nil}, query{name: []string{"x"}}, query{name: 1})
	}
	for _, q := range bad {
		a := q.send(t, c).Want(t, 400).Refused(t, "bad-value")
		for _, value := range q {
			if text, ok := value.(string); ok && len(text) > 200 && strings.Contains(string(a.Body), text) {
				t.Errorf("%.40v is said again: %.100s", q, a.Body)
			}
		}
	}
	for _, q := range []query{{"who": "x"}, {"Session": "x"}} {
		q.send(t, c).Refused(t, "unknown-member")
	}
	for _, text := range []string{"", "{", "{}{}", `{"limit":1,"limit":2}`} {
		c.Do(t, "POST", "/v1/audit/search", appliancetest.JSON(text)).Refused(t, "malformed")
	}
	c.Do(t, "POST", "/v1/audit/search", nil).Refused(t, "media-type")
	c.Do(t, "POST", "/v1/audit/search?limit=1", appliancetest.JSON(`{}`)).Refused(t, "unknown-member")
	if got := count() - before; got != 1 { // the reading of the log that counted
		t.Errorf("%d readings are in the log for what was refused", got-1)
	}
}

// A person's events are found by the reference until the person is erased, and
// by the id from then on, too.
func TestAuditSearchAfterErasure(t *testing.T) {
	_, home, people := worked(t)
	c, person := home.Key(t, access.Auditor), people["customer 1"]
	_, before := query{"reference": "customer 1"}.all(t, c, func() {})
	_, same := query{"subject": person}.all(t, c, func() {})
	if len(before) < 7 || !slices.Equal(before, same) {
		t.Errorf("by reference %v, by id %v", before, same)
	}
	home.Key(t, access.Compliance).Do(t, "DELETE", "/v1/subjects/"+person+"?reason=subject_request", nil).Want(t, 200)
	if s := (query{"reference": "customer 1"}).find(t, c); len(s.Events) != 0 || s.Total != 0 || s.Next != "" {
		t.Errorf("the reference still finds %v", s.seqs())
	}
	_, after := query{"subject": person}.all(t, c, func() {})
	if len(after) <= len(before) || !slices.Equal(after[len(after)-len(before):], before) {
		t.Errorf("by id %v, before the erasure %v", after, before)
	}
	if s := (query{"subject": person, "action": "subject.erase.restrict"}).find(t, c); len(s.Events) != 1 || s.Events[0].Seq != after[0] {
		t.Errorf("the erasure: %+v", s)
	}
	verifies(t, home)
}

// A log is the caller's own, whatever is sought; the cluster's is for its
// administrators.
func TestAuditSearchStaysWithin(t *testing.T) {
	n, home, people := worked(t)
	other := n.Tenant(t)
	stranger := other.Key(t, access.Auditor)
	log := everything(t, home.Key(t, access.Auditor), "tenant")
	e := log[len(log)/2]
	for _, q := range []query{{"session": e.session()}, {"subject": people["customer 1"]}, {"reference": "customer 1"}, {"actor": home.Admin.ID}, {"object": e.Object.ID}, {"object": home.ID},
		{"actor": n.Home.Admin.ID, "action": "client.create"}} {
		if s := q.find(t, stranger); len(s.Events) != 0 || s.Total != 0 || !strings.Contains(s.Origin, other.ID) {
			t.Errorf("%v finds another tenant's: %+v", q, s)
		}
	}
	for _, role := range access.Roles() {
		c := n.Home.NewKey(t, role)
		a := query{"log": "system"}.send(t, c)
		if role == access.PlatformAdmin {
			a.Want(t, 200)
			continue
		}
		a.Want(t, 403)
		if may := role == access.Auditor || role == access.Compliance; may == (query{}.send(t, c).Status != 200) {
			t.Errorf("the tenant's own log as %s", role)
		}
	}
	admin := n.Home.Admin
	want := 0
	system := everything(t, admin, "system")
	for _, e := range system {
		if e.Action == "tenant.create" {
			want++
		}
	}
	first, seqs := query{"log": "system", "action": "tenant.create", "limit": 2}.all(t, admin, func() {})
	if len(seqs) != want || first.Total != int64(want) || !strings.Contains(first.Origin, "/system/") {
		t.Errorf("%d tenants were made, found %v", want, seqs)
	}
	if s := (query{"log": "system", "object": "ten_x"}).find(t, admin); len(s.Events) != 0 {
		t.Errorf("%+v", s)
	}
}
