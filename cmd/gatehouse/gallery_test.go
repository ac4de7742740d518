package main_test

import (
	"encoding/json"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const entryID = "blk_06c2t0e6o1qk5f3b2a1s9d8f7g"

func matchesOf(outcome string, candidates ...any) map[string]any {
	return map[string]any{"outcome": outcome, "compared": 12345, "other_models": 0, "engine": "exact", "threshold": 0.51234, "threshold_fmr": 8.1e-7, "fpir": 0.01,
		"beyond_calibration": false, "candidates": slices.Concat([]any{}, candidates)}
}

func foundFaces() map[string]any {
	subjects := matchesOf("found", map[string]any{"session": sessionID, "subject": subjectID, "similarity": 0.98765, "fmr": 1e-9, "fpir": 1.2e-5})
	subjects["engine"], subjects["recall"], subjects["beyond_calibration"] = "graph", 0.9987, true
	blocklist := matchesOf("unknown")
	blocklist["compared"], blocklist["other_models"] = 1, 2
	return map[string]any{"model": "space", "subjects": subjects, "blocklist": blocklist}
}

func galleryReply(task map[string]any) map[string]any {
	list := map[string]any{"templates": 12345, "other_models": 3, "removed": 2, "segments": 1, "bytes": 3 << 20, "locked": true, "kernel": "avx2", "threshold": 0.51234}
	subjects := maps.Clone(list)
	subjects["graph"] = map[string]any{"templates": 12000, "bytes": 1 << 20, "recall": 0.9987}
	g := map[string]any{"model": "space", "subjects": subjects, "blocklist": list, "snapshot_index": 77}
	if task != nil {
		g["task"] = task
	}
	return g
}

func entryReply() map[string]any {
	return map[string]any{"id": entryID, "session": sessionID, "created_at": at, "created_by": "cli_1"}
}

// form of what was sent, by the name of the part.
func (s sent) form(t *testing.T) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(s.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := multipart.NewReader(strings.NewReader(s.body), params["boundary"]).ReadForm(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, v := range f.Value {
		all[name] = strings.Join(v, "|")
	}
	for name, v := range f.File {
		all[name] = v[0].Header.Get("Content-Type")
	}
	return all
}

// What each command sends, and what it prints.
func TestGalleryCommands(t *testing.T) {
	entry := entryReply()
	entry["reason"] = "forged\npassport \x1b[2J"
	n := newStandIn(t, map[string]reply{
		"POST /v1/faces/search": {200, foundFaces()}, "GET /v1/gallery": {200, galleryReply(map[string]any{"name": "graph", "busy": true, "done": 3, "of": 9})},
		"POST /v1/gallery/rebuild": {202, galleryReply(map[string]any{"name": "rebuild", "busy": false, "done": 9, "of": 9})},
		"POST /v1/gallery/verify":  {200, map[string]any{"ok": true, "templates": 12345, "other_models": 3, "missing": 0, "different": 0, "extra": 0}},
		"POST /v1/blocklist":       {201, entryReply()}, "GET /v1/blocklist": {200, map[string]any{"entries": []any{entryReply(), map[string]any{"id": "blk_2", "created_at": at, "created_by": "cli_1"}}, "next": "nnn"}},
		"GET /v1/blocklist/" + entryID: {200, entry}, "DELETE /v1/blocklist/" + entryID: {200, map[string]any{"id": entryID, "removed_at": at, "pending": []string{"backups"}}},
	})
	n.save(t, "reason", "forged passport\r\n")
	for _, c := range []struct {
		args, asks string
		form       map[string]string
		body       string
		says       []string
	}{
		{"gallery search " + obama + " --purpose review", "POST /v1/faces/search", map[string]string{"face": "image/jpeg", "k": "5", "fpir": "0.01", "list": "both", "engine": "exact"}, "",
			[]string{"Subjects: FOUND, among 12345 faces", "0.5123 (FMR 8.1e-07, FPIR 0.01), above what the calibration measured", "graph, recall 0.9987", sessionID, subjectID, "similarity 0.9877", "FMR ≤ 1.0e-09", "FPIR ≤ 1.2e-05",
				"Blocklist: unknown, among 1 face; 2 of other models were not compared", "Model: space"}},
		{"gallery search --session " + sessionID + " --purpose legal --k 20 --fpir 0.000001 --list subjects --engine graph", "POST /v1/faces/search",
			map[string]string{"session": sessionID, "k": "20", "fpir": "1e-06", "list": "subjects", "engine": "graph"}, "", []string{"FOUND"}},
		{"gallery stats", "GET /v1/gallery", nil, "", []string{"Galleries of space", "12345 faces, threshold 0.5123 (FPIR 0.01), 3.0 MiB locked, avx2", "3 faces of other models: not compared", "2 places of removed faces", "12000 faces, recall 0.9987, 1.0 MiB", "up to entry 77", "graph: 3 of 9"}},
		{"gallery rebuild", "POST /v1/gallery/rebuild", nil, `{"graph":false}`, []string{"rebuild: done"}},
		{"gallery rebuild --graph --no-wait", "POST /v1/gallery/rebuild", nil, `{"graph":true}`, []string{"Galleries of space"}},
		{"gallery verify", "POST /v1/gallery/verify", nil, "", []string{"templates  12345", "3 are of other models", "bit for bit"}},
		{"blocklist add " + obama + " --reason-file " + n.path("reason"), "POST /v1/blocklist", map[string]string{"face": "image/jpeg", "reason": "forged passport"}, "", []string{"Entry " + entryID}},
		{"blocklist add --session " + sessionID + " --reason-file " + n.path("reason"), "POST /v1/blocklist", map[string]string{"session": sessionID, "reason": "forged passport"}, "", []string{"cli_1", sessionID}},
		{"blocklist list --limit 2 --cursor ccc", "GET /v1/blocklist?cursor=ccc&limit=2", nil, "", []string{entryID, "blk_2", "a picture", "--cursor nnn"}},
		{"blocklist show " + entryID + " --purpose audit", "GET /v1/blocklist/" + entryID, nil, "", []string{"forged passport  [2J", sessionID, "2026-11-24 09:00:00 UTC"}},
		{"blocklist remove " + entryID + " --reason error --yes", "DELETE /v1/blocklist/" + entryID + "?reason=error", nil, "", []string{"removed 2026-11-24", "backups"}},
	} {
		o := n.do(t, words(c.args)...)
		got := n.last(t)
		if o.code != 0 || o.stderr != "" || got.request != c.asks || c.body != "" && got.body != c.body || strings.Contains(o.stdout, "\x1b") {
			t.Errorf("%s: %+v, asked %s %.200s", c.args, o, got.request, got.body)
			continue
		}
		if c.form != nil {
			if sent := got.form(t); !maps.Equal(sent, c.form) {
				t.Errorf("%s: sent %v", c.args, sent)
			}
		}
		for _, w := range c.says {
			if !strings.Contains(o.stdout, w) {
				t.Errorf("%s lacks %q: %s", c.args, w, o.stdout)
			}
		}
		if keyed := got.header.Get("Idempotency-Key") != ""; keyed != strings.HasPrefix(got.request, "POST ") {
			t.Errorf("%s: idempotency key %q", c.args, got.header.Get("Idempotency-Key"))
		}
		if _, why, named := strings.Cut(c.args, "--purpose "); named && got.header.Get("Purpose") != words(why)[0] {
			t.Errorf("%s: purpose %q", c.args, got.header.Get("Purpose"))
		}
		if json := n.do(t, append(words(c.args), "--json")...); json.code != 0 || json.stderr != "" || len(decode[any](t, json.stdout)) != 1 {
			t.Errorf("%s --json: %+v", c.args, json)
		}
	}
}

func TestGalleryVerifyFinds(t *testing.T) {
	n := newStandIn(t, map[string]reply{"POST /v1/gallery/verify": {200, map[string]any{"ok": false, "templates": 5, "other_models": 0, "missing": 1, "different": 2, "extra": 3, "first": sessionID}}})
	o := n.do(t, "gallery", "verify")
	if o.code != 12 {
		t.Errorf("%+v", o)
	}
	for _, w := range []string{"1 are missing, 2 are different, 3 should not be there", sessionID, "gatehouse gallery rebuild"} {
		if !strings.Contains(o.stdout, w) {
			t.Errorf("lacks %q: %s", w, o.stdout)
		}
	}
	if o := n.do(t, "gallery", "verify", "--json"); o.code != 12 || one[struct{ OK bool }](t, o.stdout).OK {
		t.Errorf("%+v", o)
	}
}

// A rebuild is waited for, and how far it is is told.
func TestGalleryRebuildWaits(t *testing.T) {
	stages := []map[string]any{
		{"name": "rebuild", "busy": true, "done": 0, "of": 200}, {"name": "rebuild", "busy": true, "done": 100, "of": 200}, {"name": "rebuild", "busy": true, "done": 101, "of": 200}}
	for _, c := range []struct {
		name string
		last map[string]any
		code int
		says string
	}{
		{"done", map[string]any{"name": "rebuild", "busy": false, "done": 200, "of": 200}, 0, ""},
		{"failed", map[string]any{"name": "rebuild", "busy": false, "done": 101, "of": 200, "error": "a template is damaged"}, 1, "a template is damaged"},
		{"restarted", nil, 1, "restarted"},
	} {
		n := newStandIn(t, nil)
		asked := 0
		n.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			task := c.last
			if asked < len(stages) {
				task = stages[asked]
			}
			asked++
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(galleryReply(task)); err != nil {
				t.Error(err)
			}
		})
		o := n.do(t, "gallery", "rebuild")
		if o.code != c.code || !strings.Contains(o.stderr, "rebuild: 0 of 200, ") || !strings.Contains(o.stderr, "rebuild: 100 of 200, ") || strings.Contains(o.stderr, "101 of") || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: %+v", c.name, o)
		}
		asked = 0
		if o := n.do(t, "gallery", "rebuild", "--json"); o.code != c.code || c.code == 0 && o.stderr != "" {
			t.Errorf("%s --json: %+v", c.name, o)
		}
	}
}

