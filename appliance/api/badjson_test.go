package api_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/appliance/appliancetest"
)

const consent = `"consent":{"text_version":"1","given_at":"2025-01-24T09:00:00Z","channel":"branch"}`

func TestBadJSON(t *testing.T) {
	home, op := operator(t)
	before := len(home.Leaves(t))
	good := appliancetest.Request("")
	for _, c := range []struct{ name, body, kind, field string }{
		{"empty", ``, "malformed", ""},
		{"spaces", `  `, "malformed", ""},
		{"a word", `hello`, "malformed", ""},
		{"cut off", good[:len(good)-1], "malformed", ""},
		{"trailing comma", strings.Replace(good, `}}`, `},}`, 1), "malformed", ""},
		{"single quotes", strings.ReplaceAll(good, `"`, `'`), "malformed", ""},
		{"comment", `{/**/` + good[1:], "malformed", ""},
		{"trailing text", good + `x`, "malformed", ""},
		{"trailing value", good + `{}`, "malformed", ""},
		{"trailing bracket", good + `}`, "malformed", ""},
		{"a byte order mark", "\ufeff" + good, "malformed", ""},
		{"NUL", good + "\x00", "malformed", ""},
		{"UTF-16", "\xff\xfe{\x00}\x00", "malformed", ""},
		{"not UTF-8", strings.Replace(good, `{`, "{\"subject_ref\":\"\xff\",", 1), "malformed", ""},
		{"a list", `[` + good + `]`, "bad-value", ""},
		{"a text", `"x"`, "bad-value", ""},
		{"a number", `1`, "bad-value", ""},
		{"null", `null`, "bad-value", ""},
		{"nothing in it", `{}`, "bad-value", "consent"},
		{"unknown member", `{"kind":"identity","admin":true,` + consent + `}`, "unknown-member", "admin"},
		{"unknown member below", strings.Replace(good, `"channel"`, `"x":1,"channel"`, 1), "unknown-member", "consent.x"},
		{"a tenant", `{"kind":"identity","tenant":"ten_1",` + consent + `}`, "unknown-member", "tenant"},
		{"wrong case", strings.Replace(good, `"kind"`, `"Kind"`, 1), "unknown-member", "Kind"},
		{"wrong case below", strings.Replace(good, `"channel"`, `"CHANNEL"`, 1), "unknown-member", "consent.CHANNEL"},
		{"twice", `{"kind":"identity","kind":"identity",` + consent + `}`, "malformed", "kind"},
		{"twice, escaped", `{"kind":"identity","k\u0069nd":"identity",` + consent + `}`, "malformed", "kind"},
		{"twice below", strings.Replace(good, `"channel"`, `"text_version":"1","channel"`, 1), "malformed", "consent.text_version"},
		{"null member", `{"kind":null,` + consent + `}`, "bad-value", "kind"},
		{"null optional member", `{"kind":"identity","subject_ref":null,` + consent + `}`, "bad-value", "subject_ref"},
		{"null object", `{"kind":"identity","consent":null}`, "bad-value", "consent"},
		{"missing", `{` + consent + `}`, "bad-value", "kind"},
		{"missing below", strings.Replace(good, `,"channel":"branch"`, ``, 1), "bad-value", "consent.channel"},
		{"a number for a text", `{"kind":1,` + consent + `}`, "bad-value", "kind"},
		{"a text for an object", `{"kind":"identity","consent":"yes"}`, "bad-value", "consent"},
		{"a list for an object", `{"kind":"identity","consent":[]}`, "bad-value", "consent"},
		{"an object for a text", `{"kind":{"a":1},` + consent + `}`, "bad-value", "kind"},
		{"an object for a time", strings.Replace(good, `"2025-01-24T09:00:00Z"`, `{"":1}`, 1), "bad-value", ""},
		{"other kind", strings.Replace(good, `identity`, `Identity`, 1), "bad-value", "kind"},
		{"other channel", strings.Replace(good, `branch`, `fax`, 1), "bad-value", "consent.channel"},
		{"other priority", strings.Replace(good, `{`, `{"priority":"first",`, 1), "bad-value", "priority"},
		{"no time", strings.Replace(good, `2025-01-24T09:00:00Z`, `yesterday`, 1), "bad-value", ""},
		{"a time without zone", strings.Replace(good, `09:00:00Z`, `09:00:00`, 1), "bad-value", ""},
		{"the future", strings.Replace(good, `2025`, `2225`, 1), "bad-value", "consent.given_at"},
		{"the past", strings.Replace(good, `2025`, `1025`, 1), "bad-value", "consent.given_at"},
		{"a text version with a path", strings.Replace(good, `2026-03`, `../../x`, 1), "bad-value", "consent.text_version"},
		{"an empty reference", strings.Replace(good, `{`, `{"subject_ref":"",`, 1), "bad-value", "subject_ref"},
		{"a long reference", strings.Replace(good, `{`, `{"subject_ref":"`+strings.Repeat("x", 257)+`",`, 1), "bad-value", "subject_ref"},
		{"deep", strings.Repeat(`{"kind":`, 1000) + `1` + strings.Repeat(`}`, 1000), "malformed", ""},
		{"deep lists", `{"kind":` + strings.Repeat(`[`, 30000) + strings.Repeat(`]`, 30000) + `}`, "malformed", ""},
		{"large", `{"kind":"` + strings.Repeat("x", 64<<10) + `"}`, "too-large", ""},
		{"large, of spaces", good + strings.Repeat(" ", 64<<10), "too-large", ""},
	} {
		a := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(c.body), "Idempotency-Key: "+c.name)
		if got := a.Problem(t); got != c.kind || a.Text(t, "field") != c.field {
			t.Errorf("%s: %d %s of %q, want %s of %q: %s", c.name, a.Status, got, a.Text(t, "field"), c.kind, c.field, a.Body)
		}
		if strings.Contains(string(a.Body), " api.") || strings.Contains(string(a.Body), "json:") {
			t.Errorf("%s: the answer shows the program's insides: %s", c.name, a.Body)
		}
		// The key is not used up by what was refused.
		if c.name == "twice" {
			op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(good), "Idempotency-Key: "+c.name).Want(t, 201)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json-patch+json", "application/", ";"} {
		body := &appliancetest.Body{Kind: kind, Bytes: []byte(good)}
		op.Do(t, "POST", "/v1/sessions", body).Want(t, 415).Refused(t, "media-type")
	}
	op.Do(t, "POST", "/v1/sessions", &appliancetest.Body{Kind: "application/json; charset=utf-8", Bytes: []byte(good)}).Want(t, 201)
	if n := sessions(t, op); n != 2 {
		t.Errorf("%d sessions, 2 were asked for rightly", n)
	}
	for _, l := range home.Leaves(t)[before:] {
		if l.Action != "session.create" && l.Action != "consent.record" && l.Action != "access.audit" && l.Action != "client.create" {
			t.Errorf("a refused request left %s", l.Action)
		}
	}
}

