package appliance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// pictures: what is damaged on one node, or what it has no room for, another node has;
// no verification ends of it.
func (c *trio) pictures(t *testing.T) {
	at := c.other(c.Leader(t))
	through := c.other(at)
	home := through.Tenant(t)
	op := home.Key(t, access.Operator)
	id := op.FilledOf(t, "customer 1")
	for _, e := range row(t, through, home.ID, id).Evidence {
		path := filepath.Join(at.Data, "blobs", e.Blob[:2], e.Blob[2:4], e.Blob)
		appliancetest.Eventually(t, 20*time.Second, func() bool { return names(t, at)[e.Blob] }, func() string { return "the picture on this node too" })
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := at.At(home.Key(t, access.Reviewer)).Do(t, "GET", "/v1/sessions/"+id+"/evidence/selfie", nil, "Purpose: review").Want(t, 200)
	if !bytes.Equal(a.Body, appliancetest.Evidence(t).Selfie) {
		t.Error("another picture")
	}
	give(t, op, home, through, at, id)
	c.settled(t, op, home, time.Minute, []string{id})
	if r := row(t, through, home.ID, id); r.Node != at.ID(t) || r.Attempt != 1 {
		t.Errorf("decided by %s, attempt %d", r.Node, r.Attempt)
	}

	c.Stop(t, at)
	at.Change(func(c *appliance.Config) { c.Reserve = 1 << 60 })
	c.Again(t, at) // it does not become ready
	appliancetest.Eventually(t, time.Minute, func() bool {
		for _, m := range through.Standing(t).Members {
			if !m.Up {
				return false
			}
		}
		return at.Inside().Report().Full
	}, func() string { return "all are up, one of them full" })
	time.Sleep(2 * time.Second) // the others look each second
	var all []string
	for i := range 4 {
		id := op.FilledOf(t, "customer 1")
		if i == 3 { // what was given to it before the others knew
			give(t, op, home, through, at, id)
		} else {
			op.Do(t, "POST", "/v1/sessions/"+id+"/submit", nil).Want(t, 202)
		}
		all = append(all, id)
	}
	c.settled(t, op, home, time.Minute, all)
	for i, id := range all {
		if r := row(t, through, home.ID, id); r.Node == at.ID(t) || r.Deaths != 0 || r.Attempt > 1 != (i == 3) {
			t.Errorf("session %d was decided by %s, attempt %d after %d deaths", i, r.Node, r.Attempt, r.Deaths)
		}
	}
	c.Stop(t, at)
	at.Change(func(c *appliance.Config) { c.Reserve = 1 << 20 })
	c.back(t, at)
}
