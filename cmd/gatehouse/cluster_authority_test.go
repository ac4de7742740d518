package main_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// standing is a cluster of one node as the API shows it, in a phase of its
// authority's rotation.
func standing(sum, phase, why string) map[string]any {
	waits := []any{}
	if why != "" {
		waits = append(waits, map[string]any{"node": "nod_1", "why": why})
	}
	return map[string]any{"cluster": "clu_1", "leader": "nod_1", "quorum": true, "active_version": 3, "newest_version": 3, "advice": []string{},
		"members":   []any{map[string]any{"node": "nod_1", "name": "server-1", "address": "a:1", "role": "leader", "up": true, "draining": false}},
		"authority": map[string]any{"sha256": sum, "phase": phase, "waits": waits}}
}

// It tells each step and whom it waits for, and ends when the cluster is through.
func TestRotateAuthorityFollows(t *testing.T) {
	old, fresh := strings.Repeat("a", 64), strings.Repeat("b", 64)
	replies := map[string]reply{
		"POST /v1/cluster/authority/rotate": {200, standing(old, "introducing", "does not answer")},
		"GET /v1/cluster":                   {200, standing(fresh, "settled", "")},
	}
	n := newStandIn(t, replies)
	o := n.do(t, "cluster", "rotate-authority")
	if o.code != 0 || o.stdout != "The nodes are certified by authority bbbbbbbbbbbb now, and trust no other one.\n" {
		t.Errorf("%+v", o)
	}
	if want := "a new authority is being introduced; waiting: server-1 does not answer\n"; o.stderr != want {
		t.Errorf("%q, want %q", o.stderr, want)
	}
	o = n.do(t, "cluster", "rotate-authority", "--json")
	if a := part[object](t, one[object](t, o.stdout), "authority"); o.code != 0 || part[string](t, a, "sha256") != fresh {
		t.Errorf("%+v", o)
	}
	n = newStandIn(t, map[string]reply{"POST /v1/cluster/authority/rotate": refusalOf(409)})
	if o := n.do(t, "cluster", "rotate-authority"); o.code != 3 || n.count() != 1 {
		t.Errorf("%+v", o)
	}
	for phase, says := range map[string]string{"settled": "the nodes are certified by authority aaaaaaaaaaaa\n", "renewing": "the nodes get certificates of authority aaaaaaaaaaaa; waiting: server-1 is late\n"} {
		why := ""
		if phase == "renewing" {
			why = "is late"
		}
		n := newStandIn(t, map[string]reply{"GET /v1/cluster": {200, standing(old, phase, why)}})
		if o := n.do(t, "cluster", "status"); o.code != 0 || !strings.Contains(o.stdout, says) {
			t.Errorf("%s: %+v", phase, o)
		}
	}
}

// Ctrl-C ends the waiting, and says that it ends nothing else.
func TestRotateAuthorityInterrupted(t *testing.T) {
	sum := strings.Repeat("a", 64)
	n := newStandIn(t, map[string]reply{
		"POST /v1/cluster/authority/rotate": {200, standing(sum, "introducing", "does not answer")},
		"GET /v1/cluster":                   {200, standing(sum, "introducing", "does not answer")},
	})
	c := command(t, "cluster", "rotate-authority", "--profile", n.path("profile.json"))
	var out strings.Builder
	c.Stdout = &out
	o, _ := interrupt(t, c, os.Interrupt, func() error {
		for end := time.Now().Add(20 * time.Second); n.count() < 3; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("it does not follow the rotation")
			}
		}
		return nil
	}, func() {})
	if o.code != 1 || out.Len() > 0 {
		t.Errorf("%+v, stdout %q", o, out.String())
	}
	if !strings.Contains(o.stderr, "the rotation goes on without this command; 'gatehouse cluster status'") {
		t.Errorf("%q", o.stderr)
	}
	if got := strings.Count(o.stderr, "waiting: server-1"); got != 1 { // a step is told once
		t.Errorf("told %d times: %s", got, o.stderr)
	}
}
