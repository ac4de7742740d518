package api_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

const purpose = "Purpose: review"

func TestLifeOfASession(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	made := op.Do(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer 1"))).Want(t, 201)
	id := made.Text(t, "id")
	path := "/v1/sessions/" + id
	if made.Text(t, "state") != "created" || made.Header.Get("Location") != path || made.Text(t, "priority") != "interactive" || made.Text(t, "decision") != "" {
		t.Errorf("created: %s", made.Body)
	}
	op.Do(t, "POST", path+"/submit", nil).Refused(t, "evidence-missing")
	home.Key(t, access.Reviewer).Do(t, "GET", path+"/evidence/selfie", nil, purpose).Refused(t, "not-found")
	home.Key(t, access.Reviewer).Do(t, "GET", path+"/result", nil, purpose).Refused(t, "not-found")
	e := op.Put(t, id, "document_front", p.Document).Want(t, 200)
	if e.Text(t, "tries") != "1" || e.Text(t, "bytes") != fmt.Sprint(len(p.Document)) || e.Text(t, "media_type") != "image/jpeg" || e.Text(t, "refused") != "" {
		t.Errorf("kept: %s", e.Body)
	}
	a := op.Do(t, "GET", path, nil).Want(t, 200)
	if a.Text(t, "state") != "collecting" {
		t.Errorf("with one picture: %s", a.Body)
	}
	op.Do(t, "POST", path+"/submit", nil).Refused(t, "evidence-missing")
	op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	a = op.Do(t, "POST", path+"/submit?wait=30s", nil).Want(t, 200)
	var s struct {
		State, Subject string
		SubmittedAt    time.Time `json:"submitted_at"`
		FinishedAt     time.Time `json:"finished_at"`
		Attempt        int
		Decision       struct {
			Outcome, Rules string
			Score          *float64
			Reasons        []any
			Signals        []struct {
				Name, Status, Model string
				Threshold, FMR      *float64
			}
			Models  []struct{ Name, SHA256 string }
			Timings map[string]float64 `json:"timings_ms"`
		}
		Audit struct {
			Origin string
			Size   int64
		}
	}
	a.JSON(t, &s)
	if s.State != "approved" || s.Decision.Outcome != "approved" || s.Attempt != 1 || s.SubmittedAt.After(s.FinishedAt) || s.Audit.Size == 0 || !strings.Contains(s.Audit.Origin, home.ID) {
		t.Fatalf("%+v", s)
	}
	if s.Decision.Rules == "" || len(s.Decision.Models) == 0 || len(s.Decision.Models[0].SHA256) != 64 || s.Decision.Score == nil || s.Decision.Timings["total"] <= 0 {
		t.Errorf("the decision does not say by what it was made: %+v", s.Decision)
	}
	if i := slices.IndexFunc(s.Decision.Signals, func(g struct {
		Name, Status, Model string
		Threshold, FMR      *float64
	}) bool {
		return g.Name == "face.match"
	}); i < 0 || s.Decision.Signals[i].FMR == nil || s.Decision.Signals[i].Threshold == nil || s.Decision.Signals[i].Status != "passed" {
		t.Errorf("no match with its false match rate: %+v", s.Decision.Signals)
	}
	for _, private := range []string{"UTO", "customer 1", "surname"} {
		if strings.Contains(string(a.Body), private) {
			t.Errorf("the session shows %q: %s", private, a.Body)
		}
	}
	op.Do(t, "POST", path+"/submit", nil).Refused(t, "session-closed")
	op.Put(t, id, "selfie", p.Stranger).Refused(t, "session-closed")
	counts := appliancetest.Counts(home.Leaves(t))
	for action, n := range map[string]int{"session.create": 1, "consent.record": 1, "session.evidence.add": 2, "session.submit": 1,
		"document.process": 1, "face.process": 1, "liveness.process": 1, "duplicate.search": 1, "decision.make": 1, "template.enrol": 1} {
		if counts[action] != n {
			t.Errorf("%s is %d times in the log, want %d", action, counts[action], n)
		}
	}
}

func TestEvidence(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	id := op.Create(t)
	first := op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	again := op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	if string(first.Body) != string(again.Body) {
		t.Errorf("the same bytes again are another try: %s, %s", first.Body, again.Body)
	}
	for n, picture := range [][]byte{p.Stranger, p.Document} {
		if got := op.Put(t, id, "selfie", picture).Want(t, 200).Text(t, "tries"); got != fmt.Sprint(n+2) {
			t.Errorf("try %s, want %d", got, n+2)
		}
	}
	op.Put(t, id, "selfie", p.Selfie).Refused(t, "tries-used-up")
	op.Put(t, id, "liveness_frame_1", p.Selfie).Want(t, 200)
	op.Put(t, id, "liveness_frame_1", p.Stranger).Want(t, 200)
	op.Put(t, id, "liveness_frame_1", p.Document).Refused(t, "tries-used-up")
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return "Digest: sha-256=" + base64.StdEncoding.EncodeToString(sum[:])
	}
	op.Put(t, id, "document_front", p.Document, digest(p.Selfie)).Refused(t, "digest-mismatch")
	for _, bad := range []string{"Digest: sha-256=", "Digest: md5=AAAA", "Digest: sha-256=AAAA", "Digest: x"} {
		op.Put(t, id, "document_front", p.Document, bad).Refused(t, "bad-value")
	}
	op.Put(t, id, "document_front", p.Document, digest(p.Document)).Want(t, 200)
	kept := home.Key(t, access.Reviewer).Do(t, "GET", "/v1/sessions/"+id+"/evidence/selfie", nil, purpose).Want(t, 200)
	if string(kept.Body) != string(p.Document) || kept.Header.Get("Content-Type") != "image/jpeg" || kept.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d bytes, %v", len(kept.Body), kept.Header)
	}
	var s struct{ Evidence []struct{ Slot string } }
	op.Do(t, "GET", "/v1/sessions/"+id, nil).Want(t, 200).JSON(t, &s)
	if len(s.Evidence) != 3 {
		t.Errorf("%+v", s.Evidence)
	}
	if n := appliancetest.Counts(home.Leaves(t))["session.evidence.add"]; n != 6 {
		t.Errorf("%d pictures in the log, 6 were kept", n)
	}
}

