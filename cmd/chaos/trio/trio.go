// Package trio runs a cluster of real processes on this machine, formed as an
// operator forms one: by invitation.
//
// It must never talk to anything but the loopback addresses that it took, nor
// end a process that it did not start.
package trio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/appliance/api"
	"gatehouse/appliance/appliancetest/crash"
	"gatehouse/appliance/client"
)

// Errors.
var (
	ErrForm   = errors.New("the cluster was not formed")
	ErrSteady = errors.New("the cluster is not steady")
)

const (
	formTime = 2 * time.Minute
	look     = 200 * time.Millisecond
)

// Config of a cluster.
type Config struct {
	Binary string
	Dir    string
	Nodes  int
	Tell   func(format string, args ...any) // what happens, for people
}

// Node is one process, or the place of one.
type Node struct {
	Name      string
	API, Peer string // addresses
	Running   *crash.Node

	program crash.Program
	log     *os.File
}

// Cluster of nodes.
type Cluster struct {
	Config
	Nodes []*Node
	Admin string // its key

	ca      string // file with the certificates of all
	profile string
}

// free takes a port that nobody has now.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
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
	if err := t.start(ctx, first, "--peer", first.Peer, "--node-name", first.Name); err != nil {
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

func (c *Cluster) node(i int) (n *Node, err error) {
	n = &Node{Name: fmt.Sprintf("server-%d", i+1)}
	if n.API, err = free(); err != nil {
		return nil, err
	}
	if n.Peer, err = free(); err != nil {
		return nil, err
	}
	n.program = crash.Program{Binary: c.Binary, Data: filepath.Join(c.Dir, n.Name)}
	if n.log, err = os.OpenFile(filepath.Join(c.Dir, n.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	n.program.Log = n.log
	return n, nil
}

func (c *Cluster) start(ctx context.Context, n *Node, flags ...string) (err error) {
	n.program.Flags = append([]string{"--listen", n.API}, flags...)
	n.Running, err = n.program.Start(ctx)
	return err
}

// Start a node that was killed or stopped.
func (c *Cluster) Start(ctx context.Context, n *Node) error { return c.start(ctx, n) }

// Kill a node as a power cut would.
func (c *Cluster) Kill(n *Node) {
	n.Running.Kill()
	n.Running = nil
}

// Stop a node in order.
func (c *Cluster) Stop(n *Node) error {
	err := n.Running.Stop()
	n.Running = nil
	return err
}

// Close ends what runs.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		if n.Running != nil {
			c.Kill(n)
		}
		n.log.Close()
	}
}

func (c *Cluster) setUp(ctx context.Context) error {
	first := c.Nodes[0].Running
	anonymous, err := first.Client("")
	if err != nil {
		return err
	}
	made, err := anonymous.Setup(ctx, "", api.SetupRequest{Code: first.SetupCode, Name: "administrator", Organisation: "bank"})
	if err != nil {
		return err
	}
	c.Admin = *made.Key
	return c.trust(c.Nodes[0])
}

// trust the certificate of a node's API as well, and write the profile that the
// command line uses.
func (c *Cluster) trust(n *Node) error {
	cert, err := os.ReadFile(n.Running.CA)
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
	ca, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: c.servers(first), CA: ca, Key: key})
}

// Only asks one node and no other.
func (c *Cluster) Only(key string, n *Node) (*client.Client, error) {
	ca, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: "https://" + n.API, CA: ca, Key: key})
}

// Command runs the program as the administrator, and gives what it prints as
// JSON.
func (c *Cluster) Command(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Env = append(os.Environ(), "GATEHOUSE_PROFILE="+c.profile)
	var said bytes.Buffer
	cmd.Stderr = &said
	b, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("gatehouse %s: %w: %.500s", strings.Join(args[:min(2, len(args))], " "), err, said.Bytes())
	}
	return json.Unmarshal(b, out)
}

func (c *Cluster) join(ctx context.Context, n *Node) error {
	var i api.Invitation
	if err := c.Command(ctx, &i, "cluster", "invite", "--json"); err != nil {
		return err
	}
	var joined struct{ Node string }
	if err := c.Command(ctx, &joined, "cluster", "join", i.Token, "--data", n.program.Data, "--peer", n.Peer, "--name", n.Name, "--json"); err != nil {
		return err
	}
	if err := c.start(ctx, n); err != nil {
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
		if n.Running != nil {
			running++
		}
	}
	return s.Quorum && good == running
}

// Status as one of the nodes that run sees it.
func (c *Cluster) Status(ctx context.Context) (*api.Cluster, error) {
	for _, n := range c.Nodes {
		if n.Running == nil {
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
