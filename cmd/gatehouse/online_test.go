package main_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sessionID, subjectID = "ses_06c2t0e6o1qk5f3b2a1s9d8f7g", "sub_06c2t0e6o1qk5f3b2a1s9d8f7g"

func TestOnlineHelp(t *testing.T) {
	overview := succeed(t, "help")
	for _, c := range []struct {
		name string
		says []string
	}{
		{"setup", []string{"--code CODE", "--organisation NAME", "--name NAME", "--force", "0600"}},
		{"status", nil},
		{"tenant create", []string{"--organisation NAME", "--out FILE"}},
		{"tenant list", nil},
		{"client create", []string{"--name NAME", "--role ROLE", "--certificate FILE", "--out FILE", "platform_admin"}},
		{"client list", nil},
		{"client revoke", []string{"CLIENT"}},
		{"session create", []string{"--subject-ref-file FILE", "--consent-text VERSION", "--consent-channel CHANNEL", "--consent-given-at TIME", "--priority"}},
		{"session put", []string{"SESSION SLOT FILE", "document_front", "20 MiB"}},
		{"session submit", []string{"--wait TIME"}},
		{"session get", []string{"--wait TIME"}},
		{"session list", []string{"--cursor NEXT", "--limit N"}},
		{"session verify", []string{"--document FILE", "--document-back FILE", "--selfie FILE", "--wait TIME", "--idempotency-key KEY"}},
		{"session events", []string{"ten minutes"}},
		{"session result", []string{"--purpose WHY"}},
		{"session evidence", []string{"--purpose WHY", "--out FILE"}},
		{"subject get", []string{"--purpose WHY"}},
		{"subject erase", []string{"--reason WHY", "--yes"}},
		{"audit tail", []string{"--from N", "--follow", "--log LOG"}},
		{"audit prove", []string{"SEQ", "--trust FILE", "--log LOG"}},
		{"audit checkpoint", []string{"--out FILE", "--log LOG"}},
		{"audit consistency", []string{"CHECKPOINT", "--trust FILE"}},
		{"audit search", []string{"--session ID", "--subject ID", "--reference REFERENCE", "--actor ID", "--action ACTION", "--object ID", "--after TIME", "--before TIME", "--cursor CURSOR"}},
		{"audit export", []string{"--tenant ID", "--from SIZE|TIME", "--to SIZE|TIME", "--nonce TEXT", "--out FILE", "--disclose-to FILE", "--purpose WHY"}},
		{"audit trust", nil},
		{"audit cosign", []string{"CHECKPOINT", "--witness FILE"}},
		{"audit rotate-key", nil},
		{"audit retire-key", []string{"--early", "30 days"}},
		{"seal", []string{"unsealed"}},
		{"seal status", nil},
		{"seal add", []string{"--path PATH", "--passphrase-file FILE", "--threshold K", "--shares N"}},
		{"seal remove", []string{"SLOT"}},
		{"unseal", []string{"--file", "--passphrase-file FILE", "--share-file FILE"}},
	} {
		if !strings.Contains(overview, "\n  "+c.name+" ") {
			t.Errorf("the overview lacks %q", c.name)
		}
		page := succeed(t, append(words(c.name), "--help")...)
		for _, w := range append(c.says, "Usage: gatehouse "+c.name+" ", "Example:\n  ", "gatehouse "+c.name, "--profile FILE", "--server URL", "--ca FILE", "--key-file FILE", "--json") {
			if !strings.Contains(page, w) {
				t.Errorf("%s lacks %q: %q", c.name, w, page)
			}
		}
		for _, w := range []string{"--models", "--device", "--workers"} {
			if strings.Contains(page, w) {
				t.Errorf("%s has %q", c.name, w)
			}
		}
	}
	for _, w := range []string{"4 not allowed, or not signed in", "5 the node cannot be"} {
		if !strings.Contains(strings.ReplaceAll(overview, "\n", " "), w) {
			t.Errorf("the overview lacks %q", w)
		}
	}
}

