package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// withoutHead is a session without where the log stood: that goes on.
func withoutHead(t *testing.T, b []byte) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "audit")
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Every POST that takes a key: the same answer for the same request, also
// after a restart; another request is refused; keys belong to the credential.
func TestSameKeySameAnswer(t *testing.T) {
	n, home := tenant(t)
	op := home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	id := op.Filled(t)
	jpeg := func(name string, b []byte) appliancetest.Part {
		return appliancetest.Part{Name: name, Kind: "image/jpeg", Bytes: b}
	}
	type call struct {
		c     *appliancetest.Client
		path  string
		body  *appliancetest.Body
		other *appliancetest.Body // another request; nil: another path
		adds  string              // the action that stands once in the log however often it is called; "" where each showing is logged
	}
	calls := map[string]call{
		"createSession": {op, "/v1/sessions", appliancetest.JSON(appliancetest.Request("")), appliancetest.JSON(appliancetest.Request("other")), "session.create"},
		"createClient":  {home.Admin, "/v1/clients", appliancetest.JSON(`{"name":"x","roles":["operator"]}`), appliancetest.JSON(`{"name":"y","roles":["operator"]}`), "client.create"},
		"createTenant":  {n.Home.Admin, "/v1/tenants", appliancetest.JSON(`{"organisation":"x","name":"x"}`), appliancetest.JSON(`{"organisation":"y","name":"x"}`), "tenant.create"},
		"submitSession": {op, "/v1/sessions/" + id + "/submit?wait=30s", nil, nil, "session.submit"},
		"verify":        {op, "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie), appliancetest.VerificationForm(t, p.Document, p.Stranger), "session.submit"},
		"compareFaces": {op, "/v1/faces/compare", appliancetest.Form(t, jpeg("a", p.Selfie), jpeg("b", p.Stranger)),
			appliancetest.Form(t, jpeg("a", p.Stranger), jpeg("b", p.Selfie)), ""},
		"readDocument": {op, "/v1/documents/read", appliancetest.Form(t, jpeg("document_front", p.Document)), appliancetest.Form(t, jpeg("document_front", p.Selfie)), ""},
	}
	want := 0
	for _, r := range access.Routes() {
		if _, ok := calls[r.Operation]; ok {
			want++
		}
	}
	if want != len(calls) {
		t.Fatalf("%d of %d operations are known", want, len(calls))
	}
	log := func(c call) map[string]int {
		if c.c == n.Home.Admin {
			return appliancetest.Counts(n.Home.Admin.Leaves(t, "system"))
		}
		return appliancetest.Counts(home.Leaves(t))
	}
	first := map[string]string{}
	do := func(name string, c call, body *appliancetest.Body, headers ...string) *appliancetest.Answer {
		t.Helper()
		return c.c.Do(t, "POST", c.path, body, append(headers, "Idempotency-Key: key of "+name, "Purpose: support")...)
	}
	compare := func(when, name string, a *appliancetest.Answer) {
		t.Helper()
		got := string(a.Body)
		if name == "submitSession" || name == "verify" {
			got = withoutHead(t, a.Body)
		}
		if a.Status >= 300 {
			t.Fatalf("%s, %s: %d %s", name, when, a.Status, a.Body)
		}
		if first[name] == "" {
			first[name] = got
		}
		if got != first[name] {
			t.Errorf("%s, %s: %s, first %s", name, when, got, first[name])
		}
	}
	for name, c := range calls {
		compare("first", name, do(name, c, c.body))
		before := log(c)
		compare("again", name, do(name, c, c.body))
		added := appliancetest.Without(before, log(c))
		delete(added, "access.audit")
		if c.adds != "" && len(added) != 0 || c.adds == "" && len(added) != 1 {
			t.Errorf("%s: a repeated call added %v", name, added)
		}
		if c.other != nil {
			do(name, c, c.other).Want(t, 422).Refused(t, "idempotency-key-reused")
		}
	}
	// The key is of the request, whatever its route.
	op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil, "Idempotency-Key: key of createSession").Refused(t, "idempotency-key-reused")
	n.Restart(t, nil)
	for name, c := range calls {
		compare("after a restart", name, do(name, c, c.body))
	}
	// Another credential's key is another key.
	second := home.NewKey(t, access.Operator)
	if a := second.Do(t, "POST", "/v1/sessions", calls["createSession"].body, "Idempotency-Key: key of createSession").Want(t, 201); string(a.Body) == first["createSession"] {
		t.Error("two credentials share a key")
	}
	// After a day a key is forgotten, with the first tick of the log's time.
	n.Clock.Advance(25 * time.Hour)
	n.Restart(t, nil)
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if a := do("createSession", calls["createSession"], calls["createSession"].body); string(a.Body) != first["createSession"] {
			break
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("the key is still known after a day")
		}
	}
}

