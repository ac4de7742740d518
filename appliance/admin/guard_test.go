package admin

import (
	"errors"
	"testing"
	"time"

	"gatehouse/appliance/problem"
)

func TestGuardDelaysGuesses(t *testing.T) {
	g := &guard{}
	now := time.Unix(1_800_000_000, 0)
	want := time.Second
	for range 10 {
		if err := g.try(now); err != nil {
			t.Fatal(err)
		}
		var p *problem.Problem
		if err := g.try(now); !errors.As(err, &p) || p.Kind != problem.TooMany {
			t.Errorf("two at once: %v", err)
		}
		g.done(now, true)
		err := g.try(now.Add(want - time.Millisecond))
		if !errors.As(err, &p) || p.Kind != problem.TooMany || p.After <= 0 {
			t.Errorf("before %v have passed: %v", want, err)
		}
		now = now.Add(want)
		want = min(2*want, time.Minute)
	}
	if err := g.try(now); err != nil {
		t.Fatal(err)
	}
	g.done(now, false)
	if err := g.try(now); err != nil {
		t.Errorf("after a right one: %v", err)
	}
}
