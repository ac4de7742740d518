package api_test

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

func TestWithoutCredential(t *testing.T) {
	n, home := tenant(t)
	revoked := home.NewKey(t, access.Roles()[1:]...)
	home.Admin.Do(t, "DELETE", "/v1/clients/"+revoked.ID, nil).Want(t, 200)
	unknown, _, err := access.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mistyped := []byte(home.Admin.Key)
	mistyped[20] ^= 1
	wrong := map[string]*appliancetest.Client{"revoked": revoked, "unknown": n.As(unknown), "mistyped": n.As(string(mistyped)), "no key": n.As("x")}
	for _, r := range access.Routes() {
		path, body, headers := appliancetest.Example(t, r, appliancetest.Nothing())
		open := r.Operation == "livez" || r.Operation == "setup"
		if open != (len(r.Roles) == 0) {
			t.Errorf("%s: roles %v", r.Operation, r.Roles)
		}
		a := n.Nobody().Do(t, r.Method, path, body, headers...)
		if kind := a.Problem(t); (kind == "unauthorized") == open {
			t.Errorf("%s without a credential: %d %s", r.Operation, a.Status, kind)
		}
		if !open && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", r.Operation)
		}
		var first []byte
		for name, c := range wrong {
			a := c.Do(t, r.Method, path, body, append(headers, "X-Request-Id: same")...)
			if a.Status != http.StatusUnauthorized {
				t.Errorf("%s with a key that is %s: %d", r.Operation, name, a.Status)
			}
			if name == "revoked" || name == "unknown" { // nobody learns that a key was one
				if first == nil {
					first = a.Body
				} else if string(first) != string(a.Body) {
					t.Errorf("%s: revoked and unknown keys are told apart: %s, %s", r.Operation, first, a.Body)
				}
			}
		}
	}
	for _, header := range []string{"bearer " + home.Admin.Key, "Basic " + home.Admin.Key, home.Admin.Key, "Bearer", "Bearer  " + home.Admin.Key, "Bearer " + strings.ToUpper(home.Admin.Key)} {
		n.Nobody().Do(t, "GET", "/v1/clients", nil, "Authorization: "+header).Refused(t, "unauthorized")
	}
	home.Admin.Do(t, "GET", "/v1/clients", nil, "Authorization: Bearer "+home.Admin.Key).Refused(t, "unauthorized") // twice
}

// A denial is in the log, but whoever has no credential cannot fill it.
func TestUnknownCredentialIsLogged(t *testing.T) {
	n := shared.Node(t)
	count := func() int { return appliancetest.Counts(n.Home.Admin.Leaves(t, "system"))["auth.deny"] }
	n.Clock.Advance(time.Minute)
	before := count()
	for range 20 {
		n.As("gh_x").Do(t, "GET", "/v1/status", nil).Want(t, 401)
	}
	if got := count() - before; got != 1 {
		t.Errorf("%d denials in the log, want 1", got)
	}
}

func TestWrongRole(t *testing.T) {
	n := shared.Node(t)
	single := map[access.Role]*appliancetest.Client{}
	for _, role := range access.Roles() {
		single[role] = n.Home.NewKey(t, role)
	}
	want := map[string]string{} // route by client
	for _, r := range access.Routes() {
		if len(r.Roles) == 0 {
			continue
		}
		var wrong []access.Role
		path, body, headers := appliancetest.Example(t, r, appliancetest.Nothing())
		for _, role := range access.Roles() {
			if slices.Contains(r.Roles, role) {
				continue
			}
			wrong = append(wrong, role)
			if a := single[role].Do(t, r.Method, path, body, headers...); a.Problem(t) != "forbidden" {
				t.Errorf("%s as %s: %d", r.Operation, role, a.Status)
			}
		}
		if len(wrong) == 0 {
			continue
		}
		c := n.Home.NewKey(t, wrong...)
		c.Do(t, r.Method, path, body, headers...).Refused(t, "forbidden")
		want[c.ID] = r.Method + " " + r.Path
	}
	got := map[string]string{}
	for _, l := range n.Home.Leaves(t) {
		if l.Action == "authz.deny" && l.Result == "denied" && want[l.Actor["id"]] != "" {
			got[l.Actor["id"]] = l.Req.Route
		}
	}
	for client, route := range want {
		if got[client] != route {
			t.Errorf("the log has the denial %q, want %q", got[client], route)
		}
	}
}