func TestOnlineWrongUsage(t *testing.T) {
	n := newStandIn(t, nil)
	for _, c := range []struct{ args, says string }{
		{"setup", "--code CODE"},
		{"setup --server https://x --ca y", "--code CODE"},
		{"setup --server https://x --ca y --code z w", "--code CODE"},
		{"setup --server https://x --ca y --code z --key-file k", "--key-file"},
		{"status x", "no arguments"},
		{"status --models x", "-models"},
		{"status --key " + apiKey, "-key"},
		{"tenant", "tenant create, tenant list"},
		{"tenant create", "--organisation NAME"},
		{"tenant list x", "no arguments"},
		{"client", "client create"},
		{"client create --name x", "--role ROLE"},
		{"client create --role operator", "--name NAME"},
		{"client create --name x --role king", "no such role"},
		{"client create --name x --role operator --certificate c --out o", "--out"},
		{"client list x", "no arguments"},
		{"client revoke", "CLIENT"},
		{"client revoke x y", "CLIENT"},
		{"session", "session create"},
		{"session create", "--consent-text VERSION"},
		{"session create --consent-text 1 --consent-channel fax", "--consent-channel"},
		{"session create --consent-text 1 --consent-channel web --consent-given-at yesterday", "yesterday"},
		{"session create --consent-text 1 --consent-channel web --priority urgent", "urgent"},
		{"session create x --consent-text 1 --consent-channel web", "no arguments"},
		{"session put x selfie", "SESSION SLOT FILE"},
		{"session put x portrait y.jpg", "portrait"},
		{"session submit", "SESSION"},
		{"session submit x --wait 31s", "30s"},
		{"session submit x --wait -1s", "--wait"},
		{"session submit x --wait soon", "soon"},
		{"session get", "SESSION"},
		{"session get x --wait 1m", "30s"},
		{"session list x", "no arguments"},
		{"session verify --selfie x", "--document FILE"},
		{"session verify --document x", "--selfie FILE"},
		{"session verify --document x --selfie y", "--consent-text"},
		{"session verify --document x --selfie y --wait 1h", "30s"},
		{"session events", "SESSION"},
		{"session result x", "--purpose"},
		{"session result x --purpose curiosity", "curiosity"},
		{"session evidence x selfie --purpose review", "--out FILE"},
		{"session evidence x portrait --purpose review --out o", "slot"},
		{"session evidence x selfie --out o", "--purpose"},
		{"subject", "subject get"},
		{"subject get x", "--purpose"},
		{"subject erase x --reason error", "--yes"},
		{"subject erase x --yes", "--reason"},
		{"audit search x", "no arguments"},
		{"audit search --limit 201", "--limit"},
		{"audit search --after yesterday", "yesterday"},
		{"audit search --log other", "--log"},
		{"audit export", "--out FILE"},
		{"audit export --out x --from yesterday", "--from"},
		{"audit export --out x --to -1", "--to"},
		{"audit export --out x --disclose-to y", "--purpose"},
		{"audit export --out x --disclose-to y --purpose curiosity", "curiosity"},
		{"audit cosign", "CHECKPOINT"},
		{"audit cosign x", "--witness FILE"},
		{"audit trust x", "no arguments"},
		{"subject erase x --yes --reason boredom", "--reason"},
		{"audit", "audit tail"},
		{"audit tail x", "no arguments"},
		{"audit tail --log mine", "mine"},
		{"audit prove", "SEQ"},
		{"audit prove -- -1", "-1"},
		{"audit prove one", "one"},
		{"audit checkpoint x", "no arguments"},
		{"audit consistency", "CHECKPOINT"},
		{"seal x", "no arguments"},
		{"seal status x", "no arguments"},
		{"seal add", "file, passphrase or shamir"},
		{"seal add tpm2", "tpm2"},
		{"seal add file", "--path PATH"},
		{"seal add file --path p --shares 3", "nothing else"},
		{"seal add passphrase --path p", "--passphrase-file"},
		{"seal add shamir --threshold 2", "--shares N"},
		{"seal add shamir --threshold 4 --shares 3", "--threshold K"},
		{"seal add shamir --threshold 1 --shares 3", "--threshold K"},
		{"seal remove", "SLOT"},
		{"unseal", "--share-file FILE"},
		{"unseal --file --share-file x", "one of"},
		{"unseal x", "no arguments"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := append([]string{}, words(c.args)...)
			if strings.HasPrefix(c.args, "audit prove --") {
				args = append([]string{"audit", "prove", "--profile", n.path("profile.json")}, args[2:]...)
			} else if len(args) > 1 {
				args = append(args, "--profile", n.path("profile.json"))
			}
			o := gatehouse(t, args...)
			if o.code != 2 || o.stdout != "" {
				t.Errorf("exit code %d, stdout %q", o.code, o.stdout)
			}
			o.says(t, c.says, "gatehouse help")
		})
	}
	if n.count() != 0 {
		t.Errorf("%d requests were sent", n.count())
	}
}

