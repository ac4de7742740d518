// Package peer is the ways between the members of a cluster: one port of each,
// mutual TLS, and planes on it, told apart by ALPN, so that what fills one does
// not stop another.
//
// Who is let in is a certified node that the directory knows by its key. The
// package must never let in anybody else, but to the plane where a node that
// was invited shows its token; and it never waits without a bound.
package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"gatehouse/cluster/pki"
)

// Plane of the port.
type Plane string

// The planes. A number is raised where what is spoken on a plane changes so
// that it cannot be told from within.
const (
	Raft Plane = "gatehouse-raft/1"
	RPC  Plane = "gatehouse-rpc/1"
	Blob Plane = "gatehouse-blob/1"
	Join Plane = "gatehouse-join/1" // of those that are no members yet
)

const (
	handshakeTime = 10 * time.Second
	// maxHandshakes at one time, and of one address: each costs about a millisecond
	// of CPU, and whoever holds many open must not keep the members out.
	maxHandshakes    = 64
	maxHandshakesOne = 32
	// maxConnections of the port, and to one plane of one node: Raft uses a
	// handful, requests are at most 64 at one time.
	maxConnections = 512
	maxOfNode      = 160
	dialTime       = time.Second // in one building a round trip takes a millisecond
	keepAlive      = 5 * time.Second
)

var (
	// ErrUnknown node: the directory has no member of this id.
	ErrUnknown = errors.New("not a member of the cluster")
	// ErrRefused: the other one is not who it should be.
	ErrRefused = errors.New("the other node was not accepted")
	// ErrClosed port.
	ErrClosed = errors.New("the port is closed")
)

// Directory knows the members. Both answer at once.
type Directory interface {
	// Address of a member's port. Error: ErrUnknown.
	Address(node string) (string, error)
	// Admit says whether a node with this key is a member. Error: ErrUnknown.
	Admit(node string, key [32]byte) error
}

// Identity is what the node shows of itself, and whom it trusts.
type Identity struct {
	Certificate tls.Certificate // with the authority's behind it
	Authorities []*x509.Certificate
}

// Config of a port.
type Config struct {
	Listener      net.Listener
	Cluster, Node string
	// Identity is asked at each handshake.
	Identity  func() (*Identity, error)
	Directory Directory
	Log       *slog.Logger
	Now       func() time.Time
}

// Port of a node. Safe for concurrent use.
type Port struct {
	c      Config
	planes map[Plane]*plane
	client clients
	wait   sync.WaitGroup

	mu      sync.Mutex
	open    map[*Conn]bool
	shaking map[net.Conn]string // handshakes under way, and from which address
	closed  bool
}

// New port. Run serves it; its planes can be taken before.
func New(c Config) *Port {
	p := &Port{c: c, planes: map[Plane]*plane{}, open: map[*Conn]bool{}, shaking: map[net.Conn]string{}}
	for _, name := range []Plane{Raft, RPC, Blob, Join} {
		p.planes[name] = &plane{name: name, port: p, conns: make(chan *Conn), done: make(chan struct{})}
	}
	p.client = p.newClients()
	return p
}

// Conn is a connection between two members.
type Conn struct {
	net.Conn
	Node  string // the other one; empty on Join
	Plane Plane
	port  *Port
	once  sync.Once
}

// Close also leaves the port's count.
func (c *Conn) Close() error {
	c.once.Do(func() { c.port.leave(c) })
	return c.Conn.Close()
}

// Run accepts connections until the port is closed.
func (p *Port) Run() error {
	for {
		raw, err := p.c.Listener.Accept()
		if err != nil {
			p.mu.Lock()
			closed := p.closed
			p.mu.Unlock()
			if closed || errors.Is(err, net.ErrClosed) {
				return nil
			}
			p.c.Log.Warn("a connection to the peer port failed", "error", err)
			time.Sleep(50 * time.Millisecond) // out of descriptors: do not spin
			continue
		}
		if !p.shake(raw) {
			raw.Close()
		}
	}
}

// shake hands beside the others, where there is room for one more and for one of
// its address.
func (p *Port) shake(raw net.Conn) bool {
	from, _, _ := net.SplitHostPort(raw.RemoteAddr().String())
	p.mu.Lock()
	defer p.mu.Unlock()
	one := 0
	for _, of := range p.shaking {
		if of == from {
			one++
		}
	}
	if p.closed || len(p.shaking) >= maxHandshakes || one >= maxHandshakesOne {
		return false
	}
	p.shaking[raw] = from
	p.wait.Go(func() {
		conn, err := p.accept(raw)
		p.mu.Lock()
		delete(p.shaking, raw)
		p.mu.Unlock()
		if err != nil {
			raw.Close()
			p.c.Log.Debug("a connection to the peer port was refused", "from", raw.RemoteAddr().String(), "error", err)
			return
		}
		p.planes[conn.Plane].give(conn)
	})
	return true
}

