// Package appliancetest runs a real appliance in the test's own process: real
// models, real files, real TLS on a free port, set up through its API.
//
// It is for tests only; the product must never import it. Every answer that
// its clients receive is held against the API's description.
package appliancetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance"
	"gatehouse/engine"
	"gatehouse/engine/enginetest"
)

// Option changes a node before it runs.
type Option func(*Node)

// Config changes the configuration.
func Config(change func(*appliance.Config)) Option { return func(n *Node) { change(&n.config) } }

// Opened is called with a node that was opened, before it runs.
func Opened(do func(*appliance.Node)) Option { return func(n *Node) { n.opened = do } }

// Port gives a node that is alone an address for others, of which it waits at
// a free port: nobody joins it there.
func Port() Option {
	return Config(func(c *appliance.Config) { c.Peer, c.PeerListen = "127.0.0.1:1", "127.0.0.1:0" })
}

// Node is one running appliance.
type Node struct {
	Data  string // directory
	Clock *Clock
	// Home is the first tenant, whose administrator is the cluster's too.
	Home *Tenant

	config   appliance.Config
	contract *contract
	log      *logged
	opened   func(*appliance.Node)
	node     *appliance.Node
	http     *http.Client
	stop     func() error
}

// Start opens a node, serves, and sets it up. It is stopped when the test ends.
func Start(t testing.TB, options ...Option) *Node {
	t.Helper()
	n := Open(t, options...)
	n.Home = n.setUp(t)
	return n
}

// Open is Start without the set-up.
func Open(t testing.TB, options ...Option) *Node {
	t.Helper()
	n := &Node{Data: filepath.Join(t.TempDir(), "data"), Clock: &Clock{}, contract: describe(t), log: &logged{}}
	n.config = appliance.Config{
		Data: n.Data, Listen: "127.0.0.1:0", Version: "test", Engine: engine.Config{Runtime: enginetest.Runtime(t), Pack: enginetest.Pack(t)},
		Reserve: 1 << 20, Now: n.Clock.now, Log: slog.New(slog.NewJSONHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(n)
	}
	n.run(t)
	t.Cleanup(func() { n.end(t) })
	return n
}

func (n *Node) run(t testing.TB) {
	t.Helper()
	node, err := appliance.New(n.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := node.Open(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	if n.opened != nil {
		n.opened(node)
	}
	n.node = node
	n.http = n.Dial(t, nil)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	n.stop = func() error {
		n.http.CloseIdleConnections() // else net/http waits five seconds for one that was never used
		cancel()
		err := <-ended
		if e := node.Close(); err == nil {
			err = e
		}
		return err
	}
}

func (n *Node) end(t testing.TB) {
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	if log := n.Log(); strings.Contains(log, "panicked") || strings.Contains(log, "panic serving") {
		t.Errorf("a handler panicked:\n%s", log)
	}
}

// Restart stops the node in order and starts it again, at another port.
// Meanwhile (may be nil) runs between the two.
func (n *Node) Restart(t testing.TB, meanwhile func()) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile()
	}
	n.run(t)
}

// Broken is Restart of a node that has ended of itself, and gives why.
func (n *Node) Broken(t testing.TB, meanwhile func()) error {
	t.Helper()
	err := n.stop()
	meanwhile()
	n.run(t)
	return err
}

// Configuration is how the node was opened, to open it another way.
func (n *Node) Configuration() appliance.Config { return n.config }

// Change how the node is opened the next time.
func (n *Node) Change(by func(*appliance.Config)) { by(&n.config) }

// LoseKeyFile removes the first slot's key file.
func (n *Node) LoseKeyFile(t testing.TB) {
	t.Helper()
	if err := os.Remove(n.Data + ".seal"); err != nil {
		t.Fatal(err)
	}
}

// Address where the API listens.
func (n *Node) Address() string { return n.node.Address() }

// SetupCode of a node that nobody has set up.
func (n *Node) SetupCode() string { return n.node.SetupCode() }

// Log is what the node has written of itself.
func (n *Node) Log() string { return n.log.String() }

// Roots is the pool with the node's own certificate.
func (n *Node) Roots(t testing.TB) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(n.node.CertificateFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("the node's certificate is no PEM")
	}
	return pool
}

// Dial makes an HTTP client that pins the node's certificate and shows its own
// where one is given.
func (n *Node) Dial(t testing.TB, own *tls.Certificate) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: n.Roots(t), MinVersion: tls.VersionTLS13}
	if own != nil {
		c.Certificates = []tls.Certificate{*own}
	}
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Clock is the real one, ahead by what was added, or stopped.
type Clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time
}

func (c *Clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped
	}
	return time.Now().Add(c.ahead)
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	if !c.stopped.IsZero() {
		c.stopped = c.stopped.Add(d)
	}
}

// Stop the clock until the test ends.
func (c *Clock) Stop(t testing.TB) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = now
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopped = time.Time{}
	})
}

// logged keeps what is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Shared is one node for all tests of a package: TestMain closes it.
type Shared struct {
	mu   sync.Mutex
	node *Node
	life *lasting
}

// Node starts it at the first call.
func (s *Shared) Node(t testing.TB) *Node {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		s.life = &lasting{TB: t}
		s.node = Start(s.life)
	}
	s.life.TB = t // who is told of what goes wrong
	return s.node
}

// Close stops it, and says whether that went well.
func (s *Shared) Close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil {
		return true
	}
	return s.life.end()
}

// lasting is a test that ends with the process.
type lasting struct {
	testing.TB
	dirs    []string
	cleanup []func()
	ended   bool
	failed  bool
}

func (l *lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "appliance")
	if err != nil {
		l.Fatal(err)
	}
	l.dirs = append(l.dirs, dir)
	return dir
}

func (l *lasting) Cleanup(f func()) { l.cleanup = append(l.cleanup, f) }

func (l *lasting) Error(args ...any) {
	if !l.ended {
		l.TB.Error(args...)
		return
	}
	l.failed = true
	slog.Error("stopping the shared node", "error", args)
}

func (l *lasting) end() bool {
	l.ended = true
	for i := range l.cleanup {
		l.cleanup[len(l.cleanup)-1-i]()
	}
	for _, dir := range l.dirs {
		if err := os.RemoveAll(dir); err != nil {
			l.Error(err)
		}
	}
	return !l.failed
}
