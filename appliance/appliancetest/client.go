package appliancetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"gatehouse/appliance/access"
)

// Client calls the node with one credential.
type Client struct {
	Key  string       // empty: no credential
	ID   string       // of the client
	HTTP *http.Client // nil: the node's pinned one

	node *Node
}

// Tenant with its administrator.
type Tenant struct {
	ID    string
	Admin *Client

	keys map[string]*Client
}

// Answer to a request, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON reads the body.
func (a *Answer) JSON(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("%d %.300s: %v", a.Status, a.Body, err)
	}
}

// Text of a member of the body, by its path with dots; "" where it is absent.
func (a *Answer) Text(t testing.TB, path string) string {
	t.Helper()
	var v any
	a.JSON(t, &v)
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Problem is the last part of the problem's type; "" where it is none.
func (a *Answer) Problem(t testing.TB) string {
	t.Helper()
	if a.Header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	return strings.TrimPrefix(a.Text(t, "type"), "urn:gatehouse:problem:")
}

// Want fails the test where the status is another.
func (a *Answer) Want(t testing.TB, status int) *Answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%d, want %d: %.500s", a.Status, status, a.Body)
	}
	return a
}

// Refused fails the test where the answer is not this problem.
func (a *Answer) Refused(t testing.TB, kind string) *Answer {
	t.Helper()
	if got := a.Problem(t); got != kind {
		t.Errorf("problem %q, want %q: %d %.500s", got, kind, a.Status, a.Body)
	}
	return a
}

// Body of a request with its media type.
type Body struct {
	Kind  string
	Bytes []byte
}

// JSON body of a value, or of a text as it is.
func JSON(v any) *Body {
	if s, ok := v.(string); ok {
		return &Body{"application/json", []byte(s)}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return &Body{"application/json", []byte(err.Error())} // the node refuses it
	}
	return &Body{"application/json", b}
}

// Part of a form.
type Part struct {
	Name, Kind string
	Bytes      []byte
}

// Form is a multipart body.
func Form(t testing.TB, parts ...Part) *Body {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("the-boundary-of-the-test"); err != nil { // the same bytes each time
		t.Fatal(err)
	}
	for _, p := range parts {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=x", p.Name)}}
		if p.Kind != "" {
			h.Set("Content-Type", p.Kind)
		}
		out, err := w.CreatePart(h)
		if err == nil {
			_, err = out.Write(p.Bytes)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &Body{w.FormDataContentType(), b.Bytes()}
}

// Do sends a request and holds the answer against the description. Headers are
// "Name: value".
func (c *Client) Do(t testing.TB, method, path string, body *Body, headers ...string) *Answer {
	t.Helper()
	r := c.Request(t, method, path, body, headers...)
	a, err := c.Send(r)
	if err != nil {
		t.Fatal(err)
	}
	c.node.contract.check(t, r, a)
	return a
}

// Request makes what Do sends.
func (c *Client) Request(t testing.TB, method, path string, body *Body, headers ...string) *http.Request {
	t.Helper()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body.Bytes)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+c.node.Address()+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", body.Kind)
	}
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// Send sends a request and reads the answer.
func (c *Client) Send(r *http.Request) (*Answer, error) {
	client := c.HTTP
	if client == nil {
		client = c.node.http
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return &Answer{res.StatusCode, res.Header, b}, err
}

// As is the same node with another credential.
func (n *Node) As(key string) *Client { return &Client{Key: key, node: n} }

// Nobody has no credential.
func (n *Node) Nobody() *Client { return n.As("") }

func (n *Node) setUp(t testing.TB) *Tenant {
	t.Helper()
	a := n.Nobody().Do(t, "POST", "/v1/setup", JSON(map[string]string{"code": n.SetupCode(), "organisation": "First Bank", "name": "head office"})).Want(t, 201)
	return n.enrolled(t, a)
}

func (n *Node) enrolled(t testing.TB, a *Answer) *Tenant {
	t.Helper()
	return &Tenant{ID: a.Text(t, "tenant"), Admin: &Client{Key: a.Text(t, "key"), ID: a.Text(t, "client.id"), node: n}, keys: map[string]*Client{}}
}

// Tenant makes another tenant.
func (n *Node) Tenant(t testing.TB) *Tenant {
	t.Helper()
	return n.enrolled(t, n.Home.Admin.Do(t, "POST", "/v1/tenants", JSON(map[string]string{"organisation": t.Name(), "name": "administrator"})).Want(t, 201))
}

// Key gives a client of the tenant that has these roles and an API key. The
// same roles give the same client.
func (n *Tenant) Key(t testing.TB, roles ...access.Role) *Client {
	t.Helper()
	id := fmt.Sprint(slices.Sorted(slices.Values(roles)))
	if n.keys[id] == nil {
		n.keys[id] = n.NewKey(t, roles...)
	}
	return n.keys[id]
}

// NewKey makes a client with these roles.
func (n *Tenant) NewKey(t testing.TB, roles ...access.Role) *Client {
	t.Helper()
	a := n.Admin.Do(t, "POST", "/v1/clients", JSON(map[string]any{"name": "test", "roles": roles})).Want(t, 201)
	return &Client{Key: a.Text(t, "key"), ID: a.Text(t, "client.id"), node: n.Admin.node}
}

// Leaf of an audit log, as far as tests look.
type Leaf struct {
	Seq     int64             `json:"seq"`
	Action  string            `json:"action"`
	Result  string            `json:"result"`
	Reason  string            `json:"reason"`
	Subject string            `json:"subject_ref"`
	Actor   map[string]string `json:"actor"`
	Object  map[string]string `json:"object"`
	Req     struct {
		RequestID string `json:"request_id"`
		Route     string `json:"route"`
	} `json:"req"`
	Data map[string]any    `json:"data"`
	PII  map[string]string `json:"pii"`
}

// Leaves reads a tenant's whole log through the API; reading adds to it.
func (n *Tenant) Leaves(t testing.TB) []Leaf {
	t.Helper()
	return n.Key(t, access.Auditor).Leaves(t, "tenant")
}

// Leaves reads the log "tenant" or "system".
func (c *Client) Leaves(t testing.TB, log string) []Leaf {
	t.Helper()
	var all []Leaf
	for from := int64(0); ; {
		var page struct {
			Events []Leaf
			Next   *int64
		}
		c.Do(t, "GET", fmt.Sprintf("/v1/audit/events?log=%s&from=%d&limit=200", log, from), nil).Want(t, 200).JSON(t, &page)
		all = append(all, page.Events...)
		if page.Next == nil {
			return all
		}
		from = *page.Next
	}
}

// Counts says how often each action stands in leaves.
func Counts(leaves []Leaf) map[string]int {
	n := map[string]int{}
	for _, l := range leaves {
		n[l.Action]++
	}
	return n
}

// Without gives what is in b and not in a, by action.
func Without(a, b map[string]int) map[string]int {
	d := maps.Clone(b)
	for k, n := range a {
		if d[k] -= n; d[k] == 0 {
			delete(d, k)
		}
	}
	return d
}
