package client_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"testing"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// What each operation of the galleries sends.
func TestGalleryRequests(t *testing.T) {
	ctx := t.Context()
	for want, do := range map[string]func(*client.Client) error{
		"GET /v1/gallery":                          func(c *client.Client) error { _, err := c.Gallery(ctx); return err },
		"GET /v1/blocklist?cursor=x&limit=3":       func(c *client.Client) error { _, err := c.Blocklist(ctx, "x", 3); return err },
		"GET /v1/blocklist/blk_1":                  func(c *client.Client) error { _, err := c.Blocked(ctx, "blk_1", "audit"); return err },
		"DELETE /v1/blocklist/blk_1?reason=legal":  func(c *client.Client) error { _, err := c.RemoveBlocked(ctx, "blk_1", "legal"); return err },
		"GET /v1/blocklist/a%2Fb":                  func(c *client.Client) error { _, err := c.Blocked(ctx, "a/b", "audit"); return err },
		"DELETE /v1/blocklist/..%2Fx?reason=legal": func(c *client.Client) error { _, err := c.RemoveBlocked(ctx, "../x", "legal"); return err },
		"GET /v1/blocklist":                        func(c *client.Client) error { _, err := c.Blocklist(ctx, "", 0); return err },
	} {
		n := start(t, ok("{}"))
		if err := do(n.client(t)); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := n.received()[0]; got.method+" "+got.uri != want || got.header.Get("Idempotency-Key") != "" {
			t.Errorf("%s: %+v", want, got)
		}
	}
	for want, do := range map[string]func(*client.Client, string) error{
		"/v1/faces/search": func(c *client.Client, k string) error {
			_, err := c.SearchFaces(ctx, k, "audit", client.FaceQuery{Probe: client.Probe{Session: "ses_1"}})
			return err
		},
		"/v1/blocklist": func(c *client.Client, k string) error {
			_, err := c.AddBlocked(ctx, k, "why", client.Probe{Session: "ses_1"})
			return err
		},
		"/v1/gallery/rebuild": func(c *client.Client, k string) error { _, err := c.RebuildGallery(ctx, k, true); return err },
		"/v1/gallery/verify":  func(c *client.Client, k string) error { _, err := c.VerifyGallery(ctx, k); return err },
	} {
		n := start(t, ok("{}"))
		c := n.client(t)
		if err := errors.Join(do(c, "mine"), do(c, ""), do(c, "")); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		var keys []string
		for _, got := range n.received() {
			if got.method != "POST" || got.uri != want {
				t.Errorf("%s: %s %s", want, got.method, got.uri)
			}
			keys = append(keys, got.header.Get("Idempotency-Key"))
		}
		if keys[0] != "mine" || len(keys[1]) < 20 || keys[1] == keys[2] {
			t.Errorf("%s: keys %q", want, keys)
		}
	}
}

// A form holds what was given, the same when it is sent again, and nothing of
// what was left to the node.
func TestFaceForms(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*client.Client) error
		want map[string]string
	}{
		{"picture", func(c *client.Client) error {
			_, err := c.SearchFaces(t.Context(), "k", "review", client.FaceQuery{Probe: client.Probe{Picture: picture(t, jpeg)}})
			return err
		}, map[string]string{"face": string(jpeg)}},
		{"session", func(c *client.Client) error {
			_, err := c.SearchFaces(t.Context(), "k", "review", client.FaceQuery{Probe: client.Probe{Session: "ses_1"}, K: 7, FPIR: 0.001, List: api.SearchFormListBlocklist, Engine: api.SearchFormEngineGraph})
			return err
		}, map[string]string{"session": "ses_1", "k": "7", "fpir": "0.001", "list": "blocklist", "engine": "graph"}},
		{"reason", func(c *client.Client) error {
			_, err := c.AddBlocked(t.Context(), "k", "Müller\nknows", client.Probe{Picture: picture(t, png)})
			return err
		}, map[string]string{"reason": "Müller\nknows", "face": string(png)}},
	} {
		n := start(t, problem(503, "Retry-After", "0"), ok("{}"))
		if err := c.do(n.client(t)); err != nil {
			t.Fatal(err)
		}
		calls := n.received()
		if len(calls) != 2 || !bytes.Equal(calls[0].body, calls[1].body) {
			t.Fatalf("%s: %d calls, or they differ", c.name, len(calls))
		}
		if purpose := calls[1].header.Get("Purpose"); (purpose == "review") != (c.name != "reason") {
			t.Errorf("%s: purpose %q", c.name, purpose)
		}
		_, params, err := mime.ParseMediaType(calls[1].header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for parts := multipart.NewReader(bytes.NewReader(calls[1].body), params["boundary"]); ; {
			p, err := parts.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			got[p.FormName()] = string(b)
		}
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: %s is %.80q", c.name, name, got[name])
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d parts, want %d", c.name, len(got), len(c.want))
		}
	}
}
