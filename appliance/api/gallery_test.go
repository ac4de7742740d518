package api_test

import (
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

type list struct {
	Templates, Segments int
	Kernel              string
	Threshold           float64
	Graph               *struct {
		Templates int
		Bytes     int64
		Recall    float64
	}
}

type stats struct {
	Model               string
	Subjects, Blocklist list
	Task                *struct {
		Name     string
		Busy     bool
		Done, Of int
		Error    string
	}
}

func galleries(t *testing.T, c *appliancetest.Client) (s stats) {
	t.Helper()
	c.Do(t, "GET", "/v1/gallery", nil).Want(t, 200).JSON(t, &s)
	return s
}

// work on the galleries, to its end.
func work(t *testing.T, c *appliancetest.Client, body string) stats {
	t.Helper()
	c.Do(t, "POST", "/v1/gallery/rebuild", appliancetest.JSON(body)).Want(t, 202)
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if s := galleries(t, c); s.Task == nil || !s.Task.Busy {
			return s
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("the work does not end")
		}
	}
}

func verified(t *testing.T, c *appliancetest.Client, templates int) {
	t.Helper()
	var r struct {
		OK                                   bool
		Templates, Missing, Different, Extra int
		First                                *string
	}
	c.Do(t, "POST", "/v1/gallery/verify", nil).Want(t, 200).JSON(t, &r)
	if !r.OK || r.Templates != templates || r.Missing+r.Different+r.Extra != 0 || r.First != nil {
		t.Errorf("%+v, want %d templates", r, templates)
	}
}

func TestGallery(t *testing.T) {
	_, home := tenant(t)
	op, rules, keeps := home.Key(t, access.Operator), home.Key(t, access.Compliance), home.Key(t, access.TenantAdmin)
	p := appliancetest.Evidence(t)
	monitor := home.Key(t, access.Monitor)
	empty := galleries(t, monitor)
	if empty.Model == "" || empty.Subjects.Templates != 0 || empty.Subjects.Threshold <= 0 || empty.Subjects.Graph != nil || empty.Task != nil {
		t.Errorf("%+v", empty)
	}
	verified(t, home.Key(t, access.Auditor), 0)
	enrolledAs(t, op, "customer 1", p.Selfie)
	enrolledAs(t, op, "customer 2", p.Stranger)
	gone := enrolledAs(t, op, "customer 3", p.Document)
	block(t, rules, p.Stranger)
	rules.Do(t, "DELETE", "/v1/subjects/"+gone.Text(t, "subject")+"?reason=error", nil).Want(t, 200)
	if s := galleries(t, monitor); s.Subjects.Templates != 2 || s.Blocklist.Templates != 1 || s.Subjects.Kernel == "" || s.Subjects.Threshold < empty.Subjects.Threshold {
		t.Errorf("%+v", s)
	}
	verified(t, keeps, 3)
	if s := work(t, keeps, `{}`); s.Task.Name != "rebuild" || s.Task.Error != "" || s.Task.Done != s.Task.Of || s.Subjects.Templates != 2 || s.Blocklist.Templates != 1 {
		t.Errorf("%+v %+v", s, s.Task)
	}
	verified(t, rules, 3)
	if f := search(t, rules, p.Stranger); len(f.Subjects.Candidates) != 1 || len(f.Blocklist.Candidates) != 1 {
		t.Errorf("after the rebuild: %+v %+v", f.Subjects, f.Blocklist)
	}
	// The next is found in the new gallery.
	enrolledAs(t, op, "customer 4", p.Selfie)
	if f := search(t, rules, p.Selfie); len(f.Subjects.Candidates) != 2 {
		t.Errorf("enrolled after the rebuild: %+v", f.Subjects)
	}
}