// The longest name wins: no wrong word makes 'seal status' seal.
func TestLongestNameWins(t *testing.T) {
	n := newStandIn(t, map[string]reply{"GET /v1/seal": {200, map[string]any{"sealed": false, "slots": []any{}}}})
	if o := n.do(t, "seal", "status"); o.code != 0 || n.last(t).request != "GET /v1/seal" {
		t.Errorf("%+v: %s", o, n.last(t).request)
	}
	if o := n.do(t, "seal", "statsu"); o.code != 2 || n.count() != 1 {
		t.Errorf("%+v", o)
	}
}

func TestProblemsBecomeExitCodes(t *testing.T) {
	for status, code := range map[int]int{400: 3, 401: 4, 403: 4, 404: 3, 408: 1, 409: 3, 410: 3, 413: 3, 415: 3, 422: 3, 429: 5, 500: 1, 503: 5, 507: 1} {
		n := newStandIn(t, map[string]reply{"GET /v1/sessions/" + sessionID: refusalOf(status)})
		o := n.do(t, "session", "get", sessionID, "--json")
		o.fails(t, code, "", "detail of", "do this", "req_1")
		p := part[object](t, one[object](t, o.stdout), "error")
		p.has(t, "problem", "type", "title", "status", "next", "request_id")
		if got := part[int](t, p, "status"); got != status || strings.Contains(o.stdout+o.stderr, apiKey) {
			t.Errorf("%d: %s %s", status, o.stdout, o.stderr)
		}
	}
}

func TestANodeThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	n := newStandIn(t, nil)
	n.do(t, "status", "--server", "https://"+address, "--json").fails(t, 5, "", address, "check the address")
	n.do(t, "status", "--server", strings.Replace(n.URL, "127.0.0.1", "localhost", 1), "--json").fails(t, 1, "", "not trusted")
	n.do(t, "status", "--server", "http://"+address, "--json").fails(t, 1, "", "https://host:port")
	n.do(t, "session", "get", "..", "--json").fails(t, 3, "", "not an identifier")
}

// Profiles that are not used: why, and which file.
func TestProfilesRefused(t *testing.T) {
	n := newStandIn(t, map[string]reply{"GET /v1/status": {200, map[string]any{"version": "1"}}})
	n.save(t, "open.json", n.profile(apiKey))
	if err := os.Chmod(n.path("open.json"), 0o640); err != nil {
		t.Fatal(err)
	}
	n.save(t, "more.json", `{"server":"`+n.URL+`","secret":"`+apiKey+`"}`)
	n.save(t, "broken.json", `{"key":"`+apiKey)
	n.save(t, "large.json", strings.Repeat(" ", 70_000))
	n.save(t, "empty", "")
	for name, says := range map[string]string{"open.json": "chmod 600", "more.json": "not a profile", "broken.json": "not a profile", "large.json": "65536 bytes", "missing.json": "gatehouse setup"} {
		o := gatehouse(t, "status", "--json", "--profile", n.path(name))
		o.fails(t, 3, n.path(name), says)
		if strings.Contains(o.stdout+o.stderr, apiKey) {
			t.Errorf("%s: the key is shown: %q", name, o.stderr)
		}
	}
	n.do(t, "status", "--json", "--key-file", n.path("empty")).fails(t, 3, n.path("empty"), "no key")
	n.do(t, "status", "--json", "--ca", n.path("nowhere.pem")).fails(t, 3, n.path("nowhere.pem"), "check the path")
	if n.count() != 0 {
		t.Errorf("%d requests were sent", n.count())
	}
}