// What belongs to another tenant is as if it did not exist.
func TestOtherTenant(t *testing.T) {
	n, home := tenant(t)
	id := home.Key(t, access.Operator).Filled(t)
	session := home.Key(t, access.Operator).Do(t, "GET", "/v1/sessions/"+id, nil)
	have := appliancetest.Nothing()
	have["session"], have["subject"], have["client"] = id, session.Text(t, "subject"), home.Key(t, access.Reviewer).ID
	have["entry"] = block(t, home.Key(t, access.Compliance), appliancetest.Evidence(t).Stranger)
	other := n.Tenant(t)
	stranger := other.Key(t, access.Roles()[1:]...)
	tried := 0
	for _, r := range access.Routes() {
		if !strings.Contains(r.Path, "{") || r.Operation == "removeSlot" || r.Operation == "auditProof" || strings.Contains(r.Path, "{member}") {
			continue // no object of a tenant; a log is always the caller's own
		}
		tried++
		path, body, headers := appliancetest.Example(t, r, have)
		theirs := stranger.Do(t, r.Method, path, body, append(headers, "X-Request-Id: same")...)
		path, body, headers = appliancetest.Example(t, r, appliancetest.Nothing())
		nobodys := stranger.Do(t, r.Method, path, body, append(headers, "X-Request-Id: same")...)
		if theirs.Status != http.StatusNotFound || string(theirs.Body) != string(nobodys.Body) || nobodys.Status != http.StatusNotFound {
			t.Errorf("%s: %d %s; of nothing: %d %s", r.Operation, theirs.Status, theirs.Body, nobodys.Status, nobodys.Body)
		}
		for _, h := range []string{"Etag", "Location", "Content-Type"} {
			if theirs.Header.Get(h) != nobodys.Header.Get(h) {
				t.Errorf("%s: %s is %q and %q", r.Operation, h, theirs.Header.Get(h), nobodys.Header.Get(h))
			}
		}
	}
	if tried < 11 {
		t.Errorf("only %d routes name an object", tried)
	}
	after := home.Key(t, access.Operator).Do(t, "GET", "/v1/sessions/"+id, nil)
	if after.Header.Get("ETag") != session.Header.Get("ETag") {
		t.Errorf("the session was changed: %s", after.Body)
	}
	home.Key(t, access.Reviewer).Do(t, "GET", "/v1/sessions", nil).Want(t, 200) // still a client
	for _, path := range []string{"/v1/sessions", "/v1/clients"} {
		if a := stranger.Do(t, "GET", path, nil).Want(t, 200); strings.Contains(string(a.Body), id) || strings.Contains(string(a.Body), have["client"]) {
			t.Errorf("%s shows another tenant's: %s", path, a.Body)
		}
	}
	stranger.Do(t, "GET", "/v1/audit/events?log=system", nil).Refused(t, "forbidden")
	stranger.Do(t, "POST", "/v1/clients", appliancetest.JSON(`{"name":"x","roles":["platform_admin"]}`)).Refused(t, "forbidden")
}

