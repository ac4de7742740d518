package peer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/cluster/peer"
)

// The caps of the port (port.go).
const (
	maxHandshakesOne = 32
	maxOfNode        = 160
)

// connected dials, and has been let in.
func connected(t testing.TB, from *node, to string) *peer.Conn {
	t.Helper()
	c, err := from.Dial(t.Context(), to, peer.Raft)
	must(t, err)
	must(t, c.SetReadDeadline(time.Now().Add(soon)))
	b := make([]byte, 1)
	for b[0] != '\n' {
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
	}
	must(t, c.SetReadDeadline(time.Time{}))
	return c
}

// ended fails where a connection does not end soon.
func ended(t testing.TB, what string, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(soon)))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, errTimeout(err)) {
		t.Errorf("%s: the connection is open", what)
	}
}

// flood writes until the other side, which does not read, takes no more. It
// writes beside TLS, which after an error would not even say farewell.
func flood(conn net.Conn) {
	c := conn.(*peer.Conn).Conn.(*tls.Conn).NetConn()
	defer c.SetWriteDeadline(time.Time{})
	b := make([]byte, 1<<16)
	for {
		_ = c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b, c := h.silent(t, "nod_a"), h.member(t, "nod_b"), h.member(t, "nod_c")
	taken := make(chan net.Conn, 8)
	go func() {
		for {
			conn, err := a.Listener(peer.Raft).Accept()
			if err != nil {
				return
			}
			taken <- conn
		}
	}()
	var theirs []net.Conn
	for range 3 {
		conn, err := b.Dial(t.Context(), "nod_a", peer.Raft)
		must(t, err)
		theirs = append(theirs, conn)
		flood(<-taken) // it does not read
	}
	out := connected(t, a, "nod_b")
	stays, err := c.Dial(t.Context(), "nod_a", peer.Raft)
	must(t, err)
	other := <-taken

	h.remove("nod_b")
	within(t, time.Second, "Drop", func() { a.Drop("nod_b") })
	for _, conn := range theirs {
		ended(t, "one that it dialled", conn)
		conn.Close()
	}
	if _, err := out.Read(make([]byte, 1)); err == nil {
		t.Error("one that this node dialled goes on")
	}
	if _, err := io.WriteString(other, "x"); err != nil {
		t.Errorf("another member's connection: %v", err)
	}
	if _, err := io.ReadFull(stays, make([]byte, 1)); err != nil {
		t.Errorf("another member's connection: %v", err)
	}
	if conn, err := b.Dial(t.Context(), "nod_a", peer.Raft); err == nil {
		ended(t, "after it was removed", conn) // TLS tells the client at its first read
		conn.Close()
	}
	if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, peer.ErrUnknown) {
		t.Errorf("dialling one that was removed: %v", err)
	}
}

// One that is removed in the middle of its handshake: Drop finds no connection
// of it yet, and there must be none afterwards.
func TestRemovedInTheHandshake(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.member(t, "nod_a"), h.member(t, "nod_b")
	var once sync.Once
	h.asked = func(node string) {
		if node == "nod_b" {
			once.Do(func() {
				h.remove("nod_b")
				a.Drop("nod_b")
			})
		}
	}
	conn, err := b.Dial(t.Context(), "nod_a", peer.Raft)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetReadDeadline(time.Now().Add(soon)))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil || errors.Is(err, errTimeout(err)) {
		t.Errorf("%q, %v", line, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.silent(t, "nod_a"), h.member(t, "nod_b")
	asked := make(chan bool, 1)
	a.Serve(peer.RPC, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	}))
	var open []net.Conn
	// In the middle of a handshake.
	for range 3 {
		raw, err := net.Dial("tcp", a.address)
		must(t, err)
		open = append(open, raw)
	}
	// Waiting for its plane to take it, taken and not reading, and idle.
	for range 3 {
		conn, err := b.Dial(t.Context(), "nod_a", peer.Raft)
		must(t, err)
		open = append(open, conn)
	}
	for range 2 {
		taken, err := a.Listener(peer.Raft).Accept()
		must(t, err)
		flood(taken)
	}
	out := connected(t, a, "nod_b")
	if _, err := a.ask(t, peer.RPC, "nod_b"); err != nil {
		t.Error(err)
	}
	requests := make(chan error, 1)
	go func() {
		_, err := b.ask(t, peer.RPC, "nod_a")
		requests <- err
	}()
	<-asked

	within(t, time.Second, "Close", func() { must(t, a.Close()) })
	must(t, <-a.ran)
	for _, c := range open {
		ended(t, "after Close", c)
		c.Close()
	}
	var unreached *peer.DialError
	if err := <-requests; err == nil || errors.As(err, &unreached) {
		t.Errorf("a request that was being answered: %v", err)
	}
	if _, err := out.Read(make([]byte, 1)); err == nil {
		t.Error("what the node dialled goes on")
	}
	if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, peer.ErrClosed) {
		t.Errorf("dialling from a closed port: %v", err)
	}
	if _, err := a.Listener(peer.Blob).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a plane of a closed port: %v", err)
	}
	must(t, a.Close())
}

