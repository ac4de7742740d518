package custody_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"
	"gatehouse/appliance/problem"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/store/command"
	"gatehouse/store/id"
)

func tenant() string { return id.New(id.Tenant, time.Now(), rand.Reader) }

// Changes at one time through different nodes all happen, one after the other.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	c := three(t)
	before := c.same(t)
	type made struct {
		tenant  string
		wrapped []byte
	}
	var mu sync.Mutex
	var all []made
	var at sync.WaitGroup
	for _, n := range c.nodes {
		for range 3 {
			at.Go(func() {
				m := made{tenant: tenant()}
				var err error
				if m.wrapped, err = n.NewTenant(t.Context(), m.tenant); err != nil {
					t.Error(err)
					return
				}
				// It can be used where it was made, at once.
				if _, err := n.keys.Tenant(m.tenant, m.wrapped); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, m)
			})
		}
	}
	at.Wait()
	if got := c.same(t) - before; got != 9 {
		t.Errorf("%d changes came into force, want 9", got)
	}
	for _, n := range c.nodes {
		for _, m := range all {
			if _, err := n.keys.Tenant(m.tenant, m.wrapped); err != nil {
				t.Errorf("a tenant is lost: %v", err)
			}
		}
	}
}

// Rotated and retired through a follower, the keys are the same everywhere.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	c := three(t)
	f := c.followers(t)[0]
	old, fresh, err := f.RotateSigning(t.Context())
	must(t, err)
	if old.ID == fresh.ID {
		t.Errorf("%+v, %+v", old, fresh)
	}
	must(t, f.RetireSigning(t.Context(), old.ID))
	c.same(t)
	for _, n := range c.nodes {
		if got := active(n); !slices.Equal(got, []uint32{fresh.ID}) {
			t.Errorf("%v sign, want %d", got, fresh.ID)
		}
	}
	if err := f.RetireSigning(t.Context(), fresh.ID); err == nil {
		t.Error("the last signing key is gone")
	}
	if got := active(c.leader(t)); !slices.Equal(got, []uint32{fresh.ID}) {
		t.Errorf("%v sign, want %d", got, fresh.ID)
	}
}

// active signing keys of a node.
func active(n *node) (all []uint32) {
	for _, k := range n.keys.SigningKeys() {
		if k.State != "retired" {
			all = append(all, k.ID)
		}
	}
	return all
}

// A leader that dies when the others keep what it has prepared: nothing of it is
// in force, and the next change works and leaves nothing of it.
func TestLeaderDiesBeforeTheAgreement(t *testing.T) {
	t.Parallel()
	c := three(t)
	before := c.same(t)
	dead := c.leader(t)
	sum := dead.keys.RingSum()
	dead.before = func(cmd *command.Command) error {
		if cmd.Type != command.Type_SET_RING {
			return nil
		}
		dead.port.Close()
		return unavailable()
	}
	if _, err := dead.NewTenant(t.Context(), tenant()); !errors.Is(err, errCut) {
		t.Errorf("%v", err)
	}
	if dead.keys.RingSum() != sum {
		t.Error("the leader uses what was not agreed on")
	}
	dead.stop()
	for _, n := range c.nodes {
		if n != dead && (len(n.files(t)) != 2 || n.keys.RingSum() != sum) {
			t.Errorf("%v", n.files(t))
		}
	}
	name := tenant()
	by := c.followers(t)[0]
	wrapped, err := by.NewTenant(t.Context(), name)
	must(t, err)
	if got := c.same(t); got != before+1 {
		t.Errorf("serial %d after %d", got, before)
	}
	dead.before = nil
	dead.open(t, cluster.Again)
	must(t, dead.raft.Ready(t.Context()))
	c.same(t)
	if _, err := dead.keys.Tenant(name, wrapped); err != nil {
		t.Error(err)
	}
}

// A leader that dies when it was agreed on, and has not heard of it: the others
// have it, and it gets it when it is back.
func TestLeaderDiesAfterTheAgreement(t *testing.T) {
	t.Parallel()
	c := three(t)
	before := c.same(t)
	dead := c.leader(t)
	dead.before = func(cmd *command.Command) error {
		if cmd.Type != command.Type_SET_RING {
			return nil
		}
		if _, err := dead.raft.Propose(t.Context(), cmd); err != nil {
			t.Error(err)
		}
		return unavailable()
	}
	if _, err := dead.NewTenant(t.Context(), tenant()); !errors.Is(err, errCut) {
		t.Errorf("%v", err)
	}
	dead.before = nil
	dead.stop()
	if got := c.same(t); got != before+1 {
		t.Errorf("serial %d after %d", got, before)
	}
	dead.open(t, cluster.Again)
	must(t, dead.raft.Ready(t.Context()))
	c.same(t)
}

