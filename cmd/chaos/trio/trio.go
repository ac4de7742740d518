// Package trio runs a cluster of real processes, formed as an operator forms
// one: by invitation. They run on this machine, or wherever a Host has them run.
//
// It must never talk to anything but the addresses that its hosts gave, nor end
// a process that it did not start.
package trio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/client"
)

// Errors.
var (
	ErrForm   = errors.New("the cluster was not formed")
	ErrSteady = errors.New("the cluster is not steady")
	ErrNode   = errors.New("the node failed")
)

const (
	formTime = 2 * time.Minute
	look     = 200 * time.Millisecond
)

// Config of a cluster.
type Config struct {
	Binary string
	Dir    string // for what the nodes say and the administrator's files
	Nodes  int
	Flags  []string                         // more of 'gatehouse run'
	Host   func(name string) (Host, error)  // where a node runs; nil: on this machine, its data in Dir
	Dial   Dialer                           // nil: as this machine does
	Tell   func(format string, args ...any) // what happens, for people
}

// Cluster of nodes.
type Cluster struct {
	Config
	Nodes []*Node
	Admin string // its key

	ca      string // file with the certificates of all
	profile string
}

// Form a cluster: the first node is set up, the others are invited and join, and
// all vote when it returns.
func Form(ctx context.Context, c Config) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, formTime)
	defer cancel()
	t := &Cluster{Config: c, ca: filepath.Join(c.Dir, "ca.pem"), profile: filepath.Join(c.Dir, "admin.json")}
	defer func() {
		if err != nil {
			t.Close()
			err = fmt.Errorf("%w: %w", ErrForm, err)
		}
	}()
	for i := range c.Nodes {
		n, err := t.node(i)
		if err != nil {
			return nil, err
		}
		t.Nodes = append(t.Nodes, n)
	}
	first := t.Nodes[0]
	c.Tell("%s starts, alone", first.Name)
	if err := first.start(ctx, "--peer", first.Peer, "--node-name", first.Name); err != nil {
		return nil, err
	}
	if err := t.setUp(ctx); err != nil {
		return nil, err
	}
	for _, n := range t.Nodes[1:] {
		c.Tell("%s joins by invitation", n.Name)
		if err := t.join(ctx, n); err != nil {
			return nil, err
		}
	}
	return t, t.Steady(ctx)
}

// Start a node that was killed or stopped.
func (c *Cluster) Start(ctx context.Context, n *Node) error { return n.start(ctx) }

// Kill a node as a power cut would.
func (c *Cluster) Kill(n *Node) { _ = n.kill() } // one that hangs in the kernel is dead all the same

// Stop a node in order.
func (c *Cluster) Stop(n *Node) error { return n.stop() }

// Close ends what runs.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		_ = n.kill()
		n.log.Close()
	}
}

func (c *Cluster) setUp(ctx context.Context) error {
	first := c.Nodes[0]
	said := first.announced()
	ca, err := os.ReadFile(said.Certificate)
	if err != nil {
		return err
	}
	anonymous, err := client.New(client.Config{Server: said.Address, CA: ca, Dial: c.Dial})
	if err != nil {
		return err
	}
	made, err := anonymous.Setup(ctx, "", api.SetupRequest{Code: said.SetupCode, Name: "administrator", Organisation: "bank"})
	if err != nil {
		return err
	}
	c.Admin = *made.Key
	return c.trust(first)
}

// trust the certificate of a node's API as well, and write the profile that the
// command line uses.
func (c *Cluster) trust(n *Node) error {
	cert, err := os.ReadFile(n.announced().Certificate)
	if err != nil {
		return err
	}
	known, err := os.ReadFile(c.ca)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	known = append(known, cert...)
	if err := os.WriteFile(c.ca, known, 0o600); err != nil {
		return err
	}
	profile, err := json.Marshal(map[string]string{"server": c.servers(0), "ca": string(known), "key": c.Admin})
	if err != nil {
		return err
	}
	return os.WriteFile(c.profile, profile, 0o600)
}

// servers of the API, beginning with one.
func (c *Cluster) servers(first int) string {
	var all []string
	for i := range c.Nodes {
		all = append(all, "https://"+c.Nodes[(first+i)%len(c.Nodes)].API)
	}
	return strings.Join(all, ",")
}

// Client that asks a node first and the others where it does not answer.
func (c *Cluster) Client(key string, first int) (*client.Client, error) {
	return c.client(key, c.servers(first))
}

// Only asks one node and no other.
func (c *Cluster) Only(key string, n *Node) (*client.Client, error) {
	return c.client(key, "https://"+n.API)
}

func (c *Cluster) client(key, servers string) (*client.Client, error) {
	ca, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: servers, CA: ca, Key: key, Dial: c.Dial})
}

// join has the command line do it, on the host of the node.
func (c *Cluster) join(ctx context.Context, n *Node) error {
	var i api.Invitation
	if err := c.command(ctx, n.Host, &i, "cluster", "invite", "--json"); err != nil {
		return err
	}
	var joined struct{ Node string }
	if err := c.command(ctx, n.Host, &joined, "cluster", "join", i.Token, "--data", n.Host.Data(), "--peer", n.Peer, "--name", n.Name, "--json"); err != nil {
		return err
	}
	if err := n.start(ctx); err != nil {
		return err
	}
	return c.trust(n)
}

// Steady waits until every node that runs answers, votes and keeps up.
func (c *Cluster) Steady(ctx context.Context) error {
	var last *api.Cluster
	for {
		s, err := c.Status(ctx)
		if err == nil {
			if last = s; c.steady(s) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %v: %+v", ErrSteady, errors.Join(err, ctx.Err()), last)
		case <-time.After(look):
		}
	}
}

func (c *Cluster) steady(s *api.Cluster) bool {
	good := 0
	for _, m := range s.Members {
		if m.Up && m.Role != api.MemberRoleJoining {
			good++
		}
	}
	running := 0
	for _, n := range c.Nodes {
		if n.Runs() {
			running++
		}
	}
	return s.Quorum && good == running
}

// Status as one of the nodes that run sees it.
func (c *Cluster) Status(ctx context.Context) (*api.Cluster, error) {
	for _, n := range c.Nodes {
		if !n.Runs() {
			continue
		}
		admin, err := c.Only(c.Admin, n)
		if err != nil {
			return nil, err
		}
		return admin.Cluster(ctx)
	}
	return nil, fmt.Errorf("%w: no node runs", ErrSteady)
}

// Leader that the nodes know; nil: none.
func (c *Cluster) Leader(ctx context.Context) *Node {
	s, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	for _, m := range s.Members {
		for _, n := range c.Nodes {
			if m.Node == s.Leader && m.Name == n.Name {
				return n
			}
		}
	}
	return nil
}