func TestGalleryWrongUsage(t *testing.T) {
	n := newStandIn(t, nil)
	n.save(t, "empty", " \n")
	n.save(t, "long", strings.Repeat("ä", 1001))
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"gallery", "gallery search, gallery stats", 2},
		{"gallery search --purpose review", "FILE or --session", 2},
		{"gallery search x.jpg y.jpg --purpose review", "FILE or --session", 2},
		{"gallery search x.jpg --session y --purpose review", "FILE or --session", 2},
		{"gallery search " + obama, "--purpose", 2},
		{"gallery search " + obama + " --purpose curiosity", "curiosity", 2},
		{"gallery search " + obama + " --purpose review --k 0", "1 to 100", 2},
		{"gallery search " + obama + " --purpose review --k 101", "1 to 100", 2},
		{"gallery search " + obama + " --purpose review --fpir 0", "0.5", 2},
		{"gallery search " + obama + " --purpose review --fpir NaN", "NaN", 2},
		{"gallery search " + obama + " --purpose review --list staff", "staff", 2},
		{"gallery search " + obama + " --purpose review --engine gpu", "gpu", 2},
		{"gallery search missing.jpg --purpose review", "check the path", 3},
		{"gallery stats x", "no arguments", 2},
		{"gallery rebuild x", "no arguments", 2},
		{"gallery verify x", "no arguments", 2},
		{"blocklist", "blocklist add", 2},
		{"blocklist add " + obama, "--reason-file FILE", 2},
		{"blocklist add --reason-file x", "FILE or --session", 2},
		{"blocklist add " + obama + " --session x --reason-file x", "FILE or --session", 2},
		{"blocklist add " + obama + " --reason-file " + n.path("empty"), "1 to 1000 characters", 3},
		{"blocklist add " + obama + " --reason-file " + n.path("long"), "1 to 1000 characters", 3},
		{"blocklist list x", "no arguments", 2},
		{"blocklist show x", "--purpose", 2},
		{"blocklist show --purpose review", "ENTRY", 2},
		{"blocklist remove x --reason error", "--yes", 2},
		{"blocklist remove x --yes", "--reason", 2},
		{"blocklist remove x --yes --reason boredom", "--reason", 2},
	} {
		args := words(c.args)
		if len(args) > 1 {
			args = append(args, "--profile", n.path("profile.json"))
		}
		o := gatehouse(t, args...)
		if o.code != c.code || o.stdout != "" || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: %+v", c.args, o)
		}
	}
	if n.count() != 0 {
		t.Errorf("the node was asked %d times", n.count())
	}
}

