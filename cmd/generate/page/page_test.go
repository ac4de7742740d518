package main

import (
	"bytes"
	"html"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
)

func description(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../../appliance/api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rendered(t *testing.T, description []byte) string {
	t.Helper()
	b, err := render(description)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRenderingIsStable(t *testing.T) {
	first := rendered(t, description(t))
	for range 5 {
		if rendered(t, description(t)) != first {
			t.Fatal("the same description gave another page")
		}
	}
}

func TestThePageIsTheOneThatIsCheckedIn(t *testing.T) {
	want, err := os.ReadFile("../../../appliance/api/api.html")
	if err != nil {
		t.Fatal(err)
	}
	if rendered(t, description(t)) != string(want) {
		t.Error("appliance/api/api.html is stale; run go run ./cmd/generate")
	}
}

func TestEverythingIsOnThePage(t *testing.T) {
	page := rendered(t, description(t))
	api, err := openapi3.NewLoader().LoadFromData(description(t))
	if err != nil {
		t.Fatal(err)
	}
	once := func(text string) {
		t.Helper()
		if n := strings.Count(page, text); n != 1 {
			t.Errorf("%s stands %d times on the page", text, n)
		}
	}
	for _, item := range api.Paths.Map() {
		for _, o := range item.Operations() {
			once(`<h3 id="` + o.OperationID + `">`)
		}
	}
	for name := range api.Components.Schemas {
		once(`<h3 id="schema-` + name + `">`)
	}
	for _, k := range problem.Kinds() {
		once(`<code id="problem-` + string(k) + `">`)
	}
	for _, r := range access.Routes() {
		if r.Audit != "" && !strings.Contains(section(page, r.Operation), "<code>"+string(r.Audit)+"</code>") {
			t.Errorf("%s does not say that it leaves %s in the audit log", r.Operation, r.Audit)
		}
		for _, role := range r.Roles {
			if s := section(page, r.Operation); !strings.Contains(s, "<code>"+string(role)+"</code>") && !strings.Contains(s, "every credential") {
				t.Errorf("%s does not say that %s may call it", r.Operation, role)
			}
		}
	}
}

// section of an operation.
func section(page, operation string) string {
	_, rest, _ := strings.Cut(page, `<h3 id="`+operation+`">`)
	s, _, _ := strings.Cut(rest, "<h3 ")
	return s
}

func TestLinksLeadSomewhere(t *testing.T) {
	page := rendered(t, description(t))
	for _, part := range strings.Split(page, `href="`)[1:] {
		target, _, _ := strings.Cut(part, `"`)
		id, ours := strings.CutPrefix(target, "#")
		if !ours {
			t.Errorf("%s leads off the page", target)
		} else if n := strings.Count(page, ` id="`+id+`"`); n != 1 {
			t.Errorf("%s leads to %d places", target, n)
		}
	}
	for _, outside := range []string{"<script", "src=", "@import", "url(", "<link"} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %s", outside)
		}
	}
}

func TestTextIsEscaped(t *testing.T) {
	const evil = `<script>a(1)</script>`
	b := string(description(t))
	for _, place := range []string{"The process is alive", "{description: Alive", "Which part of the request", "Until it is unsealed",
		"Identity verification on your own servers", "{name: sessions, description: One verification each", "customer 4711"} {
		name, _, found := strings.Cut(place, "description: ")
		if name += "description: "; !found {
			name = ""
		}
		changed := strings.Replace(b, place, name+evil, 1)
		if changed == b {
			t.Fatalf("the description has no %q", place)
		}
		page := rendered(t, []byte(changed))
		if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;a(1)&lt;/script&gt;") {
			t.Errorf("in place of %q it is not escaped, or not shown", place)
		}
	}
}

func TestDescriptionAndTableMustAgree(t *testing.T) {
	b := description(t)
	for _, c := range []struct{ old, new, want string }{
		{"  /livez:", "  /live:", "livez"},
		{"operationId: livez", "operationId: alive", "livez"},
		{"tags: [subjects]\n      summary: Erase a person", "tags: [persons]\n      summary: Erase a person", `"persons"`},
		{"openapi: 3.0.3", "openapi: [", "yaml"},
		{"paths:\n", "paths:\n  /v2:\n    get: {operationId: new, tags: [audit], responses: {default: {$ref: \"#/components/responses/Failure\"}}}\n", "GET /v2"},
	} {
		changed := bytes.Replace(b, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(changed, b) {
			t.Fatalf("the description has no %q", c.old)
		}
		if _, err := render(changed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v", c.new, err)
		}
	}
}

func TestProse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"one\nline\n\ntwo\n", "<p>one\nline</p>\n<p>two</p>\n"},
		{"**Who** may `a**b**<c>`.", "<p><b>Who</b> may <code>a**b**&lt;c&gt;</code>.</p>\n"},
		{"- one `x`\n- two\n  goes on", "<ul>\n<li>one <code>x</code></li>\n<li>two\n  goes on</li>\n</ul>\n"},
		{"a * b ** c ` d <", "<p>a * b ** c ` d &lt;</p>\n"},
		{`"quoted" & 'so'`, "<p>" + html.EscapeString(`"quoted" & 'so'`) + "</p>\n"},
	} {
		if got := string(prose(c.text)); got != c.want {
			t.Errorf("%q gave %q", c.text, got)
		}
	}
}

func TestLimitsAreShown(t *testing.T) {
	page := rendered(t, description(t))
	for _, want := range []string{
		"string, 1 to 255 characters", "integer, 1 to 200", "list of <a href=\"#schema-Role\">Role</a>, 1 to 7 items",
		"string, at most 64 characters", "int64 integer, 0 to 9007199254740991", "date-time", "double number or null",
		"<code>checks[].name</code>", "<code>jobs.service_ms</code>", "object, each member: double number", "object with any members",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
