package cluster_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// trio is three nodes over real ports with real certificates.
type trio struct {
	authority *pki.Authority
	nodes     [3]*seat

	network *network // between the nodes; nil: nothing
	hurried          // of its nodes

	mu      sync.Mutex
	address map[string]string
	key     map[string][32]byte
}

// seat is a node's place: its folder, port and what runs there.
type seat struct {
	*member
	id       string
	port     *peer.Port
	identity *peer.Identity
	replaced func() // may be nil
}

func (c *trio) Address(node string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.address[node]; ok {
		return a, nil
	}
	return "", peer.ErrUnknown
}

// hurried nodes give up sooner than they do; 0: as they do.
type hurried struct{ stall, patience, rpc time.Duration }

// directory of a node: its ways to the others.
type directory struct {
	*trio
	of string
}

func (d directory) Address(node string) (string, error) {
	a, err := d.trio.Address(node)
	if err != nil || d.network == nil {
		return a, err
	}
	return d.network.link(d.of, node).listener.Addr().String(), nil
}

func (c *trio) Admit(node string, key [32]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.key[node]; ok && k == key {
		return nil
	}
	return peer.ErrUnknown
}

func (c *trio) seat(t testing.TB, i int) *seat {
	id := fmt.Sprint("nod_", i)
	key, err := pki.NewKey(rand.Reader)
	must(t, err)
	request, err := pki.Request(key, rand.Reader)
	must(t, err)
	cert, err := c.authority.Issue(request, "clu_a", id, time.Now(), rand.Reader)
	must(t, err)
	c.mu.Lock()
	c.key[id] = pki.Fingerprint(cert)
	c.mu.Unlock()
	return &seat{member: &member{dir: t.TempDir()}, id: id, identity: &peer.Identity{
		Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw, c.authority.Certificate.Raw}, PrivateKey: key, Leaf: cert},
		Authorities: []*x509.Certificate{c.authority.Certificate}}}
}

func (c *trio) open(t testing.TB, s *seat, how cluster.Start) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.mu.Lock()
	c.address[s.id] = listener.Addr().String()
	c.mu.Unlock()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", s.id)
	}
	s.port = peer.New(peer.Config{Listener: listener, Cluster: "clu_a", Node: s.id, Directory: directory{c, s.id}, Log: log, Now: time.Now,
		Identity: func() (*peer.Identity, error) { return s.identity, nil }})
	go func() { _ = s.port.Run() }()
	s.state, err = state.Open(filepath.Join(s.dir, "state.db"), how != cluster.Again)
	must(t, err)
	config := cluster.Config{Cluster: "clu_a", Dir: filepath.Join(s.dir, "raft"), ID: s.id, State: s.state, Log: log, Port: s.port, Replaced: s.replaced}
	config.Stall(c.stall)
	config.Patience(c.patience)
	config.RPC(c.rpc)
	s.node, err = cluster.Open(t.Context(), config, how)
	must(t, err)
	mux := http.NewServeMux()
	s.node.Handle(mux)
	s.port.Serve(peer.RPC, mux)
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ran = stop, make(chan error, 1)
	go func() { s.ran <- s.node.Run(ctx) }()
}

// crash cuts the node off and forgets what is not on its disk.
func (s *seat) crash(t testing.TB) {
	t.Helper()
	must(t, s.port.Close())
	s.close(t)
}

func three(t testing.TB) *trio {
	t.Helper()
	return assemble(t, &trio{})
}

func assemble(t testing.TB, c *trio) *trio {
	t.Helper()
	authority, err := pki.NewAuthority("clu_a", time.Now(), rand.Reader)
	must(t, err)
	c.authority, c.address, c.key = authority, map[string]string{}, map[string][32]byte{}
	t.Cleanup(func() {
		for _, s := range c.nodes {
			if s != nil && s.port != nil {
				s.port.Close()
				s.node.Close()
				s.state.Close()
			}
		}
	})
	for i := range c.nodes {
		c.nodes[i] = c.seat(t, i)
	}
	c.open(t, c.nodes[0], cluster.Found)
	first := c.nodes[0].node
	code := sha256.Sum256([]byte("code"))
	for _, cmd := range []*command.Command{
		commandOf(command.Type_FOUND, &command.Found{Cluster: "clu_a", Node: "nod_0", SetupCode: code[:], Version: command.Version}, "cluster.found"),
		commandOf(command.Type_SETUP, &command.Setup{SetupCode: code[:], Tenant: &command.Tenant{Id: "ten_a"}, Admin: &command.Client{Id: "cli_a", Tenant: "ten_a", Key: code[:], Roles: []string{"platform_admin"}}}, "setup.complete"),
	} {
		a, err := first.Propose(t.Context(), cmd)
		must(t, err)
		if a.Refusal != "" {
			t.Fatal(a.Refusal)
		}
	}
	for _, s := range c.nodes[1:] {
		c.open(t, s, cluster.Join)
		must(t, first.Add(t.Context(), s.id))
	}
	for _, s := range c.nodes[1:] {
		must(t, s.node.Ready(t.Context()))
		must(t, first.Promote(t.Context(), s.id))
	}
	return c
}

