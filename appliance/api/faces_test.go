package api_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"strconv"
	"strings"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// found is the answer to a search, of one list.
type found struct {
	Outcome     string
	Compared    int
	OtherModels int `json:"other_models"`
	Engine      string
	Recall      *float64
	Threshold   float64
	FMR         float64 `json:"threshold_fmr"`
	FPIR        float64
	Candidates  []struct {
		Session, Entry, Subject string
		Similarity, FMR, FPIR   float64
	}
}

type foundFaces struct {
	Model               string
	Subjects, Blocklist *found
}

// enrolledAs verifies a person under a reference.
func enrolledAs(t *testing.T, c *appliancetest.Client, reference string, selfie []byte) *appliancetest.Answer {
	t.Helper()
	return c.Do(t, "POST", "/v1/verifications?wait=30s", appliancetest.VerificationFormOf(t, reference, appliancetest.Evidence(t).Document, selfie)).Want(t, 200)
}

// blankPicture shows nobody.
func blankPicture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fieldsOf a form: pairs of name and text; the picture of a face is added where
// there is one.
func fieldsOf(t *testing.T, face []byte, pairs ...string) *appliancetest.Body {
	t.Helper()
	var parts []appliancetest.Part
	if face != nil {
		parts = append(parts, appliancetest.Part{Name: "face", Kind: "image/jpeg", Bytes: face})
	}
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, appliancetest.Part{Name: pairs[i], Bytes: []byte(pairs[i+1])})
	}
	return appliancetest.Form(t, parts...)
}

// search as somebody who may.
func search(t *testing.T, c *appliancetest.Client, face []byte, pairs ...string) (f foundFaces) {
	t.Helper()
	c.Do(t, "POST", "/v1/faces/search", fieldsOf(t, face, pairs...), purpose).Want(t, 200).JSON(t, &f)
	return f
}

func TestSearchFaces(t *testing.T) {
	_, home := tenant(t)
	op, looks := home.Key(t, access.Operator), home.Key(t, access.Reviewer)
	p := appliancetest.Evidence(t)
	if f := search(t, looks, p.Selfie); f.Subjects.Outcome != "unknown" || f.Subjects.Compared != 0 || f.Subjects.Candidates == nil || f.Blocklist.Compared != 0 {
		t.Errorf("among nobody: %+v %+v", f.Subjects, f.Blocklist)
	}
	made := enrolledAs(t, op, "customer 1", p.Selfie)
	id, subject := made.Text(t, "id"), made.Text(t, "subject")

	f := search(t, looks, p.Selfie)
	if f.Subjects.Outcome != "found" || f.Subjects.Compared != 1 || f.Subjects.Engine != "exact" || f.Subjects.Recall != nil || f.Subjects.FPIR != 0.01 || f.Model == "" {
		t.Fatalf("%s %+v", f.Model, f.Subjects)
	}
	if c := f.Subjects.Candidates; len(c) != 1 || c[0].Session != id || c[0].Entry != "" || c[0].Subject != subject || c[0].Similarity < 0.999 || c[0].Similarity < f.Subjects.Threshold || c[0].FPIR > 0.01 {
		t.Errorf("%+v", c)
	}
	if f.Blocklist.Outcome != "unknown" || len(f.Blocklist.Candidates) != 0 {
		t.Errorf("%+v", f.Blocklist)
	}
	// Who is below the threshold is nobody, however many candidates are asked for.
	if f := search(t, looks, p.Stranger, "k", "100", "fpir", "0.5"); f.Subjects.Outcome != "unknown" || len(f.Subjects.Candidates) != 0 || f.Subjects.Compared != 1 {
		t.Errorf("a stranger: %+v", f.Subjects)
	}
	if strict := search(t, looks, p.Selfie, "fpir", "0.000001"); strict.Subjects.Threshold <= f.Subjects.Threshold || strict.Subjects.FPIR != 0.000001 || strict.Subjects.FMR >= f.Subjects.FMR {
		t.Errorf("%+v is no stricter than %+v", strict.Subjects, f.Subjects)
	}
	if f := search(t, looks, p.Selfie, "list", "blocklist", "k", "1"); f.Subjects != nil || f.Blocklist == nil {
		t.Errorf("%+v", f)
	}
	if f := search(t, looks, p.Selfie, "list", "subjects"); f.Subjects == nil || f.Blocklist != nil {
		t.Errorf("%+v", f)
	}

	// A session finds the person under another name, and not under its own.
	if f := search(t, looks, nil, "session", id); f.Subjects.Compared != 1 || len(f.Subjects.Candidates) != 0 {
		t.Errorf("its own face: %+v", f.Subjects)
	}
	other := enrolledAs(t, op, "customer 2", p.Selfie).Text(t, "id")
	if f := search(t, looks, nil, "session", id); len(f.Subjects.Candidates) != 1 || f.Subjects.Candidates[0].Session != other || f.Subjects.Outcome != "found" {
		t.Errorf("another name: %+v", f.Subjects)
	}
	if f := search(t, looks, p.Selfie, "k", "1"); f.Subjects.Compared != 2 || len(f.Subjects.Candidates) != 1 {
		t.Errorf("k is 1: %+v", f.Subjects)
	}
	// Another tenant has nobody of these.
	_, neighbour := tenant(t)
	stranger := neighbour.Key(t, access.Reviewer)
	if f := search(t, stranger, p.Selfie); f.Subjects.Compared != 0 || f.Subjects.Outcome != "unknown" {
		t.Errorf("in another tenant: %+v", f.Subjects)
	}
	stranger.Do(t, "POST", "/v1/faces/search", fieldsOf(t, nil, "session", id), purpose).Refused(t, "not-found")

	// The person who was erased is in no search.
	compliance := home.Key(t, access.Compliance)
	compliance.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=legal", nil).Want(t, 200)
	if f := search(t, looks, p.Selfie); f.Subjects.Compared != 1 || len(f.Subjects.Candidates) != 1 || f.Subjects.Candidates[0].Session != other {
		t.Errorf("after an erasure: %+v", f.Subjects)
	}
	looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, nil, "session", id), purpose).Refused(t, "subject-erased")
}

