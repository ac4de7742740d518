package cluster_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"gatehouse/cluster/peer"
)

// network is the ways between the nodes of a trio: a TCP relay for each ordered
// pair, which can hold back, cut and refuse, each plane for itself. The plane is
// in the first message of TLS, readable to anybody.
type network struct {
	trio *trio

	mu    sync.Mutex
	links map[[2]string]*link
}

// link carries the connections that one node dials to another.
type link struct {
	from, to string
	network  *network
	listener net.Listener

	mu      sync.Mutex
	conns   map[*relayed]bool
	refused map[peer.Plane]bool
	gates   map[gateName]*gate
}

// gateName is a direction of a plane: back is what the dialled one sends.
type gateName struct {
	plane peer.Plane
	back  bool
}

type relayed struct {
	plane   peer.Plane
	in, out net.Conn
	once    sync.Once
	done    chan struct{}
}

func (r *relayed) close() {
	r.once.Do(func() {
		close(r.done)
		r.in.Close()
		r.out.Close()
	})
}

// networked is three nodes with a network between that can fail.
func networked(t testing.TB) *trio {
	t.Helper()
	return over(t, hurried{stall: stall, patience: patience})
}

func over(t testing.TB, h hurried) *trio {
	t.Helper()
	c := &trio{hurried: h}
	c.network = &network{trio: c, links: map[[2]string]*link{}}
	t.Cleanup(c.network.close) // after the nodes have ended
	return assemble(t, c)
}

func (w *network) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		l.listener.Close()
		l.cut()
	}
}

func (w *network) link(from, to string) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.links[[2]string{from, to}]; l != nil {
		return l
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	l := &link{from: from, to: to, network: w, listener: listener, conns: map[*relayed]bool{}, refused: map[peer.Plane]bool{}, gates: map[gateName]*gate{}}
	w.links[[2]string{from, to}] = l
	go l.run()
	return l
}

func (l *link) run() {
	for {
		in, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.relay(in)
	}
}

func (l *link) relay(in net.Conn) {
	hello := make([]byte, 5)
	if _, err := io.ReadFull(in, hello); err != nil {
		in.Close()
		return
	}
	hello = append(hello, make([]byte, binary.BigEndian.Uint16(hello[3:]))...)
	if _, err := io.ReadFull(in, hello[5:]); err != nil {
		in.Close()
		return
	}
	var plane peer.Plane
	for _, p := range []peer.Plane{peer.Raft, peer.RPC, peer.Blob} {
		if bytes.Contains(hello, []byte(p)) {
			plane = p
		}
	}
	address, err := l.network.trio.Address(l.to)
	if err != nil {
		in.Close()
		return
	}
	out, err := net.Dial("tcp", address)
	if err != nil {
		in.Close()
		return
	}
	r := &relayed{plane: plane, in: in, out: out, done: make(chan struct{})}
	l.mu.Lock()
	if l.refused[plane] {
		l.mu.Unlock()
		r.close()
		return
	}
	l.conns[r] = true
	l.mu.Unlock()
	go l.pump(r, out, in, l.gate(plane, true))
	l.pump(r, io.MultiReader(bytes.NewReader(hello), in), out, l.gate(plane, false))
}

func (l *link) pump(r *relayed, src io.Reader, dst net.Conn, g *gate) {
	defer func() {
		r.close()
		l.mu.Lock()
		delete(l.conns, r)
		l.mu.Unlock()
	}()
	b := make([]byte, 16<<10)
	for {
		n, err := src.Read(b)
		for at := 0; at < n; {
			k := g.pass(n-at, r.done)
			if k == 0 {
				return
			}
			if _, err := dst.Write(b[at : at+k]); err != nil {
				return
			}
			at += k
		}
		if err != nil {
			return
		}
	}
}

func (l *link) gate(plane peer.Plane, back bool) *gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := gateName{plane, back}
	if l.gates[name] == nil {
		l.gates[name] = &gate{left: math.MaxInt}
	}
	return l.gates[name]
}

// cut the connections that are open.
func (l *link) cut(planes ...peer.Plane) {
	l.mu.Lock()
	var all []*relayed
	for r := range l.conns {
		if len(planes) == 0 || r.plane == planes[0] {
			all = append(all, r)
		}
	}
	l.mu.Unlock()
	for _, r := range all {
		r.close()
	}
}

// refuse connections of a plane, and cut those that are open.
func (l *link) refuse(plane peer.Plane) {
	l.mu.Lock()
	l.refused[plane] = true
	l.mu.Unlock()
	l.cut(plane)
}

// gate holds bytes back.
type gate struct {
	mu    sync.Mutex
	left  int // bytes that may still pass
	delay time.Duration
	more  chan struct{} // closed when it opens
}

// pass says how many of n bytes may; 0 where the connection has ended.
func (g *gate) pass(n int, done <-chan struct{}) int {
	for {
		g.mu.Lock()
		k, more, delay := min(n, g.left), g.more, g.delay
		if g.left != math.MaxInt {
			g.left -= k
		}
		g.mu.Unlock()
		if k > 0 {
			time.Sleep(delay)
			return k
		}
		select {
		case <-more:
		case <-done:
			return 0
		}
	}
}

// shut it after so many bytes more.
func (g *gate) shut(after int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = after
	if g.more == nil {
		g.more = make(chan struct{})
	}
}

// full says whether no byte may pass.
func (g *gate) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left == 0
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.delay = math.MaxInt, 0
	if g.more != nil {
		close(g.more)
		g.more = nil
	}
}

func (g *gate) slow(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delay = d
}

// lose what one node sends another, whoever dialled: a black hole. New
// connections get no answer in either direction then.
func (c *trio) lose(from, to *seat) {
	for _, plane := range []peer.Plane{peer.Raft, peer.RPC, peer.Blob} {
		c.network.link(from.id, to.id).gate(plane, false).shut(0)
		c.network.link(to.id, from.id).gate(plane, true).shut(0)
	}
}

// heal the network. What was held back is lost, as are its connections.
func (c *trio) heal() {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	for _, l := range c.network.links {
		l.mu.Lock()
		clear(l.refused)
		held := false
		for _, g := range l.gates {
			held = held || g.full()
		}
		l.mu.Unlock()
		if held {
			l.cut()
		}
		l.mu.Lock()
		for _, g := range l.gates {
			g.open()
		}
		l.mu.Unlock()
	}
}

// others than a node.
func (c *trio) others(s *seat) []*seat {
	var all []*seat
	for _, o := range c.nodes {
		if o != s {
			all = append(all, o)
		}
	}
	return all
}
