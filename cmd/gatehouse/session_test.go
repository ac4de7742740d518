package main_test

import (
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const at = "2026-11-24T09:00:00Z"

func sessionIn(state string) map[string]any {
	return map[string]any{"id": sessionID, "subject": subjectID, "kind": "identity", "state": state, "priority": "interactive", "created_at": at, "expires_at": at, "evidence": []any{}}
}

func decidedSession() map[string]any {
	s := sessionIn("review")
	s["submitted_at"], s["finished_at"] = at, at
	s["evidence"] = []any{map[string]any{"id": "evd_1", "slot": "selfie", "media_type": "image/jpeg", "bytes": 9, "tries": 2, "added_at": at, "refused": "two faces"}}
	s["audit"] = map[string]any{"origin": logOrigin, "size": 42}
	s["decision"] = map[string]any{"outcome": "review", "score": 71.4, "rules": "default@1", "models": []any{},
		"reasons":    []any{map[string]any{"rule": "r", "signal": "face.match", "outcome": "review", "text": "the faces may differ \x1b[2J"}},
		"signals":    []any{map[string]any{"name": "face.match", "value": 0.4321, "threshold": 0.5, "status": "failed", "fmr": 0.001}, map[string]any{"name": "screening", "status": "unavailable", "note": "no list"}},
		"timings_ms": map[string]any{"total": 120.5, "face": 100.25}}
	return s
}

// What each command sends, and what it prints.
func TestSessionCommands(t *testing.T) {
	const s = "/v1/sessions/" + sessionID
	n := newStandIn(t, map[string]reply{
		"POST /v1/sessions": {201, sessionIn("created")}, "GET /v1/sessions": {200, map[string]any{"sessions": []any{decidedSession()}, "next": "nnn"}},
		"GET " + s: {200, decidedSession()}, "POST " + s + "/submit": {202, sessionIn("submitted")}, "PUT " + s + "/evidence/selfie": {200, map[string]any{"id": "evd_1", "slot": "selfie", "media_type": "image/jpeg", "bytes": 9, "tries": 1, "added_at": at}},
		"GET " + s + "/result":      {200, map[string]any{"session": sessionID, "document": map[string]any{"mrz": map[string]any{"fields": map[string]any{"surname": "ERIKSSON"}}}, "face": map[string]any{"faces": 1}}},
		"GET /v1/subjects/sub_1":    {200, map[string]any{"id": "sub_1", "subject_ref": "customer 4711", "created_at": at, "sessions": []string{sessionID}}},
		"DELETE /v1/subjects/sub_1": {200, map[string]any{"subject": "sub_1", "erased_at": at, "evidence_removed": 2, "pending": []string{"backups"}}},
		"GET /v1/clients":           {200, map[string]any{"clients": []any{enrolledReply.body.(map[string]any)["client"]}}},
		"DELETE /v1/clients/cli_1":  {200, enrolledReply.body.(map[string]any)["client"]},
		"GET /v1/tenants":           {200, map[string]any{"tenants": []any{map[string]any{"id": "ten_1", "organisation": "First\tBank", "created_at": at}}}},
		"GET /v1/status":            {200, map[string]any{"version": "0.1.0", "node": "nod_1", "role": "leader", "sealed": false, "set_up": true, "audit": []any{map[string]any{"origin": logOrigin, "size": 42}}, "jobs": map[string]any{"workers": 2}, "disk": map[string]any{"free_bytes": 1 << 30}}},
		"POST /v1/seal/close":       {200, sealed(true)}, "GET /v1/seal": {200, sealed(false)}, "DELETE /v1/seal/slots/slot1": {200, sealed(false)}, "POST /v1/seal/open": {200, sealed(false)},
		"POST /v1/seal/slots": {201, map[string]any{"slot": map[string]any{"id": "slot2", "kind": "shamir", "created_at": at, "threshold": 2, "shares": 3}, "shares": []string{"ghs1-one", "ghs1-two"}}},
	})
	n.save(t, "reference", "customer 4711\r\n")
	n.save(t, "passphrase", "correct horse battery staple\n")
	for _, c := range []struct {
		args, asks, body string
		says             []string
	}{
		{"session create --consent-text 2026-03 --consent-channel branch --consent-given-at " + at + " --priority batch --subject-ref-file " + n.path("reference"), "POST /v1/sessions",
			`{"consent":{"channel":"branch","given_at":"2026-11-24T09:00:00Z","text_version":"2026-03"},"kind":"identity","priority":"batch","subject_ref":"customer 4711"}`, []string{sessionID, "created"}},
		{"session put " + sessionID + " selfie " + obama, "PUT " + s + "/evidence/selfie", "", []string{"evd_1", "try 1"}},
		{"session submit " + sessionID + " --wait 10s", "POST " + s + "/submit?wait=10s", "", []string{"submitted"}},
		{"session get " + sessionID + " --wait 500ms", "GET " + s + "?wait=500ms", "", []string{sessionID + ": review", "REFUSED: two faces", "Decision: REVIEW, score 71", "review: the faces may differ  [2J", "0.4321 (0.5)", "FMR ≤ 1.0e-03", "unavailable; no list", "120.5", "default@1", "Audit: " + logOrigin + ", 42 events"}},
		{"session list --limit 5 --cursor ccc", "GET /v1/sessions?cursor=ccc&limit=5", "", []string{sessionID, "review", "--cursor nnn"}},
		{"session result " + sessionID + " --purpose review", "GET " + s + "/result", "", []string{"mrz.fields.surname", "ERIKSSON", "faces"}},
		{"subject get sub_1 --purpose support", "GET /v1/subjects/sub_1", "", []string{"customer 4711", sessionID}},
		{"subject erase sub_1 --reason legal --yes", "DELETE /v1/subjects/sub_1?reason=legal", "", []string{"erased", "2 of evidence", "backups"}},
		{"client list", "GET /v1/clients", "", []string{"cli_1", "operator"}},
		{"client revoke cli_1", "DELETE /v1/clients/cli_1", "", []string{"cli_1"}},
		{"tenant list", "GET /v1/tenants", "", []string{"ten_1", "First Bank"}},
		{"status", "GET /v1/status", "", []string{"nod_1: leader", "2 workers", "1.00 GiB", logOrigin}},
		{"seal", "POST /v1/seal/close", "", []string{"Sealed", "1 of 2 given", "key file"}},
		{"seal status", "GET /v1/seal", "", []string{"Open", "slot1"}},
		{"seal remove slot1", "DELETE /v1/seal/slots/slot1", "", []string{"Open"}},
		{"seal add shamir --threshold 2 --shares 3", "POST /v1/seal/slots", `{"kind":"shamir","shares":3,"threshold":2}`, []string{"slot2", "ghs1-one", "ghs1-two", "2 of 3 shares"}},
		{"seal add file --path /k", "POST /v1/seal/slots", `{"kind":"file","path":"/k"}`, []string{"slot2"}},
		{"seal add passphrase --passphrase-file " + n.path("passphrase"), "POST /v1/seal/slots", `{"kind":"passphrase","passphrase":"correct horse battery staple"}`, []string{"slot2"}},
		{"unseal --file", "POST /v1/seal/open", `{"file":true}`, []string{"Open"}},
		{"unseal --share-file " + n.path("passphrase"), "POST /v1/seal/open", `{"share":"correct horse battery staple"}`, []string{"Open"}},
	} {
		o := n.do(t, words(c.args)...)
		got := n.last(t)
		if o.code != 0 || o.stderr != "" || got.request != c.asks || c.body != "" && got.body != c.body || strings.Contains(o.stdout, "\x1b") {
			t.Errorf("%s: %+v, asked %s %.200s", c.args, o, got.request, got.body)
		}
		for _, w := range c.says {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("%s lacks %q: %s", c.args, w, o.stdout)
			}
		}
		if keyed := got.header.Get("Idempotency-Key") != ""; keyed != (strings.HasPrefix(got.request, "POST ") && !strings.Contains(got.request, "/seal/")) {
			t.Errorf("%s: idempotency key %q", c.args, got.header.Get("Idempotency-Key"))
		}
		if json := n.do(t, append(words(c.args), "--json")...); json.code != 0 || len(decode[any](t, json.stdout)) != 1 {
			t.Errorf("%s --json: %+v", c.args, json)
		}
	}
}