func TestBadAdministration(t *testing.T) {
	n, home := tenant(t)
	list := func() string { return string(home.Admin.Do(t, "GET", "/v1/clients", nil).Want(t, 200).Body) }
	before := list()
	for i, body := range []string{
		`{"name":"","roles":["operator"]}`, `{"name":" ","roles":["operator"]}`, `{"name":"` + strings.Repeat("n", 129) + `","roles":["operator"]}`,
		`{"name":"a\nb","roles":["operator"]}`, `{"name":"a\u0000","roles":["operator"]}`, `{"name":"a\ud800","roles":["operator"]}`,
		`{"name":"x","roles":[]}`, `{"name":"x","roles":["root"]}`, `{"name":"x","roles":"operator"}`, `{"name":"x","roles":[1]}`, `{"name":"x","roles":[null]}`,
		`{"name":"x","roles":["operator"` + strings.Repeat(`,"operator"`, 7) + `]}`,
		`{"name":"x","roles":["operator"],"certificate":""}`, `{"name":"x","roles":["operator"],"certificate":"x"}`,
		`{"name":"x","roles":["operator"],"certificate":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}`,
	} {
		if a := home.Admin.Do(t, "POST", "/v1/clients", appliancetest.JSON(body)); a.Problem(t) != "bad-value" {
			t.Errorf("%d %s: %d %s", i, body, a.Status, a.Body)
		}
	}
	if after := list(); after != before {
		t.Errorf("clients before %s, after %s", before, after)
	}
	admin := n.Home.Admin
	slots := func() string { return string(admin.Do(t, "GET", "/v1/seal", nil).Want(t, 200).Body) }
	before = slots()
	for _, c := range []struct{ path, body, kind string }{
		{"/v1/seal/slots", `{"kind":"tpm2"}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir"}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":1,"shares":3}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":3,"shares":2}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":2,"shares":17}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":2.5,"shares":3}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":2,"shares":99999999999999999999}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"shamir","threshold":2,"shares":3,"passphrase":"correct horse battery"}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"passphrase","passphrase":"short"}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"file","path":"relative"}`, "bad-value"},
		{"/v1/seal/slots", `{"kind":"file","path":"/a\u0000b"}`, "bad-value"},
		{"/v1/seal/open", `{}`, "bad-value"},
		{"/v1/seal/open", `{"file":false}`, "bad-value"},
		{"/v1/seal/open", `{"file":true,"share":"x"}`, "bad-value"},
		{"/v1/seal/open", `{"passphrase":""}`, "bad-value"},
		{"/v1/seal/open", `{"share":"` + strings.Repeat("s", 513) + `"}`, "bad-value"},
	} {
		if a := admin.Do(t, "POST", c.path, appliancetest.JSON(c.body)); a.Problem(t) != c.kind {
			t.Errorf("%s %s: %d %s", c.path, c.body, a.Status, a.Body)
		}
	}
	admin.Do(t, "DELETE", "/v1/seal/slots/nothing", nil).Refused(t, "not-found")
	if after := slots(); after != before {
		t.Errorf("slots before %s, after %s", before, after)
	}
	for _, code := range []string{"", "x", strings.Repeat("A", 64)} {
		body := fmt.Sprintf(`{"code":%q,"organisation":"x","name":"x"}`, code)
		if a := n.Nobody().Do(t, "POST", "/v1/setup", appliancetest.JSON(body)); a.Problem(t) != "set-up-already" {
			t.Errorf("setup with %q: %d %s", code, a.Status, a.Body)
		}
	}
}
