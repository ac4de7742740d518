package appliancetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// contract is the API's description.
type contract struct{ doc *openapi3.T }

// Description reads appliance/api/openapi.yaml, wherever in the tree the test
// runs.
func Description(t testing.TB) *openapi3.T {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(dir, "appliance", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// asText has the validator take these bodies as they are.
var asText = sync.OnceFunc(func() {
	for _, kind := range []string{"image/jpeg", "image/png", "image/webp", "text/event-stream", "text/html", "application/x-tar"} {
		openapi3filter.RegisterBodyDecoder(kind, func(b io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			all, err := io.ReadAll(b)
			return string(all), err
		})
	}
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.RegisteredBodyDecoder("text/plain"))
})

func describe(t testing.TB) *contract {
	t.Helper()
	asText()
	return &contract{Description(t)}
}

// route finds the operation of a request; nil where the description has none.
func (c *contract) route(method, path string) *routers.Route {
	parts := strings.Split(path, "/")
	var best *routers.Route
	for template, item := range c.doc.Paths.Map() {
		names := strings.Split(template, "/")
		if len(names) != len(parts) || item.GetOperation(method) == nil {
			continue
		}
		fits := true
		for i, name := range names {
			fits = fits && (name == parts[i] || strings.HasPrefix(name, "{") && parts[i] != "")
		}
		if fits && (best == nil || !strings.Contains(template, "{")) {
			best = &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)}
		}
	}
	return best
}

// check holds an answer against the description; what answers a request that
// the description does not know must be a problem document.
func (c *contract) check(t testing.TB, r *http.Request, a *Answer) {
	t.Helper()
	for _, header := range []string{"X-Request-Id", "Cache-Control"} {
		if a.Header.Get(header) == "" {
			t.Errorf("%s %s: the answer has no %s", r.Method, r.URL, header)
		}
	}
	route := c.route(r.Method, r.URL.EscapedPath())
	if route == nil {
		if r.Method != http.MethodHead {
			c.problem(t, r, a)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}},
		Status:                 a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if a.Status == http.StatusNotModified { // without a body
		in.Options.ExcludeResponseBody = true
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		t.Errorf("%s %s: %d %.300s: %v", r.Method, r.URL, a.Status, a.Body, err)
	}
	isProblem := a.Header.Get("Content-Type") == "application/problem+json"
	if known := route.Operation.Responses.Status(a.Status); known == nil || isProblem && known.Value.Content["application/problem+json"] != nil {
		c.problem(t, r, a)
	} else if isProblem {
		t.Errorf("%s %s: %d is a problem: %.300s", r.Method, r.URL, a.Status, a.Body)
	}
}

// problem checks a problem document.
func (c *contract) problem(t testing.TB, r *http.Request, a *Answer) {
	t.Helper()
	if kind := a.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s %s: %d is %s: %.300s", r.Method, r.URL, a.Status, kind, a.Body)
		return
	}
	var v map[string]any
	a.JSON(t, &v)
	if err := c.doc.Components.Schemas["Problem"].Value.VisitJSON(v); err != nil {
		t.Errorf("%s %s: %.300s: %v", r.Method, r.URL, a.Body, err)
	}
	if v["status"] != float64(a.Status) || v["request_id"] != a.Header.Get("X-Request-Id") || v["next"] == nil || !strings.HasPrefix(v["type"].(string), "urn:gatehouse:problem:") {
		t.Errorf("%s %s: %d %.300s", r.Method, r.URL, a.Status, a.Body)
	}
}