func sealed(yes bool) map[string]any {
	return map[string]any{"sealed": yes, "slots": []any{map[string]any{"id": "slot1", "kind": "file", "created_at": at, "path": "/etc/gatehouse/seal.key"}}, "shares_given": 1, "shares_needed": 2, "warning": "the key file lies beside the data"}
}

// Secrets and references come over stdin too, where it is no terminal.
func TestFromStdin(t *testing.T) {
	n := newStandIn(t, map[string]reply{"POST /v1/seal/open": {200, sealed(false)}, "POST /v1/sessions": {201, sessionIn("created")}})
	for args, want := range map[string]string{
		"unseal --passphrase-file -": `{"passphrase":"a b"}`,
		"session create --consent-text 1 --consent-channel web --consent-given-at " + at + " --subject-ref-file -": `{"consent":{"channel":"web","given_at":"2026-11-24T09:00:00Z","text_version":"1"},"kind":"identity","subject_ref":"a b"}`,
	} {
		for stdin, passes := range map[string]bool{"a b\n": true, "a b": true, "": false, "\n": false, strings.Repeat("x", 2000): false} {
			cmd := command(t, append(words(args), "--profile", n.path("profile.json"), "--json")...)
			cmd.Stdin = strings.NewReader(stdin)
			o := run(t, cmd)
			if !passes {
				o.fails(t, 3, "-")
			} else if o.code != 0 || n.last(t).body != want {
				t.Errorf("%s: %+v, %s", args, o, n.last(t).body)
			}
		}
	}
}