// The search is in the log when its answer is there, with what was compared;
// the reading of a template too.
func TestSearchIsLogged(t *testing.T) {
	_, home := tenant(t)
	looks := home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	made := enrolledAs(t, home.Key(t, access.Operator), "", p.Selfie)
	id, subject := made.Text(t, "id"), made.Text(t, "subject")
	looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Selfie, "list", "subjects"), purpose, "X-Request-Id: picture").Want(t, 200)
	looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, nil, "session", id), purpose, "X-Request-Id: session").Want(t, 200)
	seen := map[string]int{}
	for _, l := range home.Leaves(t) {
		if l.Req.RequestID != "picture" && l.Req.RequestID != "session" {
			continue
		}
		seen[l.Req.RequestID+" "+l.Action]++
		if l.Reason != "review" || l.Actor["id"] != looks.ID || l.Result != "ok" {
			t.Errorf("%+v", l)
		}
		switch l.Req.RequestID + " " + l.Action {
		case "picture face.search":
			if text, _ := l.Data["subjects"].(string); !strings.HasPrefix(text, "compared 1 threshold ") || !strings.HasSuffix(text, "engine exact found 1") || l.Data["blocklist"] != nil || l.Data["probe"] != "picture" || l.Subject != "" {
				t.Errorf("%+v", l)
			}
		case "session face.search":
			if text, _ := l.Data["subjects"].(string); !strings.HasSuffix(text, "found 0") || l.Data["blocklist"] == nil || l.Data["probe"] != id || l.Subject != subject {
				t.Errorf("%+v", l)
			}
		case "session access.template":
			if l.Subject != subject || l.Object["id"] != id {
				t.Errorf("%+v", l)
			}
		}
	}
	if len(seen) != 3 || seen["picture face.search"] != 1 || seen["session face.search"] != 1 || seen["session access.template"] != 1 {
		t.Errorf("%v", seen)
	}
}

func TestSearchRefuses(t *testing.T) {
	_, home := tenant(t)
	op, looks := home.Key(t, access.Operator), home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	open := op.Create(t)
	before := appliancetest.Counts(home.Leaves(t))
	for _, c := range []struct {
		name, kind string
		body       *appliancetest.Body
	}{
		{"neither", "bad-value", fieldsOf(t, nil)},
		{"both", "bad-value", fieldsOf(t, p.Selfie, "session", open)},
		{"no picture", "not-a-picture", fieldsOf(t, []byte("x"))},
		{"an empty picture", "bad-value", fieldsOf(t, []byte{})},
		{"an empty session", "bad-value", fieldsOf(t, nil, "session", "")},
		{"no face", "not-a-picture", fieldsOf(t, blankPicture(t))},
		{"no session", "not-found", fieldsOf(t, nil, "session", appliancetest.Nothing()["session"])},
		{"no id", "not-found", fieldsOf(t, nil, "session", "../clients")},
		{"a long id", "too-large", fieldsOf(t, nil, "session", strings.Repeat("x", 65))},
		{"not decided", "not-found", fieldsOf(t, nil, "session", open)},
		{"k 0", "bad-value", fieldsOf(t, p.Selfie, "k", "0")},
		{"k 101", "bad-value", fieldsOf(t, p.Selfie, "k", "101")},
		{"k is a word", "bad-value", fieldsOf(t, p.Selfie, "k", "all")},
		{"k is empty", "bad-value", fieldsOf(t, p.Selfie, "k", "")},
		{"fpir 0", "bad-value", fieldsOf(t, p.Selfie, "fpir", "0")},
		{"fpir 0.6", "bad-value", fieldsOf(t, p.Selfie, "fpir", "0.6")},
		{"fpir NaN", "bad-value", fieldsOf(t, p.Selfie, "fpir", "NaN")},
		{"fpir is a word", "bad-value", fieldsOf(t, p.Selfie, "fpir", "low")},
		{"another list", "bad-value", fieldsOf(t, p.Selfie, "list", "staff")},
		{"another engine", "bad-value", fieldsOf(t, p.Selfie, "engine", "gpu")},
		{"another part", "unknown-member", fieldsOf(t, p.Selfie, "tenant", "x")},
		{"a part twice", "malformed", fieldsOf(t, p.Selfie, "k", "1", "k", "1")},
		{"no form", "media-type", appliancetest.JSON("{}")},
		{"no graph", "no-graph", fieldsOf(t, p.Selfie, "engine", "graph")},
	} {
		if c.name == "no graph" {
			enrolledAs(t, op, "", p.Selfie)
			before = appliancetest.Counts(home.Leaves(t))
		}
		if a := looks.Do(t, "POST", "/v1/faces/search", c.body, purpose); a.Problem(t) != c.kind {
			t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Body, c.kind)
		}
	}
	for _, bad := range []string{"X: y", "Purpose: ", "Purpose: curiosity"} {
		looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Selfie), bad).Refused(t, "bad-value")
	}
	op.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Selfie), purpose).Refused(t, "forbidden")
	added := appliancetest.Without(before, appliancetest.Counts(home.Leaves(t)))
	if added["face.search"]+added["access.template"] != 0 {
		t.Errorf("what was refused is in the log: %v", added)
	}
}

