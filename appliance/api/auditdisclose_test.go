package api_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/store/audit/bundle"
)

func newSecret(t *testing.T) *bundle.Secret {
	t.Helper()
	s, err := bundle.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the document said opens to whom it was disclosed, and to nobody else;
// once a person was erased, to nobody any more. The bundles verify all the same.
func TestDisclosures(t *testing.T) {
	n, home, people := worked(t)
	looks, c := home.Key(t, access.Compliance), home.Key(t, access.Auditor)
	block(t, looks, appliancetest.Evidence(t).Stranger)
	decided := query{"reference": "customer 1", "action": "decision.make"}.find(t, c)
	result := looks.Do(t, "GET", "/v1/sessions/"+decided.Events[0].session()+"/result", nil, purpose).Want(t, 200)
	said := map[string]string{}
	for _, field := range []string{"surname", "given_names", "number", "issuer", "nationality", "sex"} {
		if said[field] = result.Text(t, "document.mrz.fields."+field); said[field] == "" {
			t.Fatalf("no %s: %s", field, result.Body)
		}
	}
	a := newAuditor(t, c)
	a.secret = newSecret(t)
	key := a.secret.Recipient().String()
	b := part{"recipient": key}.export(t, looks, "Purpose: audit", "X-Request-Id: disclosed")
	v := a.accepts(t, b, bundle.Options{})
	for field, value := range said {
		if got := a.opened[field]; !slices.Equal(got, []string{value}) {
			t.Errorf("%s is %q, the document has %q", field, got, value)
		}
	}
	if !slices.Equal(a.opened["reason"], []string{why}) || v.Disclosed < len(said)+1 || v.Erasures != 0 {
		t.Errorf("%v, %+v", a.opened, v)
	}
	for name, content := range members(t, b) {
		for _, private := range []string{said["surname"], said["number"], why, "customer 1"} {
			if strings.Contains(content, private) {
				t.Errorf("%s shows %q", name, private)
			}
		}
	}
	if v := newAuditor(t, c).accepts(t, b, bundle.Options{}); v.Disclosed != 0 {
		t.Errorf("without the secret: %+v", v)
	}
	other := newAuditor(t, c)
	other.secret = newSecret(t)
	other.refuses(t, b, bundle.CodeDisclosure, bundle.Options{})
	if len(other.opened) > 0 {
		t.Errorf("another secret opens %v", other.opened)
	}
	sum := sha256.Sum256([]byte(key))
	found := 0
	for _, l := range home.Leaves(t) {
		if l.Req.RequestID == "disclosed" {
			if found++; l.Action != "audit.export" || l.Reason != "audit" || l.Data["disclosures"] != "true" || l.Data["recipient"] != hex.EncodeToString(sum[:]) {
				t.Errorf("%+v", l)
			}
		}
	}
	if found != 1 || strings.Contains(n.Log(), said["surname"]) {
		t.Errorf("the disclosure is %d times in the log", found)
	}

	looks.Do(t, "DELETE", "/v1/subjects/"+people["customer 1"]+"?reason=subject_request", nil).Want(t, 200)
	since := part{"from": v.To, "recipient": key}.export(t, looks, "Purpose: audit")
	if v := a.accepts(t, since, bundle.Options{}); v.Erasures != 1 || v.Disclosed != 0 {
		t.Errorf("after the erasure: %+v, opened %v", v, a.opened)
	}
	again := newAuditor(t, c)
	again.secret = a.secret
	w := again.accepts(t, part{"recipient": key}.export(t, looks, "Purpose: audit"), bundle.Options{})
	if w.Erasures != 1 || len(again.opened) != 1 || !slices.Equal(again.opened["reason"], []string{why}) {
		t.Errorf("after the erasure %v is opened: %+v", again.opened, w)
	}
	again = newAuditor(t, c)
	again.secret = a.secret
	if again.accepts(t, b, bundle.Options{}); !slices.Equal(again.opened["surname"], []string{said["surname"]}) {
		t.Errorf("the bundle from before opens %v", again.opened)
	}
}

func TestDisclosuresAreRefused(t *testing.T) {
	_, home := tenant(t)
	home.Key(t, access.Operator).Create(t)
	p := part{"recipient": newSecret(t).Recipient().String()}
	looks := home.Key(t, access.Compliance)
	p.send(t, looks).Want(t, 400).Refused(t, "bad-value")
	for _, bad := range []string{"", "curiosity", "Audit"} {
		p.send(t, looks, "Purpose: "+bad).Want(t, 400).Refused(t, "bad-value")
	}
	for _, role := range []access.Role{access.Auditor, access.Reviewer} {
		if a := p.send(t, home.NewKey(t, role, access.Auditor), "Purpose: audit"); a.Problem(t) != "forbidden" {
			t.Errorf("as %s: %d", role, a.Status)
		}
	}
	if _, there := members(t, part{}.export(t, looks, "Purpose: audit"))["disclosures.jsonl"]; there {
		t.Error("disclosed to nobody")
	}
	if got := appliancetest.Counts(home.Leaves(t)); got["audit.export"] != 1 || got["authz.deny"] != 2 {
		t.Errorf("%v", got)
	}
}