func TestGalleryHelp(t *testing.T) {
	overview := succeed(t, "help")
	for _, c := range []struct {
		name string
		says []string
	}{
		{"gallery search", []string{"--session SESSION", "--k N", "--fpir RATE", "--list LIST", "--engine ENGINE", "--purpose WHY", "FMR", "FPIR = 1 - (1 - FMR)^N", "threshold rises", "recall", "wiped"}},
		{"gallery stats", nil},
		{"gallery rebuild", []string{"--graph", "--no-wait", "--idempotency-key KEY"}},
		{"gallery verify", []string{"12"}},
		{"blocklist add", []string{"--session SESSION", "--reason-file FILE", "blocklist.face"}},
		{"blocklist list", []string{"--cursor NEXT", "--limit N"}},
		{"blocklist show", []string{"--purpose WHY"}},
		{"blocklist remove", []string{"--reason WHY", "--yes"}},
	} {
		if !strings.Contains(overview, "\n  "+c.name+" ") {
			t.Errorf("the overview lacks %q", c.name)
		}
		page := succeed(t, append(words(c.name), "--help")...)
		for _, w := range append(c.says, "Usage: gatehouse "+c.name+" ", "Example:\n  gatehouse "+c.name, "--profile FILE", "--json") {
			if !strings.Contains(page, w) {
				t.Errorf("%s lacks %q: %q", c.name, w, page)
			}
		}
	}
}