// A search in the graph says so, and how well the graph finds.
func TestGraph(t *testing.T) {
	_, home := tenant(t)
	op, rules := home.Key(t, access.Operator), home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	made := enrolledAs(t, op, "customer 1", p.Selfie)
	enrolledAs(t, op, "customer 2", p.Stranger)
	form := fieldsOf(t, p.Selfie, "engine", "graph")
	rules.Do(t, "POST", "/v1/faces/search", form, purpose).Want(t, 409).Refused(t, "no-graph")
	if s := work(t, rules, `{"graph":true}`); s.Task.Name != "graph" || s.Task.Error != "" || s.Subjects.Graph == nil || s.Subjects.Graph.Templates != 2 {
		t.Fatalf("%+v %+v", s, s.Task)
	}
	f := search(t, rules, p.Selfie, "engine", "graph")
	if f.Subjects.Engine != "graph" || f.Subjects.Recall == nil || *f.Subjects.Recall <= 0 || len(f.Subjects.Candidates) != 1 || f.Subjects.Candidates[0].Session != made.Text(t, "id") {
		t.Errorf("%+v", f.Subjects)
	}
	if f := search(t, rules, p.Selfie, "engine", "graph", "list", "blocklist"); f.Blocklist.Engine != "exact" {
		t.Errorf("%+v", f.Blocklist)
	}
	// The blocklist is compared exactly beside the graph.
	block(t, rules, p.Selfie)
	f = search(t, rules, p.Selfie, "engine", "graph")
	if f.Subjects.Engine != "graph" || f.Blocklist.Engine != "exact" || len(f.Blocklist.Candidates) != 1 || len(f.Subjects.Candidates) != 1 {
		t.Errorf("%+v %+v", f.Subjects, f.Blocklist)
	}
}

func TestGalleryIsLogged(t *testing.T) {
	_, home := tenant(t)
	keeps := home.Key(t, access.TenantAdmin)
	for range 2 { // the second begins nothing
		keeps.Do(t, "POST", "/v1/gallery/rebuild", appliancetest.JSON(`{"graph":false}`), "Idempotency-Key: rebuild").Want(t, 202)
	}
	keeps.Do(t, "POST", "/v1/gallery/rebuild", appliancetest.JSON(`{"graph":true}`), "Idempotency-Key: rebuild").Refused(t, "idempotency-key-reused")
	for range 2 { // each looks
		keeps.Do(t, "POST", "/v1/gallery/verify", nil, "Idempotency-Key: verify").Want(t, 200)
	}
	rebuilt, compared := 0, 0
	for _, l := range home.Leaves(t) {
		switch l.Action {
		case "gallery.rebuild":
			if rebuilt++; l.Data["task"] != "rebuild" || l.Object["id"] != home.ID || l.Actor["id"] != keeps.ID {
				t.Errorf("%+v", l)
			}
		case "gallery.verify":
			if compared++; l.Data["templates"] != "0" || l.Data["missing"] != "0" || l.Result != "ok" {
				t.Errorf("%+v", l)
			}
		}
	}
	if rebuilt != 1 || compared != 2 {
		t.Errorf("%d rebuilds and %d comparisons in the log", rebuilt, compared)
	}
}

func TestGalleryRefuses(t *testing.T) {
	_, home := tenant(t)
	keeps := home.Key(t, access.TenantAdmin)
	for body, kind := range map[string]string{`{"graph":1}`: "bad-value", `{"tenant":"x"}`: "unknown-member", `[]`: "bad-value", `{`: "malformed"} {
		keeps.Do(t, "POST", "/v1/gallery/rebuild", appliancetest.JSON(body)).Refused(t, kind)
	}
	keeps.Do(t, "POST", "/v1/gallery/verify", appliancetest.JSON(`{}`)).Refused(t, "malformed")
	for _, role := range []access.Role{access.Operator, access.Reviewer, access.Monitor} {
		c := home.Key(t, role)
		c.Do(t, "POST", "/v1/gallery/rebuild", appliancetest.JSON(`{}`)).Refused(t, "forbidden")
		c.Do(t, "POST", "/v1/gallery/verify", nil).Refused(t, "forbidden")
	}
	home.Key(t, access.Operator).Do(t, "GET", "/v1/gallery", nil).Refused(t, "forbidden")
	if n := appliancetest.Counts(home.Leaves(t)); n["gallery.rebuild"]+n["gallery.verify"] != 0 {
		t.Errorf("what was refused is in the log: %v", n)
	}
}
