package replica_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/cluster/replica"
	"gatehouse/store/blob"
)

// cluster is some nodes that speak HTTP/1.1 over TLS on loopback.
type cluster struct {
	t     testing.TB
	nodes []*node
	// named by the state, which all nodes agree on.
	mu    sync.Mutex
	named []string
}

type node struct {
	*replica.Replica
	id     string
	dir    string
	blobs  *blob.Store
	server *httptest.Server
	client *http.Client // of those who ask it; its connections outlive a server
	url    atomic.Pointer[url.URL]
	front  atomic.Pointer[http.Handler] // in the place of the replica's handler, if set
	others []*node
	gets   atomic.Int32 // transfers that this node was asked for
	puts   atomic.Int32
	sent   atomic.Int64      // bytes of bodies, by this node
	free   atomic.Uint64     // bytes of its disk
	slow   atomic.Int64      // ns that it takes to say so
	look   func(name string) // before each that the state names, if set
	end    chan struct{}     // of the test: what hangs may go

	mu             sync.Mutex
	repaired, lost []string
	stopped        []error
}

const plenty = 1 << 40

// build makes n nodes, A, B, C …, each with the others in this order.
func build(t testing.TB, n int, change func(replica.Limits)) *cluster {
	return buildWith(t, n, 0, change)
}

func buildWith(t testing.TB, n int, rate int64, change func(replica.Limits)) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range n {
		m := &node{id: string(rune('A' + i)), dir: t.TempDir(), end: make(chan struct{})}
		m.free.Store(plenty)
		var err error
		m.blobs, err = blob.Open(m.dir, blob.Config{Free: func(string) (uint64, uint64, error) {
			time.Sleep(time.Duration(m.slow.Load()))
			return m.free.Load(), plenty, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		m.Replica = replica.New(replica.Config{
			Blobs: m.blobs, Peers: m, Log: slog.New(slog.DiscardHandler), Rate: rate,
			Named: func(ctx context.Context, do func(string) error) error {
				for _, name := range c.names() {
					if m.look != nil {
						m.look(name)
					}
					if err := do(name); err != nil {
						return err
					}
				}
				return nil
			},
			Repaired: func(name string) { m.note(&m.repaired, name) },
			Lost:     func(name string) { m.note(&m.lost, name) },
			Stop: func(err error) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.stopped = append(m.stopped, err)
			},
		})
		if change != nil {
			change(replica.LimitsOf(m.Replica))
		}
		m.serve(t, "")
		t.Cleanup(func() { close(m.end) })
		c.nodes = append(c.nodes, m)
	}
	for _, m := range c.nodes {
		m.others = slices.DeleteFunc(slices.Clone(c.nodes), func(o *node) bool { return o == m })
	}
	return c
}

// serve begins to answer, at an address or a new one.
func (m *node) serve(t testing.TB, address string) {
	t.Helper()
	h := m.Handler()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.Method {
		case http.MethodGet:
			m.gets.Add(1)
		case http.MethodPut:
			m.puts.Add(1)
		}
		if front := m.front.Load(); front != nil {
			(*front).ServeHTTP(w, q)
			return
		}
		h.ServeHTTP(w, q)
	}))
	if address != "" {
		s.Listener.Close()
		s.Listener = listen(t, address)
	}
	s.StartTLS()
	t.Cleanup(func() {
		m.front.Store(nil)
		s.CloseClientConnections()
		s.Close()
	})
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	m.url.Store(to)
	m.server = s
	if m.client == nil {
		m.client = s.Client()
		m.client.Transport.(*http.Transport).ExpectContinueTimeout = time.Second
	}
}

// instead answers for the node.
func (m *node) instead(h http.HandlerFunc) {
	front := http.Handler(h)
	m.front.Store(&front)
}

func (m *node) note(to *[]string, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*to = append(*to, name)
}

func (m *node) told() (repaired, lost []string, stopped []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.repaired), slices.Clone(m.lost), slices.Clone(m.stopped)
}

// Others and Do are what the lead's package gives.
func (m *node) Others() (ids []string) {
	for _, o := range m.others {
		ids = append(ids, o.id)
	}
	return ids
}

func (m *node) Do(id string, q *http.Request) (*http.Response, error) {
	for _, o := range m.others {
		if o.id == id {
			to := o.url.Load()
			if q.Body != nil {
				q.Body = &counter{q.Body, &m.sent}
			}
			q.URL.Scheme, q.URL.Host = to.Scheme, to.Host
			return o.client.Do(q)
		}
	}
	return nil, errors.New("no such node")
}

type counter struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *cluster) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.named)
}

func (c *cluster) name(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = append(c.named, names...)
}

// run until the test ends; then it must end.
func (m *node) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		m.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	})
}

type key struct{}

func (key) Object(salt [32]byte, _ []byte) ([32]byte, error) { return salt, nil }

type otherKey struct{}

func (otherKey) Object([32]byte, []byte) ([32]byte, error) { return [32]byte{1}, nil }

var header = blob.Header{Tenant: "ten_a", Subject: "sub_a", Object: "evd_1", KeyID: "key_1", KeyVersion: 1, Class: "image/jpeg"}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// keep puts a blob on the nodes, by none of what is tested.
func keep(t testing.TB, plain []byte, on ...*node) string {
	t.Helper()
	ref, err := on[0].blobs.Put(context.Background(), key{}, header, bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(on[0].file(ref.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range on[1:] {
		if err := os.MkdirAll(filepath.Dir(m.file(ref.Name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.file(ref.Name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ref.Name
}

func (m *node) put(plain []byte) (blob.Ref, error) {
	return m.Put(context.Background(), key{}, header, bytes.NewReader(plain), int64(len(plain)))
}

// read gives what was released before the error.
func (m *node) read(name string) ([]byte, error) {
	r, err := m.Open(context.Background(), key{}, header, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (m *node) file(name string) string {
	return filepath.Join(m.dir, "blobs", name[:2], name[2:4], name)
}

// whole says whether a node has the blob, by its hash.
func (m *node) whole(name string) bool { return m.blobs.Check(context.Background(), name) == nil }

// damage changes the file of a blob.
func (m *node) damage(t testing.TB, name string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(m.file(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.file(name), change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func(b []byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		return b
	}
}

// files under the node's directory, finished or not.
func (m *node) files(t testing.TB) (names []string) {
	t.Helper()
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		if errors.Is(err, fs.ErrNotExist) { // a file that goes meanwhile
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