// The same key again is the same search, again in the log; another search with
// it is none.
func TestSearchAgain(t *testing.T) {
	_, home := tenant(t)
	looks := home.Key(t, access.Reviewer)
	p := appliancetest.Evidence(t)
	for range 2 {
		looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Selfie, "k", "3"), purpose, "Idempotency-Key: search").Want(t, 200)
	}
	looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Selfie, "k", "4"), purpose, "Idempotency-Key: search").Refused(t, "idempotency-key-reused")
	if n := appliancetest.Counts(home.Leaves(t))["face.search"]; n != 2 {
		t.Errorf("%d times in the log", n)
	}
}

// The result has whom the face was like when it was decided: for who may search
// faces, and as long as they are there.
func TestResultHasTheLikeness(t *testing.T) {
	_, home := tenant(t)
	op := home.Key(t, access.Operator)
	p := appliancetest.Evidence(t)
	first := enrolledAs(t, op, "customer 1", p.Selfie).Text(t, "id")
	second := enrolledAs(t, op, "customer 2", p.Selfie).Text(t, "id")
	looks := home.Key(t, access.Reviewer)
	for id, want := range map[string]int{first: 0, second: 1} {
		var branch struct{ Likeness *foundFaces }
		op.Do(t, "GET", "/v1/sessions/"+id+"/result", nil, purpose).Want(t, 200).JSON(t, &branch)
		if branch.Likeness != nil {
			t.Errorf("a branch is told whom the face is like: %+v", branch.Likeness)
		}
		var r struct{ Likeness foundFaces }
		looks.Do(t, "GET", "/v1/sessions/"+id+"/result", nil, purpose).Want(t, 200).JSON(t, &r)
		l := r.Likeness.Subjects
		if l == nil || l.Compared != want || len(l.Candidates) != want || (l.Outcome == "found") != (want == 1) || r.Likeness.Blocklist == nil || l.FPIR != 0.01 {
			t.Errorf("%d: %+v", want, r.Likeness)
		} else if want == 1 && l.Candidates[0].Session != first {
			t.Errorf("%+v", l.Candidates)
		}
	}
	var gone struct{ Subject string }
	op.Do(t, "GET", "/v1/sessions/"+first, nil).Want(t, 200).JSON(t, &gone)
	home.Key(t, access.Compliance).Do(t, "DELETE", "/v1/subjects/"+gone.Subject+"?reason=legal", nil).Want(t, 200)
	var r struct{ Likeness foundFaces }
	looks.Do(t, "GET", "/v1/sessions/"+second+"/result", nil, purpose).Want(t, 200).JSON(t, &r)
	if l := r.Likeness.Subjects; l == nil || len(l.Candidates) != 0 {
		t.Errorf("an erased person is still shown: %+v", l)
	}
}

// The search's limits in the description are those of the program.
func TestSearchLimits(t *testing.T) {
	_, home := tenant(t)
	looks := home.Key(t, access.Reviewer)
	p := appliancetest.Evidence(t)
	form := appliancetest.Description(t).Components.Schemas["SearchForm"].Value.Properties
	k, fpir := form["k"].Value, form["fpir"].Value
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"k", number(*k.Min), 200}, {"k", number(*k.Min - 1), 400}, {"k", number(*k.Max), 200}, {"k", number(*k.Max + 1), 400},
		{"fpir", number(*fpir.Max), 200}, {"fpir", number(*fpir.Max + 0.001), 400}, {"fpir", number(*fpir.Min), 400}, {"fpir", "1e-300", 200},
	} {
		looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Stranger, c.name, c.value), purpose).Want(t, c.status)
	}
	for _, name := range []string{"list", "engine"} {
		for _, v := range form[name].Value.Enum {
			if v != "graph" {
				looks.Do(t, "POST", "/v1/faces/search", fieldsOf(t, p.Stranger, name, v.(string)), purpose).Want(t, 200)
			}
		}
	}
}