func TestETag(t *testing.T) {
	_, op := operator(t)
	id := op.Create(t)
	path := "/v1/sessions/" + id
	tag := op.Do(t, "GET", path, nil).Want(t, 200).Header.Get("ETag")
	a := op.Do(t, "GET", path, nil, "If-None-Match: "+tag).Want(t, 304)
	if len(a.Body) != 0 || a.Header.Get("ETag") != tag || tag == "" {
		t.Errorf("304 with %q, %q", a.Body, a.Header.Get("ETag"))
	}
	op.Put(t, id, "selfie", appliancetest.Evidence(t).Selfie).Want(t, 200)
	if a := op.Do(t, "GET", path, nil, "If-None-Match: "+tag).Want(t, 200); a.Header.Get("ETag") == tag {
		t.Error("the session changed, its tag did not")
	}
}

func TestWait(t *testing.T) {
	_, op := operator(t)
	id := op.Filled(t)
	path := "/v1/sessions/" + id
	start := time.Now()
	if a := op.Do(t, "GET", path+"?wait=300ms", nil).Want(t, 200); a.Text(t, "state") != "collecting" || time.Since(start) < 300*time.Millisecond {
		t.Errorf("%s after %v", a.Body, time.Since(start))
	}
	if a := op.Do(t, "POST", path+"/submit", nil).Want(t, 202); a.Text(t, "state") != "submitted" && a.Text(t, "state") != "processing" {
		t.Errorf("submitted: %s", a.Body)
	}
	start = time.Now()
	if a := op.Do(t, "GET", path+"?wait=30s", nil).Want(t, 200); a.Text(t, "state") != "approved" || time.Since(start) > 25*time.Second {
		t.Errorf("%s after %v", a.Text(t, "state"), time.Since(start))
	}
}

// events reads a stream to its end, and gives the states that it told.
func events(t *testing.T, op *appliancetest.Client, path string, first func()) []string {
	t.Helper()
	r := op.Request(t, "GET", path+"/events", nil)
	res, err := shared.Node(t).Dial(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	schema := appliancetest.Description(t).Components.Schemas["Session"].Value
	var states []string
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		states = append(states, v["state"].(string))
		if len(states) == 1 {
			first()
		}
	}
	return states
}

