package api

import (
	"errors"
	"testing"
	"time"

	"gatehouse/appliance/problem"
)

func TestMeter(t *testing.T) {
	m := newMeter("credential", 10, 3)
	now := time.Unix(1_800_000_000, 0)
	var p *problem.Problem
	for n := range 20 { // a burst of two seconds
		release, err := m.enter("a", now)
		if err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
		release()
	}
	if _, err := m.enter("a", now); !errors.As(err, &p) || p.Kind != problem.TooMany || p.After != 100*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if _, err := m.enter("b", now); err != nil {
		t.Errorf("another client: %v", err)
	}
	for range 5 { // what was refused does not count
		_, _ = m.enter("a", now)
	}
	now = now.Add(300 * time.Millisecond)
	var leave []func()
	for range 3 {
		release, err := m.enter("a", now)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, release)
	}
	now = now.Add(time.Minute)
	if _, err := m.enter("a", now); !errors.As(err, &p) || p.After != time.Second {
		t.Errorf("a fourth at one time: %v", err)
	}
	leave[0]()
	if _, err := m.enter("a", now); err != nil {
		t.Error(err)
	}
}

func TestDenialsAreBounded(t *testing.T) {
	m, d := newMeter("credential", 10, 3), &denials{}
	now := time.Unix(1_800_000_000, 0)
	let, due := 0, 0
	for range 1000 {
		if m.mayDeny("a", now) {
			let++
		}
		if d.due(now) {
			due++
		}
	}
	if let != 5 || due != 1 {
		t.Errorf("%d and %d of a thousand denials at one moment", let, due)
	}
	if !m.mayDeny("b", now) || !m.mayDeny("a", now.Add(time.Second)) || d.due(now.Add(9*time.Second)) || !d.due(now.Add(10*time.Second)) {
		t.Error("the next ones are not as they should be")
	}
}
