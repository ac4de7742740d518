package member_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	random "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/engine/enginetest"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// TestMain has more tests run at one time than there are cores: they wait, most of
// it. Under the race detector so many would keep a leader from its heartbeats.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := "12"
	if enginetest.RaceDetector {
		parallel = "4"
	}
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err)
	}
	m.Run()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soon is far more than anything takes here that does not wait to be stable.
const soon = 20 * time.Second

func eventually(t testing.TB, within time.Duration, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", within, what)
		}
	}
}

// house is a cluster's nodes, of which the product is left out but for its
// members, with one clock.
type house struct {
	cluster string
	nodes   []*node
	ahead   atomic.Int64
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

// node has the files and the port of a node; the service, while it runs.
type node struct {
	*member.Service
	house     *house
	id, dir   string
	address   string
	name      string
	keys      *keys.Store
	state     *state.State
	raft      *cluster.Node
	port      *peer.Port
	identity  *member.Identity
	directory *member.Directory
	acts      *act.Proposer
	says      atomic.Pointer[member.Report] // of itself; nil: that it has a worker
	log       *bytes.Buffer                 // to be read once it has stopped; nil: none
	end       func()
}

func (n *node) local() member.Report {
	if r := n.says.Load(); r != nil {
		return *r
	}
	return member.Report{Workers: 1}
}

// freePort is an address on which nobody listens: below those that the system
// gives to connections (32768 on Linux), so that it stays free until it is used.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+random.IntN(20000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// founded is a house of one node, whose cluster is set up.
func founded(t testing.TB) *house {
	t.Helper()
	h := &house{cluster: id.New(id.Cluster, time.Now(), rand.Reader)}
	n := &node{house: h, id: id.New(id.Node, time.Now(), rand.Reader), dir: t.TempDir(), address: freePort(t), name: "a"}
	var err error
	n.keys, err = keys.Create(n.dir, h.cluster, rand.Reader, func(s *keys.Store) error { _, err := s.AddFile(n.dir + ".seal"); return err })
	must(t, err)
	t.Cleanup(func() { os.Remove(n.dir + ".seal") })
	n.open(t, cluster.Found)
	code := sha256.Sum256([]byte("code"))
	n.agree(t, command.Type_FOUND, &command.Found{Cluster: h.cluster, Node: n.id, SetupCode: code[:], Version: command.Version}, "cluster.found")
	tenant := id.New(id.Tenant, time.Now(), rand.Reader)
	n.agree(t, command.Type_SETUP, &command.Setup{SetupCode: code[:], Tenant: &command.Tenant{Id: tenant}, Admin: &command.Client{
		Id: id.New(id.Client, time.Now(), rand.Reader), Tenant: tenant, Key: code[:], Roles: []string{string(access.PlatformAdmin)}}}, "setup.complete")
	must(t, n.Found(t.Context()))
	n.run()
	h.nodes = append(h.nodes, n)
	return h
}

// open what a node has; the service does not run yet.
func (n *node) open(t testing.TB, how cluster.Start) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", n.name)
	}
	if n.log != nil {
		log = slog.New(slog.NewTextHandler(n.log, nil))
	}
	l, err := net.Listen("tcp", n.address)
	must(t, err)
	n.identity, err = member.OpenIdentity(filepath.Join(n.dir, "peer"))
	must(t, err)
	n.directory, err = member.OpenDirectory(filepath.Join(n.dir, "peer"), log)
	must(t, err)
	n.port = peer.New(peer.Config{Listener: l, Cluster: n.house.cluster, Node: n.id, Identity: n.directory.Shown(n.identity), Directory: n.directory, Log: log, Now: n.house.now})
	n.state, err = state.Open(filepath.Join(n.dir, "state.db"), how != cluster.Again)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	told := make(chan struct{}, 1)
	n.raft, err = cluster.Open(t.Context(), cluster.Config{Dir: filepath.Join(n.dir, "raft"), Cluster: n.house.cluster, ID: n.id, State: n.state, Log: log, Port: n.port,
		Applied: func([]*command.Answer) {
			select {
			case told <- struct{}{}:
			default:
			}
		}}, how)
	must(t, err)
	n.acts = &act.Proposer{Node: n.id, Cluster: n.raft, Now: n.house.now, Rand: rand.Reader}
	n.Service = member.New(member.Config{Proposer: n.acts, Cluster: n.house.cluster, Release: "test", Address: n.address, Name: n.name, Raft: n.raft, State: n.state,
		Keys: n.keys, Port: n.port, Identity: n.identity, Directory: n.directory, Local: n.local, Log: log})
	n.directory.Follow(n.state)
	mux, join := http.NewServeMux(), http.NewServeMux()
	n.raft.Handle(mux)
	n.Handle(mux)
	n.HandleJoin(join)
	n.port.Serve(peer.RPC, mux)
	n.port.Serve(peer.Join, join)
	go func() { _ = n.port.Run() }()
	go func() { _ = n.raft.Run(ctx) }()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		for {
			select {
			case <-ctx.Done():
				return
			case <-told:
				n.directory.Follow(n.state)
			}
		}
	}()
	n.end = func() {
		stop()
		<-followed
		n.port.Close()
		n.raft.Close()
		n.state.Close()
	}
	t.Cleanup(n.stop)
}

