package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

const why = "gave a forged passport on 3 March; Müller knows more"

// block puts a face on the blocklist and gives the entry's id.
func block(t *testing.T, c *appliancetest.Client, face []byte, pairs ...string) string {
	t.Helper()
	a := c.Do(t, "POST", "/v1/blocklist", fieldsOf(t, face, append([]string{"reason", why}, pairs...)...)).Want(t, 201)
	if got := a.Header.Get("Location"); got != "/v1/blocklist/"+a.Text(t, "id") {
		t.Errorf("Location: %s", got)
	}
	if strings.Contains(string(a.Body), "forged") || a.Text(t, "created_by") != c.ID {
		t.Errorf("%s", a.Body)
	}
	return a.Text(t, "id")
}

// A face that was blocked is found by the next verification and by a search,
// and no longer once it was removed.
func TestBlockedFaceIsFound(t *testing.T) {
	_, home := tenant(t)
	op, rules := home.Key(t, access.Operator), home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	entry := block(t, rules, p.Selfie)
	made := enrolledAs(t, op, "customer 1", p.Selfie)
	id := made.Text(t, "id")
	if made.Text(t, "state") != "review" || made.Text(t, "decision.outcome") != "review" || !strings.Contains(string(made.Body), `"face.not_listed.failed"`) {
		t.Errorf("a blocked face: %s", made.Body)
	}
	reasons := func(session string) (all []string) {
		for _, l := range home.Leaves(t) {
			if l.Action == "decision.make" && l.Object["id"] == session {
				for name, code := range l.Data {
					if strings.HasPrefix(name, "reason_") {
						all = append(all, code.(string))
					}
				}
			}
		}
		return all
	}
	if got := reasons(id); !slices.Contains(got, "blocklist.face") {
		t.Errorf("reasons %q", got)
	}
	f := search(t, rules, p.Selfie)
	if c := f.Blocklist.Candidates; f.Blocklist.Outcome != "found" || f.Blocklist.Compared != 1 || len(c) != 1 || c[0].Entry != entry || c[0].Session != "" {
		t.Errorf("%+v", f.Blocklist)
	}
	if f := search(t, rules, p.Stranger); f.Blocklist.Outcome != "unknown" || len(f.Blocklist.Candidates) != 0 {
		t.Errorf("a stranger: %+v", f.Blocklist)
	}

	removed := rules.Do(t, "DELETE", "/v1/blocklist/"+entry+"?reason=error", nil).Want(t, 200)
	if removed.Text(t, "id") != entry || removed.Text(t, "removed_at") == "" {
		t.Errorf("%s", removed.Body)
	}
	if f := search(t, rules, p.Selfie); f.Blocklist.Compared != 0 || len(f.Blocklist.Candidates) != 0 || f.Subjects.Outcome != "found" {
		t.Errorf("after the removal: %+v", f)
	}
	if again := enrolledAs(t, op, "customer 1", p.Selfie); again.Text(t, "state") != "approved" {
		t.Errorf("after the removal: %s", again.Body)
	}
	for _, c := range []struct{ method, path string }{{"GET", entry}, {"DELETE", entry + "?reason=error"}} {
		rules.Do(t, c.method, "/v1/blocklist/"+c.path, nil, purpose).Refused(t, "not-found")
	}
}

// An entry from a session has the session's face, and outlives its person.
func TestBlockedFromASession(t *testing.T) {
	_, home := tenant(t)
	op, rules := home.Key(t, access.Operator), home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	made := enrolledAs(t, op, "customer 1", p.Selfie)
	id, subject := made.Text(t, "id"), made.Text(t, "subject")
	entry := block(t, rules, nil, "session", id)
	if a := rules.Do(t, "GET", "/v1/blocklist/"+entry, nil, purpose).Want(t, 200); a.Text(t, "session") != id || a.Text(t, "reason") != why {
		t.Errorf("%s", a.Body)
	}
	if f := search(t, rules, nil, "session", id); len(f.Subjects.Candidates) != 0 || len(f.Blocklist.Candidates) != 1 || f.Blocklist.Candidates[0].Entry != entry {
		t.Errorf("%+v %+v", f.Subjects, f.Blocklist)
	}
	own := search(t, rules, p.Selfie).Blocklist.Candidates[0].Subject
	if own == subject {
		t.Error("the entry is of the person's own subject")
	}
	rules.Do(t, "GET", "/v1/subjects/"+own, nil, purpose).Refused(t, "not-found")
	rules.Do(t, "DELETE", "/v1/subjects/"+subject+"?reason=legal", nil).Want(t, 200)
	rules.Do(t, "POST", "/v1/blocklist", fieldsOf(t, nil, "reason", why, "session", id)).Refused(t, "subject-erased")
	if f := search(t, rules, p.Selfie); f.Subjects.Compared != 0 || len(f.Blocklist.Candidates) != 1 {
		t.Errorf("after the erasure: %+v %+v", f.Subjects, f.Blocklist)
	}
	if a := rules.Do(t, "GET", "/v1/blocklist/"+entry, nil, purpose).Want(t, 200); a.Text(t, "reason") != why {
		t.Errorf("%s", a.Body)
	}
}

