package api_test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// webp, png and jpeg begin as such pictures do, and go on as none.
var (
	jpegHead = []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")
	pngHead  = []byte("\x89PNG\r\n\x1a\n")
)

func TestBadEvidence(t *testing.T) {
	home, op := operator(t)
	p := appliancetest.Evidence(t)
	id := op.Create(t)
	before := blobs(t)
	path := "/v1/sessions/" + id + "/evidence/"
	for _, c := range []struct{ name, slot, media, body, kind string }{
		{"empty", "selfie", "image/jpeg", "", "not-a-picture"},
		{"text", "selfie", "image/jpeg", "hello", "not-a-picture"},
		{"HTML", "selfie", "image/jpeg", "<html><script>", "not-a-picture"},
		{"SVG", "selfie", "image/png", `<svg xmlns="http://www.w3.org/2000/svg"/>`, "not-a-picture"},
		{"GIF", "selfie", "image/png", "GIF89a........", "not-a-picture"},
		{"PDF", "selfie", "image/jpeg", "%PDF-1.7", "not-a-picture"},
		{"HTML before a JPEG", "selfie", "image/jpeg", "<html>" + string(p.Selfie), "not-a-picture"},
		{"a PNG as a JPEG", "selfie", "image/jpeg", string(pngHead) + "x", "media-type"},
		{"a JPEG as WebP", "selfie", "image/webp", string(p.Selfie), "media-type"},
		{"unknown type", "selfie", "image/gif", string(p.Selfie), "media-type"},
		{"no type", "selfie", "", string(p.Selfie), "media-type"},
		{"JSON", "selfie", "application/json", "{}", "media-type"},
		{"wrong slot", "passport", "image/jpeg", string(p.Selfie), "bad-value"},
		{"a frame too many", "liveness_frame_6", "image/jpeg", string(p.Selfie), "bad-value"},
		{"another case", "Selfie", "image/jpeg", string(p.Selfie), "bad-value"},
		{"a byte too many", "selfie", "image/jpeg", string(jpegHead) + strings.Repeat("x", 20<<20-len(jpegHead)+1), "too-large"},
	} {
		if a := op.Do(t, "PUT", path+c.slot, &appliancetest.Body{Kind: c.media, Bytes: []byte(c.body)}); a.Problem(t) != c.kind {
			t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Body, c.kind)
		}
	}
	// The length that is not said is counted.
	r := op.Request(t, "PUT", path+"selfie", &appliancetest.Body{Kind: "image/jpeg"})
	r.Body, r.ContentLength = http.NoBody, -1
	r.Body = readCloser{strings.NewReader(string(jpegHead) + strings.Repeat("x", 20<<20))}
	if a, err := op.Send(r); err != nil || a.Problem(t) != "too-large" {
		t.Errorf("%+v, %v", a, err)
	}
	var s struct {
		State    string
		Evidence []any
	}
	op.Do(t, "GET", "/v1/sessions/"+id, nil).JSON(t, &s)
	if s.State != "created" || len(s.Evidence) != 0 || blobs(t) != before {
		t.Errorf("refused evidence left something: %+v, %d blobs", s, blobs(t)-before)
	}
	if n := appliancetest.Counts(home.Leaves(t))["session.evidence.add"]; n != 0 {
		t.Errorf("%d pictures in the log", n)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestBadForms(t *testing.T) {
	_, op := operator(t)
	p := appliancetest.Evidence(t)
	part := func(name, kind, body string) appliancetest.Part {
		return appliancetest.Part{Name: name, Kind: kind, Bytes: []byte(body)}
	}
	session := part("session", "application/json", appliancetest.Request(""))
	front, selfie := part("document_front", "image/jpeg", string(p.Document)), part("selfie", "image/jpeg", string(p.Selfie))
	form := func(parts ...appliancetest.Part) *appliancetest.Body { return appliancetest.Form(t, parts...) }
	cut := func(b *appliancetest.Body, n int) *appliancetest.Body {
		return &appliancetest.Body{Kind: b.Kind, Bytes: b.Bytes[:n]}
	}
	whole := form(session, front, selfie)
	for _, c := range []struct {
		name string
		body *appliancetest.Body
		kind string
	}{
		{"JSON", appliancetest.JSON(appliancetest.Request("")), "media-type"},
		{"no boundary", &appliancetest.Body{Kind: "multipart/form-data", Bytes: whole.Bytes}, "media-type"},
		{"another boundary", &appliancetest.Body{Kind: "multipart/form-data; boundary=other", Bytes: whole.Bytes}, "malformed"},
		{"empty", &appliancetest.Body{Kind: whole.Kind}, "bad-value"},
		{"not the session first", form(front, session, selfie), "bad-value"},
		{"bad session", form(part("session", "application/json", `{"kind":"identity","x":1}`), front, selfie), "unknown-member"},
		{"large session", form(part("session", "application/json", strings.Repeat(" ", 65<<10)), front, selfie), "too-large"},
		{"no session", form(), "bad-value"},
		{"large part header", &appliancetest.Body{Kind: whole.Kind, Bytes: []byte(strings.Replace(string(whole.Bytes), "\r\n\r\n", "\r\nX-More: "+strings.Repeat("x", 32<<10)+"\r\n\r\n", 1))}, "malformed"},
	} {
		if a := op.Do(t, "POST", "/v1/verifications", c.body); a.Problem(t) != c.kind {
			t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Body, c.kind)
		}
	}
	if n := sessions(t, op); n != 0 {
		t.Errorf("%d sessions were begun", n)
	}
	for _, c := range []struct {
		name string
		body *appliancetest.Body
		kind string
	}{
		{"no selfie", form(session, front), "evidence-missing"},
		{"an unknown part", form(session, front, part("passport", "image/jpeg", "x"), selfie), "unknown-member"},
		{"a part twice", form(session, front, front, selfie), "malformed"},
		{"the session twice", form(session, session, front, selfie), "unknown-member"},
		{"HTML", form(session, part("document_front", "image/jpeg", "<html>"), selfie), "not-a-picture"},
		{"an empty picture", form(session, part("document_front", "image/jpeg", ""), selfie), "not-a-picture"},
		{"another type", form(session, part("document_front", "image/png", string(p.Document)), selfie), "media-type"},
		{"a bad type", form(session, part("document_front", "image", string(p.Document)), selfie), "media-type"},
		{"cut off", cut(whole, len(whole.Bytes)-20), "malformed"},
		{"cut off in a picture", cut(whole, len(whole.Bytes)/2), "malformed"},
		{"a large picture", form(session, part("document_front", "image/jpeg", string(jpegHead)+strings.Repeat("x", 20<<20)), selfie), "too-large"},
	} {
		if a := op.Do(t, "POST", "/v1/verifications", c.body); a.Problem(t) != c.kind {
			t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Body, c.kind)
		}
	}
	var list struct {
		Sessions []struct {
			State   string
			Attempt int
		}
	}
	op.Do(t, "GET", "/v1/sessions?limit=200", nil).JSON(t, &list)
	for _, s := range list.Sessions {
		if s.State != "created" && s.State != "collecting" || s.Attempt != 0 {
			t.Errorf("half a form was submitted: %+v", s)
		}
	}
	for _, c := range []struct {
		name, path string
		body       *appliancetest.Body
		kind       string
	}{
		{"one picture", "/v1/faces/compare", form(part("a", "image/jpeg", string(p.Selfie))), "bad-value"},
		{"three pictures", "/v1/faces/compare", form(part("a", "image/jpeg", "x"), part("c", "image/jpeg", "x")), "unknown-member"},
		{"one twice", "/v1/faces/compare", form(part("a", "image/jpeg", "x"), part("a", "image/jpeg", "x")), "malformed"},
		{"text", "/v1/faces/compare", form(part("a", "image/jpeg", "x"), part("b", "image/jpeg", "x")), "not-a-picture"},
		{"cut off picture", "/v1/faces/compare", form(part("a", "image/jpeg", string(p.Selfie)), part("b", "image/jpeg", string(p.Selfie[:9000]))), "not-a-picture"},
		{"no form", "/v1/faces/compare", appliancetest.JSON("{}"), "media-type"},
		{"nothing", "/v1/documents/read", form(), "bad-value"},
		{"text", "/v1/documents/read", form(part("document_front", "image/jpeg", "hello")), "not-a-picture"},
		{"too large", "/v1/documents/read", form(part("document_front", "image/jpeg", strings.Repeat("x", 20<<20+1))), "too-large"},
	} {
		if a := op.Do(t, "POST", c.path, c.body, "Purpose: support"); a.Problem(t) != c.kind {
			t.Errorf("%s %s: %d %s, want %s", c.path, c.name, a.Status, a.Body, c.kind)
		}
	}
	op.Do(t, "POST", "/v1/documents/read", form(front)).Refused(t, "bad-value") // no purpose
	op.Do(t, "POST", "/v1/sessions/"+op.Create(t)+"/submit", appliancetest.JSON("{}")).Refused(t, "malformed")
}