func (p *Port) accept(raw net.Conn) (*Conn, error) {
	if err := raw.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return nil, err
	}
	c := tls.Server(raw, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: p.serve})
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	s := c.ConnectionState()
	conn := &Conn{Conn: c, Plane: Plane(s.NegotiatedProtocol), port: p}
	if p.planes[conn.Plane] == nil {
		return nil, fmt.Errorf("%w: it asked for no plane", ErrRefused)
	}
	if len(s.PeerCertificates) > 0 {
		_, node, err := pki.Node(s.PeerCertificates[0])
		if err != nil {
			return nil, err
		}
		conn.Node = node
	}
	return conn, p.enter(conn)
}

// serve gives the terms of one handshake: a member on every plane, anybody on
// Join alone.
func (p *Port) serve(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	id, err := p.c.Identity()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{id.Certificate}, SessionTicketsDisabled: true}
	if len(hello.SupportedProtos) == 1 && Plane(hello.SupportedProtos[0]) == Join {
		c.NextProtos = []string{string(Join)}
		return c, nil
	}
	c.NextProtos = []string{string(Raft), string(RPC), string(Blob)}
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(s tls.ConnectionState) error {
		_, err := p.verify(s, id)
		return err
	}
	return c, nil
}

// verify who the other one is, and that it is a member.
func (p *Port) verify(s tls.ConnectionState, id *Identity) (node string, err error) {
	if len(s.PeerCertificates) == 0 {
		return "", fmt.Errorf("%w: it shows no certificate", ErrRefused)
	}
	cert := s.PeerCertificates[0]
	if node, err = pki.Verify(cert, p.c.Cluster, id.Authorities, p.c.Now()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := p.c.Directory.Admit(node, pki.Fingerprint(cert)); err != nil {
		return "", fmt.Errorf("%w: node %s: %w", ErrRefused, node, err)
	}
	return node, nil
}

// Dial a plane of a member. Errors: ErrUnknown, ErrRefused, or the network's.
func (p *Port) Dial(ctx context.Context, node string, plane Plane) (*Conn, error) {
	address, err := p.c.Directory.Address(node)
	if err != nil {
		return nil, err
	}
	id, err := p.c.Identity()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := (&net.Dialer{KeepAlive: keepAlive}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{string(plane)}, Certificates: []tls.Certificate{id.Certificate},
		// The names of hosts mean nothing here: VerifyConnection looks at the
		// node's id.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			who, err := p.verify(s, id)
			if err == nil && who != node {
				err = fmt.Errorf("%w: %s is node %s, not %s", ErrRefused, address, who, node)
			}
			return err
		},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	conn := &Conn{Conn: c, Node: node, Plane: plane, port: p}
	if err := p.enter(conn); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

func (p *Port) enter(c *Conn) error {
	if err := p.count(c); err != nil || c.Node == "" {
		return err
	}
	// It may have been removed, and dropped, since the handshake asked.
	s := c.Conn.(*tls.Conn).ConnectionState()
	if err := p.c.Directory.Admit(c.Node, pki.Fingerprint(s.PeerCertificates[0])); err != nil {
		p.leave(c)
		return fmt.Errorf("%w: node %s: %w", ErrRefused, c.Node, err)
	}
	return nil
}

func (p *Port) count(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	of := 0
	for o := range p.open {
		if o.Node == c.Node && o.Plane == c.Plane {
			of++
		}
	}
	if len(p.open) >= maxConnections || of >= maxOfNode {
		return fmt.Errorf("%w: too many connections", ErrRefused)
	}
	p.open[c] = true
	return nil
}

func (p *Port) leave(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// Drop the connections with a node, as of one that was removed.
func (p *Port) Drop(node string) {
	p.mu.Lock()
	var theirs []*Conn
	for c := range p.open {
		if c.Node == node {
			theirs = append(theirs, c)
		}
	}
	p.mu.Unlock()
	for _, c := range theirs {
		p.sever(c)
	}
}

// sever at once: one who does not read must not keep the caller waiting.
func (p *Port) sever(c *Conn) {
	c.once.Do(func() { p.leave(c) })
	c.Conn.(*tls.Conn).NetConn().Close()
}

// Close the port and every connection.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	var all []*Conn
	for c := range p.open {
		all = append(all, c)
	}
	for raw := range p.shaking {
		raw.Close()
	}
	p.mu.Unlock()
	err := p.c.Listener.Close()
	for _, l := range p.planes {
		l.Close()
	}
	for _, c := range all {
		p.sever(c)
	}
	p.client.close()
	p.wait.Wait()
	return err
}