func TestEvents(t *testing.T) {
	_, op := operator(t)
	path := "/v1/sessions/" + op.Filled(t)
	states := events(t, op, path, func() { op.Do(t, "POST", path+"/submit", nil).Want(t, 202) })
	if states[0] != "collecting" || states[len(states)-1] != "approved" || !slices.Contains(states, "processing") {
		t.Errorf("told %v", states)
	}
	if states := events(t, op, path, func() {}); !slices.Equal(states, []string{"approved"}) {
		t.Errorf("of a decided session: %v", states)
	}
}

// A picture that cannot be used is given back, and put again.
func TestReturnedEvidence(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	id := op.Create(t)
	path := "/v1/sessions/" + id
	op.Put(t, id, "document_front", p.Document[:len(p.Document)/2]).Want(t, 200)
	op.Put(t, id, "selfie", p.Selfie).Want(t, 200)
	a := op.Do(t, "POST", path+"/submit?wait=30s", nil).Want(t, 200)
	var s struct {
		State, Failure string
		Evidence       []struct{ Slot, Refused string }
	}
	a.JSON(t, &s)
	if s.State != "collecting" || s.Failure != "picture_cut_off:document_front" {
		t.Fatalf("%s", a.Body)
	}
	for _, e := range s.Evidence {
		if (e.Refused != "") != (e.Slot == "document_front") {
			t.Errorf("%+v", e)
		}
	}
	op.Do(t, "POST", path+"/submit", nil).Refused(t, "evidence-missing")
	if got := op.Put(t, id, "document_front", p.Document).Want(t, 200).Text(t, "tries"); got != "2" {
		t.Errorf("try %s", got)
	}
	if a := op.Do(t, "POST", path+"/submit?wait=30s", nil).Want(t, 200); a.Text(t, "state") != "approved" || a.Text(t, "failure") != "" || a.Text(t, "attempt") != "2" {
		t.Errorf("%s", a.Body)
	}
	if appliancetest.Counts(home.Leaves(t))["session.return"] != 1 {
		t.Error("the return is not in the log")
	}
}

func TestBatch(t *testing.T) {
	_, op := operator(t)
	request := strings.Replace(appliancetest.Request(""), `{`, `{"priority":"batch",`, 1)
	p := appliancetest.Evidence(t)
	form := appliancetest.Form(t, appliancetest.Part{Name: "session", Kind: "application/json", Bytes: []byte(request)},
		appliancetest.Part{Name: "document_front", Kind: "image/jpeg", Bytes: p.Document}, appliancetest.Part{Name: "selfie", Kind: "image/jpeg", Bytes: p.Stranger})
	a := op.Do(t, "POST", "/v1/verifications?wait=30s", form).Want(t, 200)
	if a.Text(t, "priority") != "batch" || a.Text(t, "state") != "rejected" {
		t.Errorf("%s", a.Body)
	}
	if strings.Contains(strings.ToLower(a.Text(t, "failure")), "fraud") {
		t.Errorf("%s", a.Body)
	}
}

func TestListIsPaged(t *testing.T) {
	_, op := operator(t)
	var want, got []string
	for range 103 {
		want = append(want, op.Create(t))
	}
	pages := 0
	for next := ""; ; pages++ {
		path := "/v1/sessions?limit=25"
		if next != "" {
			path += "&cursor=" + next
		}
		var page struct {
			Sessions []struct{ ID string }
			Next     string
		}
		op.Do(t, "GET", path, nil).Want(t, 200).JSON(t, &page)
		for _, s := range page.Sessions {
			got = append(got, s.ID)
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) || pages != 4 {
		t.Errorf("%d sessions on %d pages, want %d", len(got), pages+1, len(want))
	}
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "limit=", "cursor=!", "cursor=", "limit=1&limit=2", "page=1"} {
		if a := op.Do(t, "GET", "/v1/sessions?"+bad, nil); a.Status != 400 {
			t.Errorf("%s: %d", bad, a.Status)
		}
	}
}

func TestExpiry(t *testing.T) {
	_, op := operator(t)
	n := shared.Node(t)
	id := op.Filled(t)
	n.Clock.Advance(31 * time.Minute)
	op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Refused(t, "session-expired")
	op.Put(t, id, "document_back", appliancetest.Evidence(t).Document).Refused(t, "session-expired")
}