// What nobody else keeps is not agreed on: an error that says so, and nothing is
// changed.
func TestNobodyElseKeepsIt(t *testing.T) {
	t.Parallel()
	c := three(t)
	before := c.same(t)
	leader := c.leader(t)
	followers := c.followers(t)
	for _, n := range followers {
		n.deaf.Store(true)
	}
	for _, by := range c.nodes { // the same is said at a follower
		_, err := by.NewTenant(t.Context(), tenant())
		var p *problem.Problem
		if !errors.As(err, &p) || p.Kind != problem.Unavailable || !strings.Contains(p.Detail, "no other member keeps the new key-ring") {
			t.Errorf("%v", err)
		}
	}
	if got := c.same(t); got != before {
		t.Errorf("serial %d after %d", got, before)
	}
	followers[0].deaf.Store(false) // one is enough
	if _, err := leader.NewTenant(t.Context(), tenant()); err != nil {
		t.Error(err)
	}
	followers[1].deaf.Store(false)
	if got := c.same(t); got != before+1 {
		t.Errorf("serial %d after %d", got, before)
	}
}

// A node that was away does not have the key-ring that is in force, says so as
// soon as it knows of one, and gets it from whichever has it.
func TestAwayMeanwhile(t *testing.T) {
	t.Parallel()
	c := three(t)
	c.same(t)
	away := c.followers(t)[0]
	away.stop()
	by := c.leader(t)
	name := tenant()
	wrapped, err := by.NewTenant(t.Context(), name)
	must(t, err)
	_, _, err = by.RotateSigning(t.Context())
	must(t, err)
	for _, n := range c.nodes {
		n.deaf.Store(true) // nobody gives it one
	}
	away.open(t, cluster.Again)
	must(t, away.raft.Ready(t.Context()))
	if away.Current() {
		t.Error("an older key-ring counts as the one in force")
	}
	if err := away.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), "no member has the key-ring") {
		t.Errorf("%v", err)
	}
	for _, n := range c.nodes {
		n.deaf.Store(false)
	}
	c.same(t)
	if _, err := away.keys.Tenant(name, wrapped); err != nil {
		t.Error(err)
	}
}

// A member that hangs holds up no change that another one keeps.
func TestAMemberThatHangs(t *testing.T) {
	t.Parallel()
	c := three(t)
	c.same(t)
	hangs := c.followers(t)[0]
	hangs.hung.Store(true)
	begun := time.Now()
	_, err := c.leader(t).NewTenant(t.Context(), tenant())
	must(t, err)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it takes %v", took)
	}
	hangs.hung.Store(false)
	c.same(t)
}

// What another member sends is looked at.
func TestWhatIsNoKeyRing(t *testing.T) {
	t.Parallel()
	c := three(t)
	before := c.same(t)
	n, to := c.nodes[0], c.nodes[1]
	file, err := n.keys.RingFile()
	must(t, err)
	good := strings.Repeat("0", 64)
	for _, one := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/keyring/" + good, string(file), http.StatusServiceUnavailable}, // of another sum
		{"PUT", "/keyring/" + good, "", http.StatusServiceUnavailable},
		{"PUT", "/keyring/x", string(file), http.StatusBadRequest},
		{"PUT", "/keyring/" + good[:62], string(file), http.StatusBadRequest},
		{"GET", "/keyring/" + good, "", http.StatusNotFound},
		{"POST", "/keyring-change", "{", http.StatusServiceUnavailable},
		{"POST", "/keyring-change", strings.Repeat(" ", 2<<10), http.StatusServiceUnavailable},
	} {
		r, err := http.NewRequestWithContext(t.Context(), one.method, one.path, strings.NewReader(one.body))
		must(t, err)
		a, err := n.port.Do(peer.RPC, to.id, r)
		must(t, err)
		a.Body.Close()
		if a.StatusCode != one.status {
			t.Errorf("%s %s: %d, want %d", one.method, one.path, a.StatusCode, one.status)
		}
	}
	if got := c.same(t); got != before || slices.ContainsFunc(c.nodes, func(n *node) bool { return !n.Current() }) {
		t.Errorf("serial %d after %d", got, before)
	}
}