// Where the profile comes from, and what takes its place.
func TestProfileIsFound(t *testing.T) {
	n := newStandIn(t, map[string]reply{"GET /v1/status": {200, map[string]any{"version": "1"}}})
	n.save(t, "other-key", "gh_other\n")
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".config", "gatehouse"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  []string
		args string
		key  string
	}{
		{"named", nil, "--profile " + n.path("profile.json"), "Bearer " + apiKey},
		{"in the environment", []string{"GATEHOUSE_PROFILE=" + n.path("profile.json")}, "", "Bearer " + apiKey},
		{"another key", nil, "--profile " + n.path("profile.json") + " --key-file " + n.path("other-key"), "Bearer gh_other"},
		{"no profile at all", nil, "--server " + n.URL + " --ca " + n.path("ca.pem") + " --key-file " + n.path("other-key"), "Bearer gh_other"},
		{"no key of another node's profile", []string{"GATEHOUSE_PROFILE=" + n.path("profile.json")}, "--server " + n.URL + " --ca " + n.path("ca.pem"), ""},
	} {
		cmd := command(t, append([]string{"status"}, words(c.args)...)...)
		cmd.Env = append([]string{"HOME=" + home}, c.env...)
		o := run(t, cmd)
		if o.code != 0 || n.last(t).header.Get("Authorization") != c.key {
			t.Errorf("%s: %+v, %q", c.name, o, n.last(t).header.Get("Authorization"))
		}
	}
	cmd := command(t, "status", "--json")
	cmd.Env = []string{"HOME=" + home}
	run(t, cmd).fails(t, 4, "", "gatehouse setup", filepath.Join(home, ".config", "gatehouse", "client.json"))
	if err := os.WriteFile(filepath.Join(home, ".config", "gatehouse", "client.json"), []byte(n.profile("gh_home")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = command(t, "status")
	cmd.Env = []string{"HOME=" + home}
	if o := run(t, cmd); o.code != 0 || n.last(t).header.Get("Authorization") != "Bearer gh_home" {
		t.Errorf("%+v", o)
	}
}

var enrolledReply = reply{201, map[string]any{"tenant": "ten_1", "key": "gh_new", "client": map[string]any{"id": "cli_1", "name": "x", "roles": []string{"operator"}, "credential": "key", "created_at": "2026-11-24T09:00:00Z"}}}

// Keys go into a file that only its owner reads, once, and nowhere else.
func TestEnrolling(t *testing.T) {
	n := newStandIn(t, map[string]reply{"POST /v1/setup": enrolledReply, "POST /v1/tenants": enrolledReply, "POST /v1/clients": enrolledReply})
	for _, c := range []struct{ name, args, flag string }{
		{"setup", "setup --server " + n.URL + " --ca " + n.path("ca.pem") + " --code AAAA-BBBB", "--profile"},
		{"tenant", "tenant create --organisation x --profile " + n.path("profile.json"), "--out"},
		{"client", "client create --name x --role operator --profile " + n.path("profile.json"), "--out"},
	} {
		to := filepath.Join(t.TempDir(), "new", "dir", "client.json")
		args := append(words(c.args), c.flag, to)
		out := succeed(t, append(args, "--json")...)
		o := one[object](t, out)
		o.has(t, c.name, "tenant", "client", "profile")
		if strings.Contains(out, "gh_new") || n.last(t).header.Get("Idempotency-Key") == "" {
			t.Errorf("%s: %q, %v", c.name, out, n.last(t).header)
		}
		st, err := os.Stat(to)
		if err != nil || st.Mode() != 0o600 {
			t.Fatalf("%s: %v, %v", c.name, st.Mode(), err)
		}
		b, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Server, CA, Key string }
		if err := json.Unmarshal(b, &p); err != nil || p.Server != n.URL || p.CA != n.ca() || p.Key != "gh_new" {
			t.Errorf("%s: %+v, %v", c.name, p, err)
		}
		before := n.count()
		gatehouse(t, append(args, "--json")...).fails(t, 3, to, "--force")
		if n.count() != before {
			t.Errorf("%s: a key was made that could not be kept", c.name)
		}
		succeed(t, append(args, "--force")...)
		left, err := os.ReadDir(filepath.Dir(to))
		if err != nil || len(left) != 1 {
			t.Errorf("%s: left behind: %v, %v", c.name, left, err)
		}
	}
	if s := n.asked[0]; s.body != `{"code":"AAAA-BBBB","name":"administrator","organisation":"default"}` || s.header.Get("Authorization") != "" {
		t.Errorf("%+v", s)
	}
	if out := succeed(t, "client", "create", "--name", "x", "--role", "operator", "--role", "auditor", "--profile", n.path("profile.json")); !strings.Contains(out, "gh_new") || !strings.Contains(out, "shown this once") {
		t.Errorf("%q", out)
	}
	if body := n.last(t).body; body != `{"name":"x","roles":["operator","auditor"]}` {
		t.Errorf("%s", body)
	}
}

// Nothing is left of a profile whose key was refused.
func TestARefusedSetupLeavesNothing(t *testing.T) {
	n := newStandIn(t, map[string]reply{"POST /v1/setup": refusalOf(401)})
	to := filepath.Join(t.TempDir(), "client.json")
	gatehouse(t, "setup", "--server", n.URL, "--ca", n.path("ca.pem"), "--code", "x", "--profile", to, "--json").fails(t, 4, "", "detail of 401")
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