func TestSessionVerifySendsThePictures(t *testing.T) {
	n := newStandIn(t, map[string]reply{"POST /v1/verifications": {200, decidedSession()}})
	o := n.do(t, "session", "verify", "--document", passport, "--document-back", obama2, "--selfie", obama, "--consent-text", "1", "--consent-channel", "web", "--wait", "5s", "--idempotency-key", "mine", "--json")
	got := n.last(t)
	if o.code != 0 || got.request != "POST /v1/verifications?wait=5s" || got.header.Get("Idempotency-Key") != "mine" {
		t.Fatalf("%+v, %s %v", o, got.request, got.header)
	}
	_, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	form, err := multipart.NewReader(strings.NewReader(got.body), params["boundary"]).ReadForm(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"document_front": passport, "document_back": obama2, "selfie": obama} {
		want, err := os.Stat(file)
		if err != nil || len(form.File[name]) != 1 || form.File[name][0].Size != want.Size() || strings.Contains(got.body, filepath.Base(file)) {
			t.Errorf("%s: %+v, %v", name, form.File[name], err)
		}
	}
	if len(form.Value["session"]) != 1 || !strings.Contains(form.Value["session"][0], `"text_version":"1"`) {
		t.Errorf("%q", form.Value)
	}
}

func TestPicturesAreRefusedBeforeTheyAreSent(t *testing.T) {
	n := newStandIn(t, nil)
	n.save(t, "text.jpg", "no picture")
	n.save(t, "empty.jpg", "")
	if err := os.Truncate(n.path("ca.pem"), 20<<20+1); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{n.path("text.jpg"): "JPEG, PNG or WebP", n.path("empty.jpg"): "JPEG, PNG or WebP", n.path("ca.pem"): "20 MiB", n.path("missing.jpg"): "check the path", n.dir: "directory"} {
		n.do(t, "session", "put", sessionID, "selfie", file, "--json").fails(t, 3, file, says)
		n.do(t, "session", "verify", "--document", obama, "--selfie", file, "--consent-text", "1", "--consent-channel", "web", "--json").fails(t, 3, file, says)
	}
	if n.count() != 0 {
		t.Errorf("%d requests were sent", n.count())
	}
}

func TestSessionEvidenceIsPrivate(t *testing.T) {
	picture, err := os.ReadFile(obama)
	if err != nil {
		t.Fatal(err)
	}
	n := newStandIn(t, map[string]reply{"GET /v1/sessions/" + sessionID + "/evidence/selfie": {200, string(picture)}})
	to := filepath.Join(t.TempDir(), "selfie.jpg")
	args := []string{"session", "evidence", sessionID, "selfie", "--purpose", "review", "--out", to, "--json"}
	if o := n.do(t, args...); o.code != 0 || n.last(t).header.Get("Purpose") != "review" {
		t.Fatalf("%+v, %v", o, n.last(t).header)
	}
	got, err := os.ReadFile(to)
	st, statErr := os.Stat(to)
	if err != nil || statErr != nil || string(got) != string(picture) || st.Mode() != 0o600 {
		t.Errorf("%d bytes, %v, %v", len(got), st.Mode(), err)
	}
	n.do(t, args...).fails(t, 3, to, "--force")
	n.replies = map[string]reply{"GET /v1/sessions/" + sessionID + "/evidence/selfie": refusalOf(http.StatusForbidden)}
	n.do(t, append(args, "--force")...).fails(t, 4, "", "detail of 403")
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSessionEvents(t *testing.T) {
	stream := "event: session\ndata: {\"id\":\"" + sessionID + "\",\"state\":\"processing\"}\n\nevent: session\ndata: {\"id\":\"" + sessionID + "\",\"state\":\"approved\"}\n\n"
	n := newStandIn(t, map[string]reply{"GET /v1/sessions/" + sessionID + "/events": {200, stream}})
	o := n.do(t, "session", "events", sessionID, "--json")
	if all := decode[struct{ State string }](t, o.stdout); o.code != 0 || o.stderr != "" || len(all) != 2 || all[1].State != "approved" || strings.Count(o.stdout, "\n") != 2 {
		t.Errorf("%+v", o)
	}
	n.replies = map[string]reply{"GET /v1/sessions/" + sessionID + "/events": {200, strings.Replace(stream, "approved", "processing", 1)}}
	if o := n.do(t, "session", "events", sessionID); o.code != 0 || !strings.Contains(o.stderr, "before the session was decided") || strings.Count(o.stdout, "processing") != 2 {
		t.Errorf("%+v", o)
	}
}
