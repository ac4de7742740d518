package api_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// Personal data leave with a purpose alone, and only once that is in the log.
func TestReadingIsLoggedFirst(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	form := appliancetest.Form(t, appliancetest.Part{Name: "session", Kind: "application/json", Bytes: []byte(appliancetest.Request("customer 2"))},
		appliancetest.Part{Name: "document_front", Kind: "image/jpeg", Bytes: p.Document}, appliancetest.Part{Name: "selfie", Kind: "image/jpeg", Bytes: p.Selfie})
	s := op.Do(t, "POST", "/v1/verifications?wait=30s", form).Want(t, 200)
	id, subject := s.Text(t, "id"), s.Text(t, "subject")
	looks := home.Key(t, access.Compliance)
	for path, action := range map[string]string{
		"/v1/sessions/" + id + "/evidence/selfie": "access.evidence",
		"/v1/sessions/" + id + "/result":          "access.result",
		"/v1/subjects/" + subject:                 "access.subject",
	} {
		for _, bad := range []string{"X: y", "Purpose: ", "Purpose: curiosity", "Purpose: Review"} {
			looks.Do(t, "GET", path, nil, bad).Refused(t, "bad-value")
		}
		looks.Do(t, "GET", path, nil, purpose, purpose).Refused(t, "bad-value")
		before := appliancetest.Counts(home.Leaves(t))[action]
		if before != 0 {
			t.Errorf("%s is in the log for what was refused", action)
		}
		r := looks.Request(t, "GET", path, nil, purpose, "X-Request-Id: look-"+action)
		res, err := shared.Node(t).Dial(t, nil).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		// The answer's head is here, its body is not yet read.
		found := 0
		for _, l := range home.Leaves(t) {
			if l.Action == action && l.Reason == "review" && l.Actor["id"] == looks.ID && l.Req.RequestID == "look-"+action && l.Subject == subject {
				found++
			}
		}
		res.Body.Close()
		if found != 1 || res.StatusCode != 200 {
			t.Errorf("%s: %d times in the log, %s", action, found, res.Status)
		}
	}
	if a := looks.Do(t, "GET", "/v1/subjects/"+subject, nil, purpose).Want(t, 200); a.Text(t, "subject_ref") != "customer 2" || !strings.Contains(string(a.Body), id) {
		t.Errorf("%s", a.Body)
	}
	a := looks.Do(t, "GET", "/v1/sessions/"+id+"/result", nil, purpose).Want(t, 200)
	if a.Text(t, "document.mrz.fields.issuer") != "UTO" || a.Text(t, "face") == "" {
		t.Errorf("%s", a.Body)
	}
	surname := a.Text(t, "document.mrz.fields.surname")
	if surname == "" {
		t.Fatalf("no surname: %s", a.Body)
	}
	log := home.Key(t, access.Auditor).Do(t, "GET", "/v1/audit/events?limit=200", nil).Want(t, 200)
	for _, private := range []string{surname, "customer 2", a.Text(t, "document.mrz.fields.number")} {
		if strings.Contains(string(log.Body), private) || strings.Contains(shared.Node(t).Log(), private) {
			t.Errorf("a log shows %q", private)
		}
	}
	for _, l := range home.Leaves(t) {
		if l.Action == "document.process" && l.PII["surname"] == "" {
			t.Errorf("no commitment to the surname: %+v", l)
		}
	}
}

func blobs(t *testing.T) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(shared.Node(t).Data, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestErase(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	before := blobs(t)
	s := op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie), "Idempotency-Key: erased").Want(t, 200)
	id, subject := s.Text(t, "id"), s.Text(t, "subject")
	if n := blobs(t); n != before+2 {
		t.Errorf("%d blobs, %d before", n, before)
	}
	looks := home.Key(t, access.Compliance)
	for _, bad := range []string{"", "?reason=", "?reason=because", "?reason=legal&reason=error", "?reason=legal&now=1"} {
		looks.Do(t, "DELETE", "/v1/subjects/"+subject+bad, nil).Refused(t, map[bool]string{true: "unknown-member", false: "bad-value"}[strings.Contains(bad, "now")])
	}
	a := looks.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=subject_request", nil).Want(t, 200)
	if a.Text(t, "evidence_removed") != "2" || a.Text(t, "erased_at") == "" || a.Text(t, "pending") == "" {
		t.Errorf("%s", a.Body)
	}
	if n := blobs(t); n != before {
		t.Errorf("%d blobs are left of %d", n-before, 2)
	}
	for _, path := range []string{"/v1/sessions/" + id + "/result", "/v1/sessions/" + id + "/evidence/selfie", "/v1/sessions/" + id + "/evidence/document_back"} {
		looks.Do(t, "GET", path, nil, purpose).Want(t, 410).Refused(t, "subject-erased")
	}
	op.Put(t, id, "selfie", p.Selfie).Want(t, 410)
	op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 410)
	op.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationForm(t, p.Document, p.Selfie), "Idempotency-Key: erased").Want(t, 410)
	looks.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=subject_request", nil).Want(t, 410)
	if a := looks.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200); a.Text(t, "state") != "erased" || a.Text(t, "decision") != "" || a.Text(t, "evidence") != "[]" {
		t.Errorf("%s", a.Body)
	}
	if a := looks.Do(t, "GET", "/v1/subjects/"+subject, nil, purpose).Want(t, 200); a.Text(t, "erased_at") == "" || a.Text(t, "subject_ref") != "" {
		t.Errorf("%s", a.Body)
	}
	states := events(t, op, "/v1/sessions/"+id, func() {})
	if len(states) != 1 || states[0] != "erased" {
		t.Errorf("events %v", states)
	}
	verifies(t, home)
}

// The bank's own name for a person finds the person again, until erased.
func TestReference(t *testing.T) {
	home, op := operator(t)
	create := func() string {
		return op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 3"))).Want(t, 201).Text(t, "subject")
	}
	first := create()
	if again := create(); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	home.Key(t, access.Compliance).Do(t, "DELETE", "/v1/subjects/"+first+"?reason=legal", nil).Want(t, 200)
	if again := create(); again == first {
		t.Error("an erased person was found again")
	}
}
