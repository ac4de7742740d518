package appliance_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/appliance/access"
	"gatehouse/appliance/appliancetest"
)

// shownAuthority of a cluster.
type shownAuthority struct {
	Authority struct {
		SHA256, Phase string
		Waits         []struct{ Node, Why string }
	}
}

// authority as a node shows it.
func authority(t *testing.T, n *appliancetest.Node) (a shownAuthority) {
	t.Helper()
	n.Home.Admin.Do(t, "GET", "/v1/cluster", nil).Want(t, 200).JSON(t, &a)
	return a
}

// authorityAfter waits until every node shows another authority than that before,
// and no rotation.
func (c *trio) authorityAfter(t *testing.T, before string) string {
	t.Helper()
	var a shownAuthority
	appliancetest.Eventually(t, 60*time.Second, func() bool {
		for _, n := range c.Nodes {
			if a = authority(t, n); a.Authority.Phase != "settled" || a.Authority.SHA256 == before {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("another authority on all nodes: %+v", a) })
	return a.Authority.SHA256
}

// rotation of the authority: nodes are started again in the middle of it, and one
// has its disk put back to there.
func (c *trio) rotation(t *testing.T) {
	leader := c.Leader(t)
	b := c.Followers(t)[0]
	away := c.other(leader, b)
	first := authority(t, leader).Authority.SHA256
	c.Stop(t, away)
	early := filepath.Join(t.TempDir(), "early")
	copiedTo(t, away.Data, early)
	b.Home.Admin.Do(t, "POST", "/v1/cluster/authority/rotate", nil).Want(t, 200)
	appliancetest.Eventually(t, 20*time.Second, func() bool {
		a := authority(t, b)
		return a.Authority.Phase == "introducing" && a.Authority.SHA256 == first && len(a.Authority.Waits) == 1 && a.Authority.Waits[0].Node == away.ID(t)
	}, func() string { return fmt.Sprintf("it waits for the node that is away alone: %+v", authority(t, b)) })
	c.Stop(t, b)
	middle := filepath.Join(t.TempDir(), "middle")
	copiedTo(t, b.Data, middle)
	for _, n := range []*appliancetest.Node{b, away} {
		c.Again(t, n)
		n.Serving(t)
	}
	second := c.authorityAfter(t, first)

	renewed := func(dir, want string) {
		t.Helper()
		_, by, err := appliance.RenewCertificate(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(by.Raw)); got != want {
			t.Errorf("certified by %s, want %s", got, want)
		}
	}
	renewed(early, first) // which nobody trusts any more: the command says what to do
	c.Stop(t, b)
	if err := os.RemoveAll(b.Data); err != nil {
		t.Fatal(err)
	}
	copiedTo(t, middle, b.Data)
	renewed(b.Data, second)
	c.back(t, b)

	// Again, under traffic through the two that are there, while the third comes.
	op := b.Home.Key(t, access.Operator)
	stop, done := make(chan struct{}), make(chan struct{})
	var served atomic.Int64
	for _, n := range []*appliancetest.Node{leader, b} {
		r := n.At(op)
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := r.Send(r.Request(t, "POST", "/v1/sessions", appliancetest.JSON(appliancetest.Request("customer"))))
				if err != nil || a.Status != 201 {
					t.Errorf("a request while the authority is rotated: %v, %+v", err, a)
					return
				}
				served.Add(1)
				time.Sleep(20 * time.Millisecond) // of one credential 200 a second are taken
			}
		}()
	}
	c.Stop(t, away)
	leader.Home.Admin.Do(t, "POST", "/v1/cluster/authority/rotate", nil).Want(t, 200)
	c.Again(t, away)
	away.Serving(t)
	c.authorityAfter(t, second)
	close(stop)
	<-done
	<-done
	if served.Load() == 0 {
		t.Error("there was no traffic")
	}
	c.Steady(t, 3)
}

// copied is a stopped node's directory elsewhere.
func copiedTo(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS makes files that everybody reads; what is the node's own is not.
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