// leader waits for one that leads and whom the others know.
func (c *trio) leader(t testing.TB) *seat {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, s := range c.nodes {
			if s.port != nil && s.node.Leading() && s.node.Read(t.Context()) == nil {
				return s
			}
		}
	}
	t.Fatal("no node leads")
	return nil
}

func (c *trio) propose(t testing.TB, s *seat) *command.Answer {
	t.Helper()
	a, err := s.node.Propose(t.Context(), kilobyte())
	must(t, err)
	if a.Refusal != "" {
		t.Fatal(a.Refusal)
	}
	return a
}

// same waits until all nodes that run have the state of the leader.
func (c *trio) same(t testing.TB) {
	t.Helper()
	index, hash := c.leader(t).state.Applied()
	for _, s := range c.nodes {
		if s.port == nil {
			continue
		}
		must(t, s.node.Read(t.Context()))
		if i, h := s.state.Applied(); i != index || h != hash {
			t.Errorf("%s has the state of entry %d (%x), the leader of %d (%x)", s.id, i, h[:4], index, hash[:4])
		}
	}
}

func TestAnyNodeAnswers(t *testing.T) {
	t.Parallel()
	c := three(t)
	for range 5 {
		for _, s := range c.nodes {
			a := c.propose(t, s)
			// Whoever was answered reads it where it was answered, and anywhere.
			if i, _ := s.state.Applied(); i < a.Index {
				t.Errorf("%s answered with entry %d and holds %d", s.id, a.Index, i)
			}
			for _, other := range c.nodes {
				must(t, other.node.Read(t.Context()))
				if i, _ := other.state.Applied(); i < a.Index {
					t.Errorf("after a read %s holds entry %d, %s has answered with %d", other.id, i, s.id, a.Index)
				}
			}
		}
	}
	c.same(t)
}

func TestALeaderThatIsGone(t *testing.T) {
	t.Parallel()
	c := three(t)
	gone := c.leader(t)
	last := c.propose(t, gone).Index
	gone.crash(t)
	gone.port = nil
	for _, s := range c.nodes {
		if s != gone {
			// Over a connection that has just ended the outcome is unknown.
			if index, _ := new(told).insist(t, s); index <= last {
				t.Errorf("entry %d after %d", index, last)
			}
		}
	}
	c.open(t, gone, cluster.Again)
	must(t, gone.node.Ready(t.Context()))
	c.propose(t, gone)
	c.same(t)
}

func TestWithoutQuorumNothingIsPromised(t *testing.T) {
	t.Parallel()
	c := three(t)
	keep := c.leader(t)
	for _, s := range c.nodes {
		if s != keep {
			s.crash(t)
			s.port = nil
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := keep.node.Propose(ctx, kilobyte()); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := keep.node.Read(ctx); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("a read: %v", err)
	}
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	c := three(t)
	first := c.leader(t)
	must(t, first.node.Transfer(t.Context(), ""))
	if second := c.leader(t); second == first {
		t.Error("the same node leads")
	}
	c.propose(t, first)
	c.same(t)
}

// A node that lacks entries which the others have forgotten gets the state.
func TestTheStateIsSent(t *testing.T) {
	t.Parallel()
	c := three(t)
	leader := c.leader(t)
	behind := c.nodes[0]
	if behind == leader {
		behind = c.nodes[1]
	}
	behind.crash(t)
	behind.port = nil
	for range 50 {
		c.propose(t, leader)
	}
	must(t, leader.node.Forget(5))
	for range 20 {
		c.propose(t, leader)
	}
	c.open(t, behind, cluster.Again)
	must(t, behind.node.Ready(t.Context()))
	c.propose(t, behind)
	c.same(t)
	if s := behind.node.Status(); s.SnapshotIndex < 50 {
		t.Errorf("the snapshot of the node is of entry %d", s.SnapshotIndex)
	}
	behind.crash(t)
	c.open(t, behind, cluster.Again)
	must(t, behind.node.Ready(t.Context()))
	c.same(t)
}

// A node with nothing gets the state, and votes with it.
func TestANewNodeGetsTheState(t *testing.T) {
	t.Parallel()
	c := three(t)
	leader := c.leader(t)
	for range 50 {
		c.propose(t, leader)
	}
	for _, s := range c.nodes {
		must(t, s.node.Read(t.Context()))
		must(t, s.node.Forget(5))
	}
	gone := c.nodes[1]
	if gone == leader {
		gone = c.nodes[2]
	}
	gone.crash(t)
	gone.port = nil
	must(t, leader.node.Remove(t.Context(), gone.id))
	for i, s := range c.nodes {
		if s == gone {
			c.nodes[i] = c.seat(t, 7)
			c.open(t, c.nodes[i], cluster.Join)
			must(t, leader.node.Add(t.Context(), "nod_7"))
			must(t, c.nodes[i].node.Ready(t.Context()))
			must(t, leader.node.Promote(t.Context(), "nod_7"))
			c.propose(t, c.nodes[i])
		}
	}
	c.same(t)
}
