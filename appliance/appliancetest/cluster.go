package appliancetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/appliance"
)

// Cluster is nodes that agree, each with its own files and ports.
type Cluster struct {
	Nodes   []*Node // the first has founded it
	options []Option
	down    map[*Node]bool
}

// steadyTime is far more than a node needs to join and to be given a vote: ten
// seconds in which it keeps up.
const steadyTime = 60 * time.Second

// Trio starts three nodes: the first is set up, the others are invited and join.
// All vote when it returns.
func Trio(t testing.TB, options ...Option) *Cluster {
	t.Helper()
	c := &Cluster{options: options, down: map[*Node]bool{}}
	c.Nodes = []*Node{Start(t, append(c.of(freePort(t)), Config(func(c *appliance.Config) { c.Name = "a" }))...)}
	for _, name := range []string{"b", "c"} {
		c.Join(t, name)
	}
	c.Steady(t, 3)
	return c
}

// of a node at an address for the others.
func (c *Cluster) of(peer string) []Option {
	return append([]Option{Config(func(c *appliance.Config) { c.Peer, c.Engine.Runtime.Workers = peer, 1 })}, c.options...)
}

// freePort is an address on which nobody listens: below those that the system
// gives to connections (32768 on Linux), so that it stays free until it is used.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Join invites a node by the first one, has it join, and waits until it serves.
func (c *Cluster) Join(t testing.TB, name string) *Node {
	t.Helper()
	peer, data := freePort(t), filepath.Join(t.TempDir(), "data")
	home := c.Nodes[0].Home
	token := home.Admin.Do(t, "POST", "/v1/cluster/invitations", JSON(`{}`)).Want(t, 201).Text(t, "token")
	if _, err := appliance.Join(t.Context(), appliance.Joining{Data: data, Token: token, Peer: peer, Name: name, Version: "test"}); err != nil {
		t.Fatal(err)
	}
	n := Open(t, append(c.of(peer), func(n *Node) { n.Data, n.config.Data = data, data })...)
	n.Home = &Tenant{ID: home.ID, Admin: n.At(home.Admin), keys: map[string]*Client{}}
	n.Serving(t)
	c.Nodes = append(c.Nodes, n)
	return n
}

// Standing of a cluster, as far as tests look.
type Standing struct {
	Leader  string
	Quorum  bool
	Members []struct {
		Node, Name, Role string
		Up               bool
	}
	Advice []string
}

// Standing is how the node sees its cluster.
func (n *Node) Standing(t testing.TB) (s Standing) {
	t.Helper()
	n.Home.Admin.Do(t, "GET", "/v1/cluster", nil).Want(t, 200).JSON(t, &s)
	return s
}

// Steady waits until so many nodes vote and answer, as every node that runs sees
// it.
func (c *Cluster) Steady(t testing.TB, voters int) {
	t.Helper()
	var s Standing
	Eventually(t, steadyTime, func() bool {
		for _, n := range c.Nodes {
			if c.down[n] {
				continue
			}
			s = n.Standing(t)
			votes := 0
			for _, m := range s.Members {
				if m.Up && m.Role != "joining" {
					votes++
				}
			}
			if !s.Quorum || votes != voters {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("%d voters: %+v", voters, s) })
}

// Leader waits for the node that leads.
func (c *Cluster) Leader(t testing.TB) *Node {
	t.Helper()
	var leader *Node
	Eventually(t, steadyTime, func() bool {
		for _, n := range c.Nodes {
			if !c.down[n] && n.Standing(t).Leader == n.ID(t) {
				leader = n
			}
		}
		return leader != nil
	}, func() string { return "a leader" })
	return leader
}

// Followers are the nodes that run and do not lead.
func (c *Cluster) Followers(t testing.TB) (all []*Node) {
	t.Helper()
	leader := c.Leader(t)
	for _, n := range c.Nodes {
		if n != leader && !c.down[n] {
			all = append(all, n)
		}
	}
	return all
}

// Eventually waits until it is so, and fails the test where it does not become so
// in time.
func Eventually(t testing.TB, within time.Duration, so func() bool, what func() string) {
	t.Helper()
	for end := time.Now().Add(within); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", within, what())
		}
	}
}

// ID of the node in its cluster.
func (n *Node) ID(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Data, "node.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Node string }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f.Node
}

// Inside is the appliance that runs.
func (n *Node) Inside() *appliance.Node { return n.node }

// At is a client's credential at this node.
func (n *Node) At(c *Client) *Client { return &Client{Key: c.Key, ID: c.ID, node: n} }

// Serving waits until the node has found its cluster.
func (n *Node) Serving(t testing.TB) {
	t.Helper()
	var a *Answer
	Eventually(t, steadyTime, func() bool {
		a = n.Home.Admin.Do(t, "GET", "/readyz", nil)
		return a.Status == 200
	}, func() string { return fmt.Sprintf("the node serves: %d %s", a.Status, a.Body) })
}

// Stop a node in order, until Again.
func (c *Cluster) Stop(t testing.TB, n *Node) {
	t.Helper()
	if err := c.Ended(n); err != nil {
		t.Fatal(err)
	}
}

// Ended stops a node, and gives why where it has ended of itself.
func (c *Cluster) Ended(n *Node) error {
	stop := n.stop
	n.stop = func() error { return nil }
	c.down[n] = true
	return stop()
}

// Again starts a node that has stopped. It may not serve yet.
func (c *Cluster) Again(t testing.TB, n *Node) {
	t.Helper()
	n.run(t)
	delete(c.down, n)
}