func TestBadKeys(t *testing.T) {
	_, op := operator(t)
	for _, key := range []string{"", strings.Repeat("k", 256)} {
		op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("")), "Idempotency-Key: "+key).Refused(t, "bad-value")
	}
	op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("")), "Idempotency-Key: a", "Idempotency-Key: b").Refused(t, "bad-value")
	if n := sessions(t, op); n != 0 {
		t.Errorf("%d sessions were made", n)
	}
}

// at once sends a request from many connections' worth of goroutines.
func atOnce(t *testing.T, many int, c *appliancetest.Client, path string, body *appliancetest.Body, headers ...string) []*appliancetest.Answer {
	t.Helper()
	all := make([]*appliancetest.Answer, many)
	var wait sync.WaitGroup
	for i := range many {
		r := c.Request(t, "POST", path, body, headers...)
		wait.Go(func() {
			a, err := c.Send(r)
			if err != nil {
				t.Error(err)
				a = &appliancetest.Answer{}
			}
			all[i] = a
		})
	}
	wait.Wait()
	return all
}

func TestTheSameAtOnce(t *testing.T) {
	_, home := tenant(t)
	op := home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	filled := op.Filled(t)
	made := map[string]int{"session.create": 1, "client.create": 1, "session.submit": 1}
	for _, c := range []struct {
		c    *appliancetest.Client
		path string
		body *appliancetest.Body
		adds string
		many int
	}{
		{op, "/v1/sessions", appliancetest.JSON(appliancetest.Request("")), "session.create", 64},
		{home.Admin, "/v1/clients", appliancetest.JSON(`{"name":"x","roles":["operator"]}`), "client.create", 64},
		{op, "/v1/sessions/" + filled + "/submit?wait=30s", nil, "session.submit", 64},
		{op, "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie), "session.submit", 8},
	} {
		before := appliancetest.Counts(home.Leaves(t))
		all := atOnce(t, c.many, c.c, c.path, c.body, "Idempotency-Key: at once "+c.path)
		text := func(a *appliancetest.Answer) string {
			if c.adds != "session.submit" || a.Status >= 300 {
				return string(a.Body)
			}
			return withoutHead(t, a.Body)
		}
		for _, a := range all {
			if a.Status >= 300 || text(a) != text(all[0]) {
				t.Fatalf("%s: %d %s, another %s", c.path, a.Status, a.Body, all[0].Body)
			}
		}
		added := appliancetest.Without(before, appliancetest.Counts(home.Leaves(t)))
		if added[c.adds] != made[c.adds] || added["decision.make"] > 1 || added["session.evidence.add"] > 2 {
			t.Errorf("%s: %d calls added %v", c.path, c.many, added)
		}
	}
}

// A verification that was cut off is gone on with.
func TestVerificationCutOff(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	form := appliancetest.VerificationForm(t, p.Document, p.Selfie)
	half := bytes.Index(form.Bytes, []byte(`name="selfie"`)) + 1000
	before := sessions(t, op)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, feed := io.Pipe()
	r := op.Request(t, "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: cut off").WithContext(ctx)
	r.Body, r.ContentLength = body, int64(len(form.Bytes))
	ended := make(chan error, 1)
	go func() { _, err := op.Send(r); ended <- err }()
	if _, err := feed.Write(form.Bytes[:half]); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		a := op.Do(t, "GET", "/v1/sessions", nil).Want(t, 200)
		if strings.Contains(string(a.Body), `"document_front"`) {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("the first picture is not there: %s", a.Body)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	a := op.Do(t, "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: cut off").Want(t, 200)
	if a.Text(t, "state") != "approved" || a.Text(t, "attempt") != "1" {
		t.Errorf("%s", a.Body)
	}
	if n := sessions(t, op); n != before+1 {
		t.Errorf("%d sessions", n-before)
	}
	again := op.Do(t, "POST", "/v1/verifications?wait=30s", form, "Idempotency-Key: cut off").Want(t, 200)
	if withoutHead(t, again.Body) != withoutHead(t, a.Body) {
		t.Errorf("%s, then %s", a.Body, again.Body)
	}
	for _, other := range []*appliancetest.Body{appliancetest.VerificationForm(t, p.Document, p.Stranger), appliancetest.VerificationForm(t, p.Selfie, p.Selfie)} {
		op.Do(t, "POST", "/v1/verifications?wait=30s", other, "Idempotency-Key: cut off").Want(t, 422).Refused(t, "idempotency-key-reused")
	}
	counts := appliancetest.Counts(home.Leaves(t))
	want := map[string]int{"session.create": 1, "consent.record": 1, "session.evidence.add": 2, "session.submit": 1, "document.process": 1, "face.process": 1, "liveness.process": 1, "decision.make": 1}
	for action, n := range want {
		if counts[action] != n {
			t.Errorf("%s %d times, want %d: %v", action, counts[action], n, counts)
		}
	}
}

// sessions counts those of the caller's tenant.
func sessions(t *testing.T, c *appliancetest.Client) int {
	t.Helper()
	var page struct {
		Sessions []any
		Next     string
	}
	c.Do(t, "GET", "/v1/sessions?limit=200", nil).Want(t, 200).JSON(t, &page)
	return len(page.Sessions)
}