func TestBlocklistIsPaged(t *testing.T) {
	_, home := tenant(t)
	rules, looks := home.Key(t, access.Compliance), home.Key(t, access.Reviewer)
	p := appliancetest.Evidence(t)
	var want, got []string
	for range 3 { // the same face may be blocked again
		want = append(want, block(t, rules, p.Stranger))
	}
	before := len(home.Leaves(t))
	for cursor := ""; ; {
		var page struct {
			Entries []struct {
				ID     string
				Reason *string
			}
			Next string
		}
		a := looks.Do(t, "GET", "/v1/blocklist?limit=2"+cursor, nil).Want(t, 200)
		a.JSON(t, &page)
		for _, e := range page.Entries {
			got = append(got, e.ID)
			if e.Reason != nil {
				t.Errorf("the list has reasons: %s", a.Body)
			}
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if after := len(home.Leaves(t)); after != before+1 { // the reading of the log itself
		t.Errorf("listing added %d events", after-before-1)
	}
	_, neighbour := tenant(t)
	if a := neighbour.Key(t, access.Compliance).Do(t, "GET", "/v1/blocklist", nil).Want(t, 200); strings.Contains(string(a.Body), "blk_") {
		t.Errorf("another tenant sees %s", a.Body)
	}
	looks.Do(t, "GET", "/v1/blocklist?limit=0", nil).Refused(t, "bad-value")
	looks.Do(t, "GET", "/v1/blocklist?cursor=!", nil).Refused(t, "bad-value")
}

// Who reads or changes the blocklist is in the log; the reason is not.
func TestBlocklistIsLogged(t *testing.T) {
	_, home := tenant(t)
	rules := home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	made := enrolledAs(t, home.Key(t, access.Operator), "", p.Selfie)
	id := made.Text(t, "id")
	entry := rules.Do(t, "POST", "/v1/blocklist", fieldsOf(t, nil, "reason", why, "session", id), "X-Request-Id: add").Want(t, 201).Text(t, "id")
	rules.Do(t, "GET", "/v1/blocklist/"+entry, nil, purpose, "X-Request-Id: look").Want(t, 200)
	rules.Do(t, "DELETE", "/v1/blocklist/"+entry+"?reason=legal", nil, "X-Request-Id: remove").Want(t, 200)
	seen := map[string]int{}
	for _, l := range home.Leaves(t) {
		request := l.Req.RequestID
		if request != "add" && request != "look" && request != "remove" {
			continue
		}
		seen[request+" "+l.Action]++
		switch request + " " + l.Action {
		case "add blocklist.add":
			if l.Object["id"] != entry || l.Object["type"] != "blocklist_entry" || l.Data["source"] != id || l.Data["model"] == nil || l.PII["reason"] == "" || l.Subject == "" {
				t.Errorf("%+v", l)
			}
		case "add template.enrol":
			if l.Object["id"] != entry {
				t.Errorf("%+v", l)
			}
		case "add access.template":
			if l.Object["id"] != id || l.Subject != made.Text(t, "subject") {
				t.Errorf("%+v", l)
			}
		case "look access.subject":
			if l.Object["id"] != entry || l.Reason != "review" {
				t.Errorf("%+v", l)
			}
		case "remove blocklist.remove":
			if l.Object["id"] != entry || l.Reason != "legal" {
				t.Errorf("%+v", l)
			}
		default:
			t.Errorf("%s %s", request, l.Action)
		}
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
	log := home.Key(t, access.Auditor).Do(t, "GET", "/v1/audit/events?limit=200", nil).Want(t, 200)
	if strings.Contains(string(log.Body), "forged") || strings.Contains(shared.Node(t).Log(), "forged") {
		t.Error("a log has the reason")
	}
}

func TestBlocklistRefuses(t *testing.T) {
	_, home := tenant(t)
	op, rules := home.Key(t, access.Operator), home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	open := op.Create(t)
	for _, c := range []struct {
		name, kind string
		body       *appliancetest.Body
	}{
		{"no reason", "bad-value", fieldsOf(t, p.Selfie)},
		{"an empty reason", "bad-value", fieldsOf(t, p.Selfie, "reason", " \n")},
		{"a long reason", "bad-value", fieldsOf(t, p.Selfie, "reason", strings.Repeat("ä", 1001))},
		{"a very long reason", "too-large", fieldsOf(t, p.Selfie, "reason", strings.Repeat("x", 4001))},
		{"no text", "bad-value", fieldsOf(t, p.Selfie, "reason", "\xff\xfe")},
		{"neither", "bad-value", fieldsOf(t, nil, "reason", why)},
		{"both", "bad-value", fieldsOf(t, p.Selfie, "reason", why, "session", open)},
		{"no face", "not-a-picture", fieldsOf(t, blankPicture(t), "reason", why)},
		{"no session", "not-found", fieldsOf(t, nil, "reason", why, "session", appliancetest.Nothing()["session"])},
		{"not decided", "not-found", fieldsOf(t, nil, "reason", why, "session", open)},
		{"another part", "unknown-member", fieldsOf(t, p.Selfie, "reason", why, "k", "1")},
		{"no form", "media-type", appliancetest.JSON(`{"reason":"x"}`)},
	} {
		if a := rules.Do(t, "POST", "/v1/blocklist", c.body); a.Problem(t) != c.kind {
			t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Body, c.kind)
		}
	}
	if a := rules.Do(t, "GET", "/v1/blocklist", nil).Want(t, 200); strings.Contains(string(a.Body), "blk_") {
		t.Errorf("what was refused is on the list: %s", a.Body)
	}
	if f := search(t, rules, p.Selfie); f.Blocklist.Compared != 0 {
		t.Errorf("what was refused is in the gallery: %+v", f.Blocklist)
	}
	rules.Do(t, "POST", "/v1/blocklist", fieldsOf(t, p.Selfie, "reason", strings.Repeat("ä", 1000))).Want(t, 201)
}

func TestBlocklistOfOthers(t *testing.T) {
	_, home := tenant(t)
	rules := home.Key(t, access.Compliance)
	entry := block(t, rules, appliancetest.Evidence(t).Stranger)
	_, neighbour := tenant(t)
	stranger := neighbour.Key(t, access.Compliance)
	for _, id := range []string{entry, "blk_", "x", appliancetest.Nothing()["session"], strings.ToUpper(entry), "%00"} {
		stranger.Do(t, "GET", "/v1/blocklist/"+id, nil, purpose).Refused(t, "not-found")
		stranger.Do(t, "DELETE", "/v1/blocklist/"+id+"?reason=legal", nil).Refused(t, "not-found")
	}
	for _, bad := range []string{"X: y", "Purpose: ", "Purpose: curiosity"} {
		rules.Do(t, "GET", "/v1/blocklist/"+entry, nil, bad).Refused(t, "bad-value")
	}
	for _, bad := range []string{"", "?reason=", "?reason=because", "?reason=legal&now=1"} {
		if a := rules.Do(t, "DELETE", "/v1/blocklist/"+entry+bad, nil); a.Status != 400 {
			t.Errorf("%q: %d %s", bad, a.Status, a.Body)
		}
	}
	looks := home.Key(t, access.Reviewer)
	looks.Do(t, "DELETE", "/v1/blocklist/"+entry+"?reason=legal", nil).Refused(t, "forbidden")
	looks.Do(t, "POST", "/v1/blocklist", fieldsOf(t, appliancetest.Evidence(t).Selfie, "reason", why)).Refused(t, "forbidden")
	looks.Do(t, "GET", "/v1/blocklist/"+entry, nil, purpose).Want(t, 200)
}

// The same request again adds nothing, and gets the same answer also when the
// entry was removed since, and after a restart.
func TestBlockAgain(t *testing.T) {
	n, home := tenant(t)
	rules := home.Key(t, access.Compliance)
	p := appliancetest.Evidence(t)
	form := fieldsOf(t, p.Selfie, "reason", why)
	first := rules.Do(t, "POST", "/v1/blocklist", form, "Idempotency-Key: block").Want(t, 201)
	same := func(when string) {
		t.Helper()
		if a := rules.Do(t, "POST", "/v1/blocklist", form, "Idempotency-Key: block").Want(t, 201); string(a.Body) != string(first.Body) {
			t.Errorf("%s: %s, first %s", when, a.Body, first.Body)
		}
	}
	same("again")
	for _, a := range atOnce(t, 4, rules, "/v1/blocklist", fieldsOf(t, p.Stranger, "reason", why), "Idempotency-Key: at once") {
		if a.Status != 201 && a.Status != 429 { // more than may run at one time
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	rules.Do(t, "POST", "/v1/blocklist", fieldsOf(t, p.Selfie, "reason", "another"), "Idempotency-Key: block").Refused(t, "idempotency-key-reused")
	if counts := appliancetest.Counts(home.Leaves(t)); counts["blocklist.add"] != 2 || counts["template.enrol"] != 2 {
		t.Errorf("%v", counts)
	}
	rules.Do(t, "DELETE", "/v1/blocklist/"+first.Text(t, "id")+"?reason=error", nil).Want(t, 200)
	same("after its removal")
	n.Restart(t, nil)
	await(t, home)
	same("after a restart")
	if f := search(t, rules, p.Selfie); f.Blocklist.Compared != 1 || len(f.Blocklist.Candidates) != 0 {
		t.Errorf("after a restart: %+v", f.Blocklist)
	}
}

// await that the galleries are loaded after a start.
func await(t *testing.T, home *appliancetest.Tenant) {
	t.Helper()
	for start := time.Now(); home.Key(t, access.Monitor).Do(t, "GET", "/readyz", nil).Status != 200; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatal("the node is not ready")
		}
	}
}
