package custody_test

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
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/custody"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const soon = 20 * time.Second

func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", soon, what)
		}
	}
}

// trio is three nodes with the same keys.
type trio struct {
	cluster   string
	authority *pki.Authority
	nodes     []*node

	mu      sync.Mutex
	address map[string]string
	key     map[string][32]byte
}

// node is one of them, as far as the custody needs it.
type node struct {
	*custody.Custody
	trio     *trio
	id, dir  string
	keys     *keys.Store
	identity *peer.Identity
	state    *state.State
	raft     *cluster.Node
	port     *peer.Port
	end      func()
	deaf     atomic.Bool                  // it answers no other member
	hung     atomic.Bool                  // nor says so
	before   func(*command.Command) error // a command is proposed; may be nil
}

func (c *trio) Address(node string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.address[node]; ok {
		return a, nil
	}
	return "", peer.ErrUnknown
}

func (c *trio) Admit(node string, key [32]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.key[node]; ok && k == key {
		return nil
	}
	return peer.ErrUnknown
}

// raftOf is what the custody asks of Raft.
type raftOf struct{ *cluster.Node }

func (r raftOf) Leader() string { return r.Status().Leader }

func (n *node) Others() (all []string) {
	for _, o := range n.trio.nodes {
		if o != n {
			all = append(all, o.id)
		}
	}
	return all
}

func (n *node) Do(to string, r *http.Request) (*http.Response, error) {
	return n.port.Do(peer.RPC, to, r)
}

// Propose lets a test come between.
func (n *node) Propose(ctx context.Context, c *command.Command) (*command.Answer, error) {
	if n.before != nil {
		if err := n.before(c); err != nil {
			return nil, err
		}
	}
	return n.raft.Propose(ctx, c)
}

func three(t testing.TB) *trio {
	t.Helper()
	now := time.Now()
	c := &trio{cluster: id.New(id.Cluster, now, rand.Reader), address: map[string]string{}, key: map[string][32]byte{}}
	var err error
	c.authority, err = pki.NewAuthority(c.cluster, now, rand.Reader)
	must(t, err)
	for range 3 {
		c.nodes = append(c.nodes, c.place(t))
	}
	first := c.nodes[0]
	first.keys, err = keys.Create(first.dir, c.cluster, rand.Reader, first.slot)
	must(t, err)
	for _, n := range c.nodes[1:] {
		receiver, err := keys.NewReceiver(rand.Reader)
		must(t, err)
		bundle, err := first.keys.HandOver(receiver.Public(), n.id)
		must(t, err)
		n.keys, err = keys.Receive(n.dir, c.cluster, receiver, bundle, n.id, rand.Reader, n.slot)
		must(t, err)
	}
	first.open(t, cluster.Found)
	code := sha256.Sum256([]byte("code"))
	first.agree(t, command.Type_FOUND, &command.Found{Cluster: c.cluster, Node: first.id, SetupCode: code[:], Version: command.Version}, "cluster.found")
	sum := first.keys.RingSum()
	serial, err := first.keys.RingSerial()
	must(t, err)
	first.agree(t, command.Type_SET_RING, &command.SetRing{Ring: &command.Ring{Serial: serial, Sum: sum[:]}}, "key.create")
	for _, n := range c.nodes[1:] {
		n.open(t, cluster.Join)
		must(t, first.raft.Add(t.Context(), n.id))
		must(t, n.raft.Ready(t.Context()))
		must(t, first.raft.Promote(t.Context(), n.id))
	}
	return c
}

// place of a node: its folder and its certificate.
func (c *trio) place(t testing.TB) *node {
	t.Helper()
	n := &node{trio: c, id: id.New(id.Node, time.Now(), rand.Reader), dir: filepath.Join(t.TempDir(), "data")}
	must(t, disk.MkdirAll(n.dir))
	key, err := pki.NewKey(rand.Reader)
	must(t, err)
	request, err := pki.Request(key, rand.Reader)
	must(t, err)
	cert, err := c.authority.Issue(request, c.cluster, n.id, time.Now(), rand.Reader)
	must(t, err)
	n.identity = &peer.Identity{Certificate: tls.Certificate{Certificate: [][]byte{cert.Raw, c.authority.Certificate.Raw}, PrivateKey: key, Leaf: cert},
		Authorities: []*x509.Certificate{c.authority.Certificate}}
	c.key[n.id] = pki.Fingerprint(cert)
	return n
}

