package peer_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
)

// soon is far more than anything here takes that does not wait for a deadline,
// and far less than the port's own deadlines.
const soon = 3 * time.Second

// What a port started ends with it.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > 2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > 2 && code == 0 {
		b := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n%s\n", n, b[:runtime.Stack(b, true)])
		code = 1
	}
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a cluster's directory.
type house struct {
	authority *pki.Authority

	mu      sync.Mutex
	address map[string]string
	key     map[string][32]byte
	asked   func(node string) // before Admit answers yes; may be nil
}

func newHouse(t testing.TB) *house {
	t.Helper()
	a, err := pki.NewAuthority("clu_a", time.Now(), rand.Reader)
	must(t, err)
	return &house{authority: a, address: map[string]string{}, key: map[string][32]byte{}}
}

func (h *house) Address(node string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a, ok := h.address[node]; ok {
		return a, nil
	}
	return "", peer.ErrUnknown
}

func (h *house) Admit(node string, key [32]byte) error {
	h.mu.Lock()
	k, ok := h.key[node]
	asked := h.asked
	h.mu.Unlock()
	if !ok || k != key {
		return peer.ErrUnknown
	}
	if asked != nil {
		asked(node)
	}
	return nil
}

// at puts a node's address in the directory.
func (h *house) at(node, address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.address[node] = address
}

func (h *house) remove(node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.key, node)
	delete(h.address, node)
}

// identity of a node of some cluster, certified for now.
func identity(t testing.TB, a *pki.Authority, cluster, node string, now time.Time) *peer.Identity {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	must(t, err)
	request, err := pki.Request(key, rand.Reader)
	must(t, err)
	c, err := a.Issue(request, cluster, node, now, rand.Reader)
	must(t, err)
	return &peer.Identity{Authorities: []*x509.Certificate{a.Certificate},
		Certificate: tls.Certificate{Certificate: [][]byte{c.Raw, a.Certificate.Raw}, PrivateKey: key, Leaf: c}}
}

// node is a member with a port that runs.
type node struct {
	*peer.Port
	id      string
	address string
	ran     chan error

	mu  sync.Mutex
	own *peer.Identity
}

func (n *node) identity() *peer.Identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own
}

func (n *node) show(i *peer.Identity) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.own = i
}

// silent is a member whose planes nobody takes.
func (h *house) silent(t testing.TB, id string) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := &node{id: id, address: l.Addr().String(), own: identity(t, h.authority, "clu_a", id, time.Now()), ran: make(chan error, 1)}
	h.mu.Lock()
	h.address[id], h.key[id] = n.address, pki.Fingerprint(n.own.Certificate.Leaf)
	h.mu.Unlock()
	n.Port = peer.New(peer.Config{Listener: l, Cluster: "clu_a", Node: id, Directory: h, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Identity: func() (*peer.Identity, error) { return n.identity(), nil }})
	go func() { n.ran <- n.Run() }()
	t.Cleanup(func() { n.Close() })
	return n
}

// member answers on every plane: on Raft it says who called and then echoes, on
// the others it says the plane and who asked.
func (h *house) member(t testing.TB, id string) *node {
	t.Helper()
	n := h.silent(t, id)
	go echo(n.Listener(peer.Raft))
	for _, plane := range []peer.Plane{peer.RPC, peer.Blob, peer.Join} {
		n.Serve(plane, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s from %q to %s", plane, peer.From(r), id)
		}))
	}
	return n
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := fmt.Fprintln(c, c.(*peer.Conn).Node, c.(*peer.Conn).Plane); err == nil {
				_, _ = io.Copy(c, c)
			}
		}()
	}
}

// ask a member on a plane.
func (n *node) ask(t testing.TB, plane peer.Plane, of string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	must(t, err)
	response, err := n.Do(plane, of, r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

// within fails where something takes longer.
func within(t testing.TB, d time.Duration, what string, do func()) {
	t.Helper()
	started := time.Now()
	do()
	if took := time.Since(started); took > d {
		t.Errorf("%s took %v", what, took)
	}
}

// renewed is a new certificate of a node's key.
func renewed(t testing.TB, n *node, by *pki.Authority) *peer.Identity {
	t.Helper()
	key := n.identity().Certificate.PrivateKey.(*ecdsa.PrivateKey)
	request, err := pki.Request(key, rand.Reader)
	must(t, err)
	c, err := by.Issue(request, "clu_a", n.id, time.Now(), rand.Reader)
	must(t, err)
	return &peer.Identity{Authorities: []*x509.Certificate{by.Certificate},
		Certificate: tls.Certificate{Certificate: [][]byte{c.Raw, by.Certificate.Raw}, PrivateKey: key, Leaf: c}}
}

// forged carries the public key of an authority, and is signed by another.
func forged(t testing.TB, of *x509.Certificate) []byte {
	t.Helper()
	other, err := pki.NewKey(rand.Reader)
	must(t, err)
	template := *of
	der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{Subject: of.Subject}, of.PublicKey, other)
	must(t, err)
	return der
}