// The result of a session says whom the face was like.
func TestResultShowsTheLikeness(t *testing.T) {
	n := newStandIn(t, map[string]reply{"GET /v1/sessions/" + sessionID + "/result": {200, map[string]any{"session": sessionID, "document": map[string]any{}, "face": map[string]any{}, "likeness": foundFaces()}}})
	o := n.do(t, "session", "result", sessionID, "--purpose", "review")
	for _, w := range []string{"Likeness, when it was decided:", "Subjects: FOUND, among 12345 faces", "similarity 0.9877", "Blocklist: unknown"} {
		if o.code != 0 || !strings.Contains(o.stdout, w) {
			t.Errorf("lacks %q: %+v", w, o)
		}
	}
}

// A face that is verified, found, blocked and no longer found by a real node, and
// nothing of it in the clear.
func TestGalleryOfANode(t *testing.T) {
	const why = "Kanarienvogel reichte am 3. Maerz einen falschen Pass ein"
	var c cage
	c.biometric(t, obama2)
	c.biometric(t, biden)
	c.add("reason", why, "falschen Pass")
	s := serve(t, "--log-level", "debug", "--log-format", "json")
	s.enrol(t, "branch", "operator")
	s.enrol(t, "office", "compliance", "auditor")
	made := s.verify(t, "branch")
	type matches struct {
		Outcome    string
		Compared   int
		Candidates []struct{ Session, Entry string }
	}
	type faces struct{ Subjects, Blocklist matches }
	find := func(file string) faces {
		t.Helper()
		return does[faces](t, s, "office", "gallery", "search", file, "--purpose", "compliance")
	}
	if f := find(obama2); f.Subjects.Outcome != "found" || len(f.Subjects.Candidates) != 1 || f.Subjects.Candidates[0].Session != made.ID {
		t.Errorf("%+v", f)
	}
	if f := find(biden); f.Subjects.Outcome != "unknown" || len(f.Subjects.Candidates) != 0 {
		t.Errorf("%+v", f)
	}
	type entry struct{ ID, Session, Reason string }
	reason := s.secretFile(t, "reason", why+"\n")
	pictured := does[entry](t, s, "office", "blocklist", "add", biden, "--reason-file", reason)
	decided := does[entry](t, s, "office", "blocklist", "add", "--session", made.ID, "--reason-file", reason)
	if decided.Session != made.ID || pictured.Session != "" {
		t.Errorf("%+v %+v", pictured, decided)
	}
	if f := find(biden); f.Blocklist.Outcome != "found" || f.Blocklist.Candidates[0].Entry != pictured.ID {
		t.Errorf("%+v", f)
	}
	if e := does[entry](t, s, "office", "blocklist", "show", pictured.ID, "--purpose", "review"); e.Reason != why {
		t.Errorf("%+v", e)
	}
	if human := s.as(t, "office", "blocklist", "list"); human.code != 0 || !strings.Contains(human.stdout, pictured.ID) || strings.Contains(human.stdout, "Pass") {
		t.Errorf("%+v", human)
	}
	does[any](t, s, "office", "blocklist", "remove", pictured.ID, "--reason", "error", "--yes")
	if f := find(biden); f.Blocklist.Outcome != "unknown" || f.Blocklist.Compared != 1 {
		t.Errorf("%+v", f)
	}
	if o := s.as(t, "office", "gallery", "rebuild", "--graph"); o.code != 0 || !strings.Contains(o.stdout, "graph: done") {
		t.Errorf("%+v", o)
	}
	if o := s.as(t, "office", "gallery", "rebuild"); o.code != 0 || !strings.Contains(o.stdout, "rebuild: done") {
		t.Errorf("%+v", o)
	}
	if v := does[struct {
		OK        bool
		Templates int
	}](t, s, "office", "gallery", "verify"); !v.OK || v.Templates != 2 {
		t.Errorf("%+v", v)
	}
	wrong := s.as(t, "office", "blocklist", "add", s.secretFile(t, "note.jpg", "\xff\xd8\xff"+why), "--reason-file", reason, "--json")
	if wrong.code != 3 {
		t.Errorf("%+v", wrong)
	}
	log := s.as(t, "office", "audit", "tail", "--from", "0", "--json")
	for _, action := range []string{"face.search", "blocklist.add", "blocklist.remove", "access.template", "gallery.rebuild", "gallery.verify"} {
		if !strings.Contains(log.stdout, `"`+action+`"`) {
			t.Errorf("the log has no %s", action)
		}
	}
	_, metrics := s.get(t, "/metrics", s.key(t, "admin"))
	if !strings.Contains(metrics, "gatehouse_gallery_templates 2\n") {
		t.Error("the metrics do not count the templates")
	}
	s.stop(t)
	if _, err := os.Stat(filepath.Join(s.Data, "gallery")); err != nil {
		t.Error(err)
	}
	found := c.findIn(t, s.Data)
	for where, text := range map[string]string{"the log": s.log.String(), "the audit log": log.stdout, "the metrics": metrics, "a problem": wrong.stdout + wrong.stderr} {
		found = append(found, c.find(where, []byte(text))...)
	}
	for _, f := range found {
		t.Error(f)
	}
}
