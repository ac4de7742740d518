package api_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
	"gatehouse/appliance/problem"
)

func TestDescriptionIsValid(t *testing.T) {
	if err := appliancetest.Description(t).Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
}

// The table of routes and the description say the same.
func TestTableIsTheDescription(t *testing.T) {
	doc := appliancetest.Description(t)
	type operation struct {
		id   string
		open bool
	}
	want := map[string]operation{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			want[method+" "+path] = operation{o.OperationID, o.Security != nil && len(*o.Security) == 0}
		}
	}
	for _, r := range access.Routes() {
		pattern := r.Method + " " + r.Path
		if w, ok := want[pattern]; !ok || w.id != r.Operation || w.open != (len(r.Roles) == 0) {
			t.Errorf("%s is %s for %v, the description says %+v", pattern, r.Operation, r.Roles, w)
		}
		if r.Method == "POST" || r.Method == "PUT" || r.Method == "DELETE" {
			if r.Audit == "" {
				t.Errorf("%s changes something, and leaves nothing in the log", pattern)
			}
		}
		delete(want, pattern)
	}
	for pattern := range want {
		t.Errorf("the table has no %s", pattern)
	}
	roles := doc.Components.Schemas["Role"].Value.Enum
	for _, r := range access.Roles() {
		if !slices.Contains(roles, any(string(r))) {
			t.Errorf("the description has no role %s", r)
		}
	}
	if len(roles) != len(access.Roles()) {
		t.Errorf("the description has %d roles, the table %d", len(roles), len(access.Roles()))
	}
}

func TestDescriptionIsServed(t *testing.T) {
	_, home := tenant(t)
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if a := home.Admin.Do(t, "GET", "/v1/openapi.yaml", nil).Want(t, 200); string(a.Body) != string(want) {
		t.Error("another description is served")
	}
	a := home.Admin.Do(t, "GET", "/v1/docs", nil).Want(t, 200)
	for _, r := range access.Routes() {
		if !strings.Contains(string(a.Body), r.Path) {
			t.Errorf("the page does not have %s", r.Path)
		}
	}
	if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("Content-Security-Policy: %q", a.Header.Get("Content-Security-Policy"))
	}
}

// shown says whether the description has an example of an operation's JSON body.
func shown(doc *openapi3.T, id string) bool {
	for _, item := range doc.Paths.Map() {
		for _, o := range item.Operations() {
			if o.OperationID == id && o.RequestBody != nil && o.RequestBody.Value.Content["application/json"] != nil {
				return o.RequestBody.Value.Content["application/json"].Example != nil
			}
		}
	}
	return false
}

// Every example of a request is sent, in the order of the table.
func TestExamples(t *testing.T) {
	doc := appliancetest.Description(t)
	n := appliancetest.Open(t, appliancetest.Port())
	if day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC); time.Now().Before(day) {
		n.Clock.Advance(time.Until(day)) // the day of the examples
	}
	sent := 0
	send := func(c *appliancetest.Client, id string, change map[string]string) *appliancetest.Answer {
		t.Helper()
		for path, item := range doc.Paths.Map() {
			for method, o := range item.Operations() {
				if o.OperationID != id {
					continue
				}
				example, ok := o.RequestBody.Value.Content["application/json"].Example.(map[string]any)
				if !ok {
					t.Fatalf("%s has no example", id)
				}
				for name, value := range change {
					if in := "{" + name + "}"; strings.Contains(path, in) {
						path = strings.ReplaceAll(path, in, value)
						continue
					}
					example[name] = value
				}
				sent++
				return c.Do(t, method, path, appliancetest.JSON(example))
			}
		}
		t.Fatalf("no operation %s", id)
		return nil
	}
	send(n.Nobody(), "setup", nil).Refused(t, "wrong-setup-code") // nobody has that code
	n.Clock.Advance(time.Minute)                                  // the delay after it
	admin := n.As(send(n.Nobody(), "setup", map[string]string{"code": n.SetupCode()}).Want(t, 201).Text(t, "key"))
	sent--
	send(admin, "createTenant", nil).Want(t, 201)
	branch := n.As(send(admin, "createClient", nil).Want(t, 201).Text(t, "key"))
	send(branch, "createSession", nil).Want(t, 201)
	send(admin, "addSlot", nil).Want(t, 201)
	send(admin, "rebuildGallery", nil).Want(t, 202)
	w := appliancetest.Witness(t)
	for id, change := range map[string]map[string]string{ // what the log has, no example can know
		"searchAudit": nil, "exportAudit": nil, "cosignAudit": {"witness": w.Vkey(), "checkpoint": admin.Cosigned(t, w, "tenant")},
	} {
		if shown(doc, id) {
			if a := send(admin, id, change); a.Status >= 300 {
				t.Errorf("%s: %d %s", id, a.Status, a.Body)
			}
		}
	}
	send(admin, "inviteNode", nil).Want(t, 201)
	send(admin, "transferLeadership", nil).Refused(t, "cluster-state") // it is alone
	self := admin.Do(t, "GET", "/v1/cluster", nil).Want(t, 200).Text(t, "leader")
	send(admin, "changeMember", map[string]string{"member": self}).Want(t, 200)
	admin.Do(t, "POST", "/v1/seal/close", nil).Want(t, 200)
	send(admin, "unseal", nil).Want(t, 200)
	all := 0
	for _, item := range doc.Paths.Map() {
		for _, o := range item.Operations() {
			if shown(doc, o.OperationID) {
				all++
			}
			for status, r := range o.Responses.Map() {
				for kind, media := range r.Value.Content {
					if s, ok := media.Example.(string); ok && status == "200" && kind == "text/plain" {
						if a := n.Nobody().Do(t, "GET", "/livez", nil).Want(t, 200); string(a.Body) != s {
							t.Errorf("%s answers %q, the example is %q", o.OperationID, a.Body, s)
						}
					}
				}
			}
		}
	}
	if sent != all {
		t.Errorf("%d of %d examples were sent", sent, all)
	}
}

// The problem that the description shows is one that the node gives.
func TestExampleOfAProblem(t *testing.T) {
	example, ok := appliancetest.Description(t).Components.Responses["Failure"].Value.Content["application/problem+json"].Example.(map[string]any)
	if !ok {
		t.Fatal("no example")
	}
	kind := problem.Kind(strings.TrimPrefix(example["type"].(string), "urn:gatehouse:problem:"))
	b, err := json.Marshal(example["status"])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(problem.Kinds(), kind) || example["title"] != kind.Title() || string(b) != "409" || kind.Status() != 409 || example["next"] != problem.New(kind, "").Advice() {
		t.Errorf("example %v of %s", example, kind)
	}
}
