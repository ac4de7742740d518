package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
)

// bare gate, of all routes and nothing behind them.
func bare(t *testing.T, now time.Time, rate, concurrent int) *gate {
	t.Helper()
	c := Config{Rate: rate, Concurrent: concurrent, Now: func() time.Time { return now }}
	d := &denials{meter: newMeter("credential", rate, concurrent)}
	mux := http.NewServeMux()
	HandlerWithOptions(&server{Config: c, denials: d}, StdHTTPServerOptions{BaseRouter: mux})
	g, err := newGate(c, mux, d)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func refused(t *testing.T, err error) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Kind != problem.TooMany || p.After <= 0 {
		t.Errorf("let in, or refused otherwise: %v", err)
	}
}

// However many clients a tenant has, together they have the share of a few.
func TestTenantIsBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	client := func(n int) access.Caller { return access.Caller{Tenant: "ten_a", Client: fmt.Sprint("cli_", n)} }
	t.Run("at one time", func(t *testing.T) {
		g := bare(t, now, 1000, 2)
		var leave []func()
		for n := range tenantShare * 2 {
			release, err := g.enter(client(n))
			if err != nil {
				t.Fatalf("client %d: %v", n, err)
			}
			leave = append(leave, release)
		}
		late := client(100)
		for range 3 { // what the tenant is refused is not counted to the client
			_, err := g.enter(late)
			refused(t, err)
		}
		if _, err := g.enter(access.Caller{Tenant: "ten_b", Client: "cli_b"}); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		leave[0]()
		leave[1]()
		for range 2 {
			if _, err := g.enter(late); err != nil {
				t.Errorf("when there is room again: %v", err)
			}
		}
	})
	t.Run("a second", func(t *testing.T) {
		g := bare(t, now, 5, 1000)
		for n := range tenantShare * 2 * 5 { // the burst
			release, err := g.enter(client(n))
			if err != nil {
				t.Fatalf("client %d: %v", n, err)
			}
			release()
		}
		_, err := g.enter(client(1000))
		refused(t, err)
		if _, err := g.enter(access.Caller{Tenant: "ten_b", Client: "cli_b"}); err != nil {
			t.Errorf("another tenant: %v", err)
		}
	})
}

// One client has half of the places at most.
func TestPlacesAreShared(t *testing.T) {
	s := newPlaces(4)
	enter := func(client string, want bool) {
		t.Helper()
		if s.enter(client) != want {
			t.Errorf("%s: want %v: %v", client, want, s.of)
		}
	}
	enter("a", true)
	enter("a", true)
	enter("a", false)
	enter("b", true)
	enter("c", true)
	enter("d", false) // all are taken
	s.leave("c")
	enter("a", false)
	enter("d", true)
	for _, client := range []string{"a", "a", "b", "d"} {
		s.leave(client)
	}
	if s.all != 0 || len(s.of) != 0 {
		t.Errorf("left: %d, %v", s.all, s.of)
	}
	one := newPlaces(1)
	if !one.enter("a") || one.enter("a") || one.enter("b") {
		t.Errorf("of one place: %v", one.of)
	}
}
