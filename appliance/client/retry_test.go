package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

func TestRetries(t *testing.T) {
	status := func(ctx context.Context, c *client.Client) error { _, err := c.Status(ctx); return err }
	create := func(ctx context.Context, c *client.Client) error {
		_, err := c.CreateSession(ctx, "", api.SessionRequest{})
		return err
	}
	revoke := func(ctx context.Context, c *client.Client) error { _, err := c.RevokeClient(ctx, "cli_1"); return err }
	unseal := func(ctx context.Context, c *client.Client) error {
		_, err := c.Unseal(ctx, api.UnsealRequest{})
		return err
	}
	put := func(ctx context.Context, c *client.Client) error {
		_, err := c.PutEvidence(ctx, "ses_1", "selfie", picture(t, png))
		return err
	}
	for _, c := range []struct {
		name   string
		first  answer
		do     func(context.Context, *client.Client) error
		calls  int
		passes bool
	}{
		{"busy", problem(429, "Retry-After", "0"), status, 2, true},
		{"busy until a time that is past", problem(429, "Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"), status, 2, true},
		{"busy, with a key", problem(429, "Retry-After", "0"), create, 2, true},
		{"busy, refused before anything was done", problem(429, "Retry-After", "0"), put, 2, true},
		{"unavailable", problem(503, "Retry-After", "0"), status, 2, true},
		{"unavailable, with a key", problem(503, "Retry-After", "0"), create, 2, true},
		{"unavailable, may have been done", problem(503, "Retry-After", "0"), revoke, 1, false},
		{"unavailable, counts each time", problem(503, "Retry-After", "0"), unseal, 1, false},
		{"nothing said of later", problem(429), status, 1, false},
		{"nonsense said of later", problem(429, "Retry-After", "soon"), status, 1, false},
		{"too much later", problem(429, "Retry-After", "31"), status, 1, false},
		{"another failure", problem(500, "Retry-After", "0"), status, 1, false},
		{"refused", problem(422, "Retry-After", "0"), create, 1, false},
	} {
		n := start(t, c.first, ok("{}"))
		err := c.do(t.Context(), n.client(t))
		calls := n.received()
		if (err == nil) != c.passes || len(calls) != c.calls {
			t.Errorf("%s: %d calls, %v", c.name, len(calls), err)
		}
		for _, again := range calls[1:] {
			if again.header.Get("Idempotency-Key") != calls[0].header.Get("Idempotency-Key") || string(again.body) != string(calls[0].body) {
				t.Errorf("%s: the second call is another", c.name)
			}
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	n := start(t, problem(503, "Retry-After", "0"))
	var p *client.Problem
	if _, err := n.client(t).Status(t.Context()); !errors.As(err, &p) || p.Status != 503 || len(n.received()) != 4 {
		t.Errorf("%d calls, %v", len(n.received()), err)
	}
}

// No call sleeps past its deadline: the problem is told at once.
func TestRetriesAreBounded(t *testing.T) {
	n := start(t, problem(503, "Retry-After", "20"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	begin := time.Now()
	var p *client.Problem
	if _, err := n.client(t).Status(ctx); !errors.As(err, &p) || p.RetryAfter != 20*time.Second || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

// A pause ends with ctx.
func TestAPauseIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := start(t, func(w http.ResponseWriter) {
		time.AfterFunc(50*time.Millisecond, cancel)
		problem(503, "Retry-After", "20")(w)
	})
	if _, err := n.client(t).Status(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRefusedConnection(t *testing.T) {
	n := start(t, ok("{}"))
	address := n.Listener.Addr().String()
	c := n.client(t)
	n.Close()
	begin := time.Now()
	if _, err := c.RevokeClient(t.Context(), "cli_1"); !errors.Is(err, client.ErrUnreachable) {
		t.Error(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) || time.Since(begin) < time.Second {
		t.Errorf("given up after %s: %v", time.Since(begin), err)
	}
	// It comes back while the client tries.
	later := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { ok("{}")(w) }))
	later.EnableHTTP2 = true
	later.Listener.Close()
	back := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() {
		l, err := net.Listen("tcp", address)
		if err == nil {
			later.Listener = l
			later.StartTLS()
		}
		back <- err
	})
	_, err := c.Status(t.Context())
	if listening := <-back; listening != nil {
		t.Skipf("the address was taken meanwhile: %v", listening)
	}
	later.Close()
	if err != nil {
		t.Error(err)
	}
}