// While it is sealed, a node answers liveness, seal status and unseal alone.
func TestSealed(t *testing.T) {
	n := shared.Node(t)
	all := n.Home.NewKey(t, access.Roles()...)
	n.Home.Admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	for _, r := range access.Routes() {
		if r.Operation == "unseal" {
			continue
		}
		path, body, headers := appliancetest.Example(t, r, appliancetest.Nothing())
		a := all.Do(t, r.Method, path, body, headers...)
		if open := r.Operation == "livez" || r.Operation == "sealStatus"; open != (a.Status == 200) || !open && a.Problem(t) != "sealed" {
			t.Errorf("%s: %d %s", r.Operation, a.Status, a.Body)
		}
	}
	n.Nobody().Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Refused(t, "unauthorized")
	if a := n.Home.Admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Want(t, 200); a.Text(t, "sealed") != "false" {
		t.Error(string(a.Body))
	}
	n.Home.Admin.Do(t, "POST", "/v1/seal/open", appliancetest.JSON(`{"file":true}`)).Refused(t, "not-sealed")
	// The galleries are loaded again before it is ready.
	a := all.Do(t, "GET", "/readyz", nil)
	for end := time.Now().Add(10 * time.Second); a.Status == 503 && time.Now().Before(end); a = all.Do(t, "GET", "/readyz", nil) {
		time.Sleep(10 * time.Millisecond)
	}
	a.Want(t, 200)
}

// Every route that the table gives an action leaves it in the log, with the
// caller, the route and the request.
func TestEveryActIsInTheLog(t *testing.T) {
	n := appliancetest.Start(t, appliancetest.Port())
	all := n.Home.NewKey(t, access.Roles()...)
	have := appliancetest.Nothing()
	have["client"] = n.Home.NewKey(t, access.Monitor).ID
	have["member"] = all.Do(t, "GET", "/v1/cluster", nil).Want(t, 200).Text(t, "leader")
	type act struct{ log, action, route string }
	want := map[string]act{}
	for _, r := range access.Routes() {
		if r.Audit == "" {
			continue
		}
		switch r.Operation {
		case "setup", "transferLeadership", "removeMember": // the last two need another node
			continue
		case "cosignAudit":
			w := appliancetest.Witness(t)
			have["witness"], have["checkpoint"] = w.Vkey(), all.Cosigned(t, w, "tenant")
		}
		path, body, headers := appliancetest.Example(t, r, have)
		if r.Operation == "submitSession" {
			all.Put(t, have["session"], "selfie", appliancetest.Evidence(t).Selfie).Want(t, 200)
		}
		a := all.Do(t, r.Method, path, body, append(headers, "X-Request-Id: "+r.Operation+"-1")...)
		if a.Status >= 300 {
			t.Fatalf("%s: %d %s", r.Operation, a.Status, a.Body)
		}
		switch r.Operation {
		case "addSlot":
			have["seal"] = a.Text(t, "slot.id")
		case "addBlocked":
			have["entry"] = a.Text(t, "id")
		case "createSession":
			have["session"], have["subject"] = a.Text(t, "id"), a.Text(t, "subject")
		case "submitSession":
			if got := a.Text(t, "state"); got != "approved" {
				t.Errorf("the session is %s: %s", got, a.Body)
			}
		}
		want[r.Operation+"-1"] = act{"", string(r.Audit), r.Method + " " + r.Path}
	}
	system, own := n.Home.Admin.Leaves(t, "system"), n.Home.Leaves(t)
	for _, l := range slices.Concat(system, own) {
		if w := want[l.Req.RequestID]; w.action == l.Action && w.route == l.Req.Route && l.Actor["id"] == all.ID && l.Actor["authn"] == "key" {
			delete(want, l.Req.RequestID)
		}
	}
	for request, w := range want {
		t.Errorf("%s: the log has no %s", request, w.action)
	}
	if appliancetest.Counts(system)["setup.complete"] != 1 {
		t.Error("setup.complete is not once in the log")
	}
	for _, action := range []string{"cluster.found", "node.start", "model.load", "tenant.create", "client.create"} {
		if appliancetest.Counts(system)[action]+appliancetest.Counts(own)[action] == 0 {
			t.Errorf("no %s", action)
		}
	}
}
