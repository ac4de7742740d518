package client_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func TestNewRefuses(t *testing.T) {
	ca := start(t, ok("{}")).ca()
	for _, c := range []struct {
		name   string
		config client.Config
	}{
		{"no server", client.Config{CA: ca}},
		{"no scheme", client.Config{Server: "127.0.0.1:8443", CA: ca}},
		{"plain HTTP", client.Config{Server: "http://127.0.0.1:8443", CA: ca}},
		{"a path", client.Config{Server: "https://127.0.0.1:8443/v1", CA: ca}},
		{"a query", client.Config{Server: "https://127.0.0.1:8443?x", CA: ca}},
		{"a password", client.Config{Server: "https://u:" + key + "@127.0.0.1:8443", CA: ca}},
		{"a password and no address", client.Config{Server: "https://u:" + key + "@127.0.0.1:x y", CA: ca}},
		{"no CA", client.Config{Server: "https://127.0.0.1:8443"}},
		{"no PEM", client.Config{Server: "https://127.0.0.1:8443", CA: []byte("x")}},
	} {
		if _, err := client.New(c.config); !errors.Is(err, client.ErrConfig) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Every operation: method, path, query and headers as the contract has them.
func TestRequests(t *testing.T) {
	ctx := t.Context()
	for want, do := range map[string]func(*client.Client) error{
		"GET /v1/status":                    func(c *client.Client) error { _, err := c.Status(ctx); return err },
		"GET /v1/tenants":                   func(c *client.Client) error { _, err := c.Tenants(ctx); return err },
		"GET /v1/clients?cursor=a%2Bb":      func(c *client.Client) error { _, err := c.Clients(ctx, "a+b"); return err },
		"DELETE /v1/clients/cli_1":          func(c *client.Client) error { _, err := c.RevokeClient(ctx, "cli_1"); return err },
		"GET /v1/seal":                      func(c *client.Client) error { _, err := c.SealStatus(ctx); return err },
		"POST /v1/seal/close":               func(c *client.Client) error { _, err := c.Seal(ctx); return err },
		"POST /v1/seal/open":                func(c *client.Client) error { _, err := c.Unseal(ctx, api.UnsealRequest{}); return err },
		"POST /v1/seal/slots":               func(c *client.Client) error { _, err := c.AddSlot(ctx, api.SlotRequest{}); return err },
		"DELETE /v1/seal/slots/a%2Fb":       func(c *client.Client) error { _, err := c.RemoveSlot(ctx, "a/b"); return err },
		"GET /v1/sessions?cursor=x&limit=3": func(c *client.Client) error { _, err := c.Sessions(ctx, "x", 3); return err },
		"GET /v1/sessions/ses_1?wait=10s":   func(c *client.Client) error { _, err := c.Session(ctx, "ses_1", 10*time.Second); return err },
		"GET /v1/sessions/ses_1":            func(c *client.Client) error { _, err := c.Session(ctx, "ses_1", 0); return err },
		"DELETE /v1/subjects/sub_1?reason=legal": func(c *client.Client) error {
			_, err := c.EraseSubject(ctx, "sub_1", api.ErasureReason("legal"))
			return err
		},
		"GET /v1/audit/events?from=-5&log=system": func(c *client.Client) error { _, err := c.AuditEvents(ctx, "system", -5, 0); return err },
		"GET /v1/audit/proof/17":                  func(c *client.Client) error { _, err := c.AuditProof(ctx, "", 17); return err },
		"GET /v1/audit/key?log=tenant":            func(c *client.Client) error { _, err := c.AuditKey(ctx, "tenant"); return err },
		"GET /v1/audit/checkpoint":                func(c *client.Client) error { _, err := c.Checkpoint(ctx, ""); return err },
		"GET /v1/audit/consistency?from=3&to=9":   func(c *client.Client) error { _, err := c.Consistency(ctx, "", 3, 9); return err },
		"POST /v1/audit/search":                   func(c *client.Client) error { _, err := c.SearchAudit(ctx, api.AuditQuery{}); return err },
		"POST /v1/audit/exports":                  func(c *client.Client) error { return c.ExportAudit(ctx, api.AuditRange{}, "", io.Discard, nil) },
		"POST /v1/audit/cosignatures":             func(c *client.Client) error { _, err := c.CosignAudit(ctx, api.CosignRequest{}); return err },
		"GET /v1/audit/trust":                     func(c *client.Client) error { _, err := c.AuditTrust(ctx); return err },
		"POST /v1/audit/keys/rotate":              func(c *client.Client) error { _, err := c.RotateAuditKey(ctx); return err },
		"POST /v1/audit/keys/retire":              func(c *client.Client) error { _, err := c.RetireAuditKey(ctx, false); return err },
		"POST /v1/audit/keys/retire?early=true":   func(c *client.Client) error { _, err := c.RetireAuditKey(ctx, true); return err },
	} {
		n := start(t, ok("{}"))
		if err := do(n.client(t)); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		got := n.received()[0]
		if got.method+" "+got.uri != want || got.proto != "HTTP/2.0" || got.header.Get("Authorization") != "Bearer "+key || got.header.Get("Idempotency-Key") != "" {
			t.Errorf("%s: %+v", want, got)
		}
	}
}

func TestPostsCarryAnIdempotencyKey(t *testing.T) {
	ctx := t.Context()
	for want, do := range map[string]func(*client.Client, string) error{
		"/v1/setup": func(c *client.Client, k string) error { _, err := c.Setup(ctx, k, api.SetupRequest{}); return err },
		"/v1/tenants": func(c *client.Client, k string) error {
			_, err := c.CreateTenant(ctx, k, api.TenantRequest{})
			return err
		},
		"/v1/clients": func(c *client.Client, k string) error {
			_, err := c.CreateClient(ctx, k, api.ClientRequest{})
			return err
		},
		"/v1/sessions": func(c *client.Client, k string) error {
			_, err := c.CreateSession(ctx, k, api.SessionRequest{})
			return err
		},
		"/v1/sessions/ses_1/submit?wait=1m0s": func(c *client.Client, k string) error {
			_, err := c.Submit(ctx, k, "ses_1", time.Minute)
			return err
		},
		"/v1/verifications": func(c *client.Client, k string) error {
			_, err := c.Verify(ctx, k, 0, client.Verification{DocumentFront: picture(t, png), Selfie: picture(t, jpeg)})
			return err
		},
	} {
		n := start(t, ok("{}"))
		c := n.client(t)
		if err := errors.Join(do(c, "mine"), do(c, ""), do(c, "")); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		var keys []string
		for _, got := range n.received() {
			if got.method != http.MethodPost || got.uri != want {
				t.Errorf("%s: %s %s", want, got.method, got.uri)
			}
			keys = append(keys, got.header.Get("Idempotency-Key"))
		}
		if keys[0] != "mine" || len(keys[1]) < 20 || keys[1] == keys[2] {
			t.Errorf("%s: keys %q", want, keys)
		}
	}
}

func TestUpload(t *testing.T) {
	for want, content := range map[string][]byte{"image/jpeg": jpeg, "image/png": png, "image/webp": webp} {
		n := start(t, ok("{}"))
		if _, err := n.client(t).PutEvidence(t.Context(), "ses_1", "selfie", picture(t, content)); err != nil {
			t.Fatal(err)
		}
		got := n.received()[0]
		if got.method != http.MethodPut || got.uri != "/v1/sessions/ses_1/evidence/selfie" || got.header.Get("Content-Type") != want || !bytes.Equal(got.body, content) {
			t.Errorf("%s: %s %s %v, %d bytes", want, got.method, got.uri, got.header, len(got.body))
		}
	}
	for _, content := range []string{"", "GIF89a........", "%PDF-1.7", "<svg/>"} {
		if _, err := client.NewPicture(strings.NewReader(content), int64(len(content))); !errors.Is(err, client.ErrPicture) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := client.NewPicture(bytes.NewReader(jpeg), 20<<20+1); !errors.Is(err, client.ErrPicture) {
		t.Errorf("too large: %v", err)
	}
}

func TestVerificationForm(t *testing.T) {
	n := start(t, problem(429, "Retry-After", "0"), says(202, "application/json", `{"id":"ses_1"}`))
	v := client.Verification{Session: api.SessionRequest{Kind: "identity"}, DocumentFront: picture(t, png), DocumentBack: picture(t, webp), Selfie: picture(t, jpeg)}
	s, err := n.client(t).Verify(t.Context(), "k", 10*time.Second, v)
	if err != nil || s.Id != "ses_1" {
		t.Fatal(s, err)
	}
	calls := n.received()
	if len(calls) != 2 || !bytes.Equal(calls[0].body, calls[1].body) || calls[0].header.Get("Content-Type") != calls[1].header.Get("Content-Type") {
		t.Fatalf("%d calls, or they differ", len(calls))
	}
	_, params, err := mime.ParseMediaType(calls[1].header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(bytes.NewReader(calls[1].body), params["boundary"])
	for _, want := range []struct{ name, kind, content string }{
		{"session", "application/json", ""}, {"document_front", "image/png", string(png)}, {"document_back", "image/webp", string(webp)}, {"selfie", "image/jpeg", string(jpeg)},
	} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil || p.FormName() != want.name || p.Header.Get("Content-Type") != want.kind || want.content != "" && string(b) != want.content {
			t.Errorf("%s: %s %v, %d bytes, %v", want.name, p.FormName(), p.Header, len(b), err)
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		t.Errorf("another part: %v", err)
	}
}

func TestPurpose(t *testing.T) {
	n := start(t, says(200, "image/jpeg", string(jpeg)), ok("{}"))
	c := n.client(t)
	var b bytes.Buffer
	kind, err := c.Evidence(t.Context(), "ses_1", "selfie", "review", &b)
	if err != nil || kind != "image/jpeg" || !bytes.Equal(b.Bytes(), jpeg) {
		t.Fatal(kind, err)
	}
	if _, err := c.Result(t.Context(), "ses_1", "legal"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subject(t.Context(), "sub_1", "audit"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"review", "legal", "audit"} {
		if got := n.received()[i].header.Get("Purpose"); got != want {
			t.Errorf("purpose %q, want %q", got, want)
		}
	}
}

// Numbers of an event stay as they were written, beyond what a float keeps.
func TestNumbersAreExact(t *testing.T) {
	n := start(t, ok(`{"origin":"o","size":1,"events":[{"index":9007199254740993}],"of_a_newer_node":1}`))
	page, err := n.client(t).AuditEvents(t.Context(), "", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := page.Events[0]["index"]; got != any(json.Number("9007199254740993")) {
		t.Errorf("%v (%T)", got, got)
	}
}

func TestNoPathIsClimbed(t *testing.T) {
	n := start(t, ok("{}"))
	for _, id := range []string{"", ".", ".."} {
		if _, err := n.client(t).Session(t.Context(), id, 0); !errors.Is(err, client.ErrName) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if got := n.received(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// selfSigned gives a certificate that nobody else signed.
func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTrust(t *testing.T) {
	n := start(t, ok("{}"))
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = log.New(io.Discard, "", 0)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
	old.StartTLS()
	t.Cleanup(old.Close)
	_, foreign := selfSigned(t)
	for _, c := range []struct {
		name, server string
		ca           []byte
		want         error
	}{
		{"the pinned CA", n.URL, n.ca(), nil},
		{"another CA", n.URL, foreign, client.ErrUntrusted},
		{"another name", strings.Replace(n.URL, "127.0.0.1", "localhost", 1), n.ca(), client.ErrUntrusted},
		{"TLS 1.2", old.URL, n.ca(), client.ErrUnreachable},
	} {
		node, err := client.New(client.Config{Server: c.server, CA: c.ca, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := node.Status(t.Context()); !errors.Is(err, c.want) || err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	mine, _ := selfSigned(t)
	n := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if shown := r.TLS.PeerCertificates; len(shown) != 1 || !bytes.Equal(shown[0].Raw, mine.Certificate[0]) || r.Header.Get("Authorization") != "" {
			t.Errorf("%d certificates, authorization %q", len(shown), r.Header.Get("Authorization"))
		}
		ok("{}")(w)
	}))
	n.EnableHTTP2, n.TLS = true, &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	n.StartTLS()
	t.Cleanup(n.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.Certificate().Raw})
	c, err := client.New(client.Config{Server: n.URL, CA: ca, Certificate: &mine})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	to := start(t, ok("{}"))
	n := start(t, says(http.StatusTemporaryRedirect, "text/plain", "", "Location", to.URL+"/v1/status"))
	_, err := n.client(t).Status(t.Context())
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != http.StatusTemporaryRedirect || len(to.received()) != 0 {
		t.Errorf("%v; %d calls of the other", err, len(to.received()))
	}
}

func TestProblem(t *testing.T) {
	n := start(t, problem(422, "Retry-After", "7"))
	_, err := n.client(t).Status(t.Context())
	var p *client.Problem
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	want := client.Problem{Status: 422, Type: "urn:gatehouse:problem:x", Title: "X", Detail: "what went wrong", Field: "name", Limit: "128", Next: "do this", RequestID: "req_1", RetryAfter: 7 * time.Second}
	if *p != want || p.Error() != "what went wrong (limit: 128); do this (req_1)" {
		t.Errorf("%+v: %v", *p, p)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer answer
		want   string
	}{
		{"an error that is no problem", says(500, "text/html", "<h1>no</h1>"), "answered 500"},
		{"a problem that cannot be read", says(500, "application/problem+json", "{"), "answered 500"},
		{"an empty problem", says(500, "application/problem+json", "{}"), "answered 500"},
		{"no JSON", ok("<html>"), "cannot be read"},
		{"cut JSON", ok(`{"version":"1`), "cannot be read"},
		{"too much", ok(`{"version":"` + strings.Repeat("x", 17<<20) + `"}`), "more than"},
	} {
		if _, err := start(t, c.answer).client(t).Status(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