func (n *node) slot(s *keys.Store) error {
	_, err := s.AddFile(n.dir + ".seal")
	return err
}

func (n *node) open(t testing.TB, how cluster.Start) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", n.id)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n.trio.mu.Lock()
	n.trio.address[n.id] = l.Addr().String()
	n.trio.mu.Unlock()
	n.port = peer.New(peer.Config{Listener: l, Cluster: n.trio.cluster, Node: n.id, Directory: n.trio, Log: log, Now: time.Now,
		Identity: func() (*peer.Identity, error) { return n.identity, nil }})
	n.state, err = state.Open(filepath.Join(n.dir, "state.db"), how != cluster.Again)
	must(t, err)
	var follows atomic.Pointer[custody.Custody]
	n.raft, err = cluster.Open(t.Context(), cluster.Config{Dir: filepath.Join(n.dir, "raft"), Cluster: n.trio.cluster, ID: n.id, State: n.state, Log: log, Port: n.port,
		Applied: func(all []*command.Answer) {
			if c := follows.Load(); c != nil && slices.ContainsFunc(all, func(a *command.Answer) bool { return a != nil && a.Id == state.RingID }) {
				c.Wake()
			}
		}}, how)
	must(t, err)
	n.Custody = custody.New(custody.Config{Proposer: &act.Proposer{Node: n.id, Cluster: n, Now: time.Now, Rand: rand.Reader}, Keys: n.keys, State: n.state,
		Raft: raftOf{n.raft}, Members: n, Log: log})
	follows.Store(n.Custody)
	mux := http.NewServeMux()
	n.raft.Handle(mux)
	rings := http.NewServeMux()
	n.Handle(rings)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if n.hung.Load() {
			<-r.Context().Done()
			return
		}
		if n.deaf.Load() {
			http.Error(w, "no", http.StatusInsufficientStorage)
			return
		}
		rings.ServeHTTP(w, r)
	})
	n.port.Serve(peer.RPC, mux)
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	go func() { _ = n.port.Run() }()
	parts.Go(func() { _ = n.raft.Run(ctx) })
	parts.Go(func() { n.Run(ctx) })
	n.end = func() {
		stop()
		n.port.Close()
		parts.Wait()
		n.raft.Close()
		n.state.Close()
	}
	t.Cleanup(n.stop)
}

// stop the node; its files stay.
func (n *node) stop() {
	if n.end != nil {
		n.end()
	}
	n.end = nil
}

func (n *node) agree(t testing.TB, typ command.Type, payload proto.Message, action string) {
	t.Helper()
	_, err := n.Custody.Proposer.Propose(t.Context(), access.Caller{}, typ, payload, nil, &command.Event{Action: action, Result: "ok"})
	must(t, err)
}

func (c *trio) leader(t testing.TB) (leader *node) {
	t.Helper()
	eventually(t, "a leader", func() bool {
		for _, n := range c.nodes {
			if n.end != nil && n.raft.Leading() && n.raft.Read(t.Context()) == nil {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

func (c *trio) followers(t testing.TB) (all []*node) {
	t.Helper()
	leader := c.leader(t)
	for _, n := range c.nodes {
		if n != leader && n.end != nil {
			all = append(all, n)
		}
	}
	return all
}

// files of key-rings in the folder of a node.
func (n *node) files(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(n.dir, "*keyring*"))
	must(t, err)
	return all
}

// same waits until all have the key-ring that was agreed on, and no other file.
func (c *trio) same(t testing.TB) (serial uint64) {
	t.Helper()
	leader := c.leader(t)
	var ring *command.Ring
	must(t, leader.state.View(func(v *state.View) (err error) { ring, err = v.Ring(); return err }))
	eventually(t, "one key-ring everywhere", func() bool {
		for _, n := range c.nodes {
			if n.end != nil && (!n.Current() || n.keys.RingSum() != [32]byte(ring.Sum) || len(n.files(t)) != 1) {
				return false
			}
		}
		return true
	})
	return ring.Serial
}

var errCut = errors.New("cut off")

// unavailable as the cluster says it: the outcome is not known.
func unavailable() error { return fmt.Errorf("%w: %w", cluster.ErrUnavailable, errCut) }