// Those who call and stay silent keep no member out at another address, and are
// not let in without a bound.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.member(t, "nod_a"), h.member(t, "nod_b")
	elsewhere := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	var slow []net.Conn
	for range maxHandshakesOne {
		if len(slow) == maxHandshakesOne/2 {
			must(t, connected(t, b, "nod_a").Close()) // half of them keep nobody out
		}
		raw, err := elsewhere.Dial("tcp", a.address)
		must(t, err)
		defer raw.Close()
		_, err = raw.Write([]byte{22, 3, 1, 2, 0, 1}) // a client hello begins
		must(t, err)
		slow = append(slow, raw)
	}
	within(t, soon, "the members' connections", func() {
		for range 5 {
			must(t, connected(t, b, "nod_a").Close())
		}
	})
	more, err := elsewhere.Dial("tcp", a.address)
	must(t, err)
	ended(t, "one too many of an address", more)
	must(t, more.Close())
	must(t, slow[0].SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := slow[0].Read(make([]byte, 1)); !errors.Is(err, errTimeout(err)) {
		t.Errorf("one of those that were there: %v", err)
	}
	// One that ends makes room.
	for _, raw := range slow {
		must(t, raw.Close())
	}
	within(t, soon, "room for one more", func() {
		for {
			raw, err := elsewhere.Dial("tcp", a.address)
			must(t, err)
			must(t, raw.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, err = raw.Read(make([]byte, 1))
			raw.Close()
			if errors.Is(err, errTimeout(err)) {
				return
			}
		}
	})
}

func TestConnectionsOfOneNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.member(t, "nod_a")
	b, c := h.member(t, "nod_b"), h.member(t, "nod_c")
	// With another port of the same node, which counts for itself.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	twin := peer.New(peer.Config{Listener: l, Cluster: "clu_a", Node: "nod_b", Directory: h, Now: time.Now, Identity: func() (*peer.Identity, error) { return b.identity(), nil }})
	defer twin.Close()
	var all []*peer.Conn
	for range maxOfNode {
		all = append(all, connected(t, b, "nod_a"))
	}
	if _, err := b.Dial(t.Context(), "nod_a", peer.Raft); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("its own count: %v", err)
	}
	conn, err := twin.Dial(t.Context(), "nod_a", peer.Raft)
	must(t, err)
	ended(t, "one too many", conn)
	must(t, conn.Close())
	// Another plane, and another node.
	if _, err := b.ask(t, peer.RPC, "nod_a"); err != nil {
		t.Errorf("another plane: %v", err)
	}
	must(t, connected(t, c, "nod_a").Close())
	// One that is closed makes room, on both sides.
	must(t, all[0].Close())
	within(t, soon, "room for one more", func() {
		for {
			conn, err := b.Dial(t.Context(), "nod_a", peer.Raft)
			must(t, err)
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
			if err == nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// A plane that nobody takes holds nobody, and no other plane.
func TestAPlaneThatIsFull(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.silent(t, "nod_a"), h.member(t, "nod_b")
	go echo(a.Listener(peer.Raft))
	stuck, err := b.Dial(t.Context(), "nod_a", peer.Blob)
	must(t, err)
	within(t, soon, "the other plane", func() { must(t, connected(t, b, "nod_a").Close()) })
	must(t, stuck.SetReadDeadline(time.Now().Add(9*time.Second)))
	if _, err := stuck.Read(make([]byte, 1)); err == nil || errors.Is(err, errTimeout(err)) {
		t.Errorf("%v", err)
	}
	must(t, stuck.Close())
}

// Fresh has the next request dial.
func TestFresh(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.member(t, "nod_a")
	b := h.member(t, "nod_b")
	dials := counted(t, h, "nod_a")
	for range 3 {
		_, err := b.ask(t, peer.RPC, "nod_a")
		must(t, err)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections for three requests", n)
	}
	b.Fresh(peer.RPC)
	_, err := b.ask(t, peer.RPC, "nod_a")
	must(t, err)
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections after Fresh", n)
	}
}

// counted puts a relay before a node that counts connections.
func counted(t testing.TB, h *house, node string) *atomic.Int64 {
	t.Helper()
	to, err := h.Address(node)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	h.at(node, l.Addr().String())
	var n atomic.Int64
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return &n
}

// Dial gives up in time, whoever is there.
func TestDialIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.member(t, "nod_a")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	h.at("nod_b", l.Addr().String())
	within(t, soon, "Dial", func() {
		if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