// run the service.
func (n *node) run() {
	ctx, stop := context.WithCancel(context.Background())
	ran, end := make(chan struct{}), n.end
	go func() { defer close(ran); n.Run(ctx) }()
	n.end = func() { stop(); n.port.Close(); <-ran; end() }
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
	_, err := n.acts.Propose(t.Context(), access.Caller{}, typ, payload, nil, &command.Event{Action: action, Result: "ok"})
	must(t, err)
}

// lead waits for the node that leads.
func (h *house) lead(t testing.TB) *node {
	t.Helper()
	var leader *node
	eventually(t, soon, "a leader", func() bool {
		for _, n := range h.nodes {
			if n.end != nil && n.raft.Leading() && n.raft.Read(t.Context()) == nil {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// others run and do not lead.
func (h *house) others(t testing.TB) (all []*node) {
	leader := h.lead(t)
	for _, n := range h.nodes {
		if n != leader && n.end != nil {
			all = append(all, n)
		}
	}
	return all
}

// applicant is a node that was not let in yet.
type applicant struct {
	*node
	receiver *keys.Receiver
	member.Application
}

func (h *house) applicant(t testing.TB, name string) *applicant {
	t.Helper()
	n := &node{house: h, id: id.New(id.Node, time.Now(), rand.Reader), dir: t.TempDir(), address: freePort(t), name: name}
	identity, err := member.OpenIdentity(filepath.Join(n.dir, "peer"))
	must(t, err)
	key, err := identity.Key()
	must(t, err)
	n.identity = identity
	a := &applicant{node: n}
	a.Request, err = pki.Request(key, rand.Reader)
	must(t, err)
	a.receiver, err = keys.NewReceiver(rand.Reader)
	must(t, err)
	a.Node, a.Name, a.Address, a.Receiver, a.Release, a.Commands, a.Clock = n.id, name, n.address, a.receiver.Public(), "test", command.Version, h.now()
	return a
}

// invited is a token, through whichever node.
func (n *node) invited(t testing.TB, replaces string) *member.Token {
	t.Helper()
	var token *member.Token
	eventually(t, soon, "an invitation", func() bool {
		var err error
		if token, err = n.Invite(t.Context(), access.Caller{}, replaces); !errors.Is(err, cluster.ErrUnavailable) {
			must(t, err)
		}
		return err == nil
	})
	again, err := member.ParseToken(token.String())
	must(t, err)
	return again
}

// join has a node join and opens it; it has no vote yet.
func (h *house) join(t testing.TB, name, replaces string) *node {
	t.Helper()
	a := h.applicant(t, name)
	token := h.lead(t).invited(t, replaces)
	w, err := member.Apply(t.Context(), token, a.Application)
	must(t, err)
	must(t, a.identity.Certify(w.Certificate, w.Authority))
	n := a.node
	d, err := member.OpenDirectory(filepath.Join(n.dir, "peer"), nil)
	must(t, err)
	must(t, d.Set(w.Index, w.Members, w.Trusted))
	n.keys, err = keys.Receive(n.dir, h.cluster, a.receiver, w.Keys, n.id, rand.Reader, func(s *keys.Store) error { _, err := s.AddFile(n.dir + ".seal"); return err })
	must(t, err)
	t.Cleanup(func() { os.Remove(n.dir + ".seal") })
	n.open(t, cluster.Join)
	n.run()
	h.nodes = append(h.nodes, n)
	must(t, n.raft.Ready(t.Context()))
	return n
}

// three nodes that vote, without the wait until they are stable.
func three(t testing.TB) *house {
	t.Helper()
	h := founded(t)
	for _, name := range []string{"b", "c"} {
		n := h.join(t, name, "")
		eventually(t, soon, "the leader knows it", func() bool { return slices.Contains(h.servers(t), n.id) })
	}
	for _, n := range h.nodes[1:] {
		eventually(t, soon, "it has a vote", func() bool { return h.lead(t).raft.Promote(t.Context(), n.id) == nil })
	}
	eventually(t, soon, "all answer", func() bool {
		for _, n := range h.nodes {
			if o := n.overview(t); !o.Quorum || len(o.Members) != 3 || slices.ContainsFunc(o.Members, func(m member.Standing) bool { return !m.Up || m.Role == "joining" }) {
				return false
			}
		}
		return true
	})
	return h
}

func (n *node) overview(t testing.TB) *member.Overview {
	t.Helper()
	o, err := n.Overview()
	must(t, err)
	return o
}

// servers that Raft knows.
func (h *house) servers(t testing.TB) (all []string) { return ids(t, h.lead(t), false) }

// voters of Raft, as the node has them.
func (n *node) voters(t testing.TB) []string { return ids(t, n, true) }

func ids(t testing.TB, n *node, voters bool) (all []string) {
	t.Helper()
	servers, err := n.raft.Servers()
	must(t, err)
	for _, s := range servers {
		if s.Voter || !voters {
			all = append(all, s.ID)
		}
	}
	return all
}

// refused fails the test where the cluster did not refuse it, for this reason.
func refused(t testing.TB, err error, why string) {
	t.Helper()
	if !errors.Is(err, member.ErrRefused) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want it refused: %s", err, why)
	}
}