func TestBadIDs(t *testing.T) {
	n, home := tenant(t)
	c := home.Key(t, access.Roles()[1:]...)
	session := c.Create(t)
	_ = n
	other := map[string]string{"session": c.ID, "client": session, "subject": session}
	for _, bad := range []string{"x", "ses_", "ses_" + strings.Repeat("0", 26), "%00", "ses_%00", "%2e%2e%2fclients", "..%2f..%2fetc%2fpasswd", "ses_%ff", "%F0%9F%98%80",
		strings.Repeat("a", 10<<10), strings.ToUpper(session), session + "%20", session + "%00", "%2A", "'%20or%201=1"} {
		for path, headers := range map[string][]string{"GET /v1/sessions/": nil, "DELETE /v1/clients/": nil, "GET /v1/subjects/": {purpose}} {
			method, path, _ := strings.Cut(path, " ")
			if a := c.Do(t, method, path+bad, nil, headers...); a.Problem(t) != "not-found" {
				t.Errorf("%s %s%.80s: %d %.200s", method, path, bad, a.Status, a.Body)
			}
		}
		if a := c.Put(t, bad, "selfie", appliancetest.Evidence(t).Selfie); a.Problem(t) != "not-found" {
			t.Errorf("evidence of %.80s: %d %.200s", bad, a.Status, a.Body)
		}
	}
	c.Do(t, "GET", "/v1/sessions/"+other["session"], nil).Refused(t, "not-found")
	c.Do(t, "DELETE", "/v1/clients/"+other["client"], nil).Refused(t, "not-found")
	c.Do(t, "DELETE", "/v1/subjects/"+other["subject"]+"?reason=legal", nil).Refused(t, "not-found")
}

func TestBadRequests(t *testing.T) {
	_, home := tenant(t)
	c := home.Key(t, access.Roles()[1:]...)
	id := c.Create(t)
	for _, q := range []string{"?wait=1m", "?wait=-1s", "?wait=x", "?wait=", "?wait=1s&wait=1s", "?wait=9999999h"} {
		c.Do(t, "GET", "/v1/sessions/"+id+q, nil).Refused(t, "bad-value")
	}
	for _, q := range []string{"?Wait=1s", "?tenant=x", "?"} {
		a := c.Do(t, "GET", "/v1/sessions/"+id+q, nil)
		if (a.Status == 200) != (q == "?") {
			t.Errorf("%s: %d", q, a.Status)
		}
	}
	for _, q := range []string{"?%zz", "?wait=1s;log=x", "?%", "?a=%f"} {
		if a := c.Do(t, "GET", "/v1/sessions/"+id+q, nil); a.Status != 400 {
			t.Errorf("%s: %d %s", q, a.Status, a.Body)
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/sessions", "/v1/sessions/", "/v1//sessions", "/v1/../v1/sessions", "/v1/./sessions", "//v1/sessions", "/v1/sessions/" + id + "/", "/favicon.ico",
		"/v1/sessions/" + id + "/evidence", "/v1/sessions//result", "/debug/pprof/", "/V1/sessions", "/v1/sessions/../clients", "/v1/seal/slots/"} {
		if a := c.Do(t, "GET", path, nil, purpose); a.Problem(t) != "no-such-route" {
			t.Errorf("%s: %d %s %s", path, a.Status, a.Header.Get("Location"), a.Body)
		}
	}
	for _, method := range []string{"PATCH", "TRACE", "OPTIONS", "PUT", "FOO", "DELETE"} {
		a := c.Do(t, method, "/v1/sessions", nil)
		if a.Problem(t) != "no-such-method" || a.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d, Allow %q: %s", method, a.Status, a.Header.Get("Allow"), a.Body)
		}
	}
	if a := c.Do(t, "HEAD", "/v1/sessions/"+id, nil).Want(t, 200); len(a.Body) != 0 {
		t.Errorf("HEAD has a body: %q", a.Body)
	}
	// A request id that could forge a line of a log is replaced.
	for sent, kept := range map[string]bool{"branch-17.4711": true, "a b": false, "{}": false, strings.Repeat("x", 65): false, "": false} {
		if got := c.Do(t, "GET", "/v1/sessions/"+id, nil, "X-Request-Id: "+sent).Header.Get("X-Request-Id"); (got == sent) != kept {
			t.Errorf("request id %q became %q", sent, got)
		}
	}
	if n := sessions(t, c); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
