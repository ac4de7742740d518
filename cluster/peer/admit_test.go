package peer_test

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
)

var members = []peer.Plane{peer.Raft, peer.RPC, peer.Blob}

func TestMembersReachEachOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	nodes := []*node{h.member(t, "nod_a"), h.member(t, "nod_b"), h.member(t, "nod_c")}
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			c, err := from.Dial(t.Context(), to.id, peer.Raft)
			must(t, err)
			if c.Node != to.id || c.Plane != peer.Raft {
				t.Errorf("dialled %s, have %s on %s", to.id, c.Node, c.Plane)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if want := fmt.Sprintln(from.id, peer.Raft); err != nil || line != want {
				t.Errorf("%q, %v; want %q", line, err, want)
			}
			must(t, c.Close())
			for _, plane := range []peer.Plane{peer.RPC, peer.Blob} {
				for range 2 {
					answer, err := from.ask(t, plane, to.id)
					if want := fmt.Sprintf("%s from %q to %s", plane, from.id, to.id); err != nil || answer != want {
						t.Errorf("%q, %v; want %q", answer, err, want)
					}
				}
			}
		}
	}
	if a := nodes[0].Listener(peer.Raft).Addr(); a.String() != "nod_a" || a.Network() != "node" {
		t.Errorf("%v", a)
	}
}

// shows what a client gets: the first bytes, or the error.
func shows(address string, c *tls.Config, say string) (string, error) {
	raw, err := net.DialTimeout("tcp", address, soon)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(soon)); err != nil {
		return "", err
	}
	conn := tls.Client(raw, c)
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, say); err != nil {
		return "", err
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	return string(b[:n]), err
}

func TestStrangersReachJoinAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	to := h.member(t, "nod_a")
	other, now := newHouse(t), time.Now()
	removed := h.member(t, "nod_b")
	h.remove("nod_b")
	h.member(t, "nod_c")
	mismatched := identity(t, h.authority, "clu_a", "nod_c", now).Certificate
	mismatched.Certificate = h.member(t, "nod_c").identity().Certificate.Certificate // its key is another's
	member := h.member(t, "nod_d").identity().Certificate

	for name, shown := range map[string][]tls.Certificate{
		"no certificate":                    nil,
		"of another cluster":                {identity(t, h.authority, "clu_b", "nod_c", now).Certificate},
		"of another authority":              {identity(t, other.authority, "clu_a", "nod_c", now).Certificate},
		"a removed member":                  {removed.identity().Certificate},
		"a member's name, other key":        {identity(t, h.authority, "clu_a", "nod_c", now).Certificate},
		"a member's certificate, other key": {mismatched},
		"never a member":                    {identity(t, h.authority, "clu_a", "nod_z", now).Certificate},
		"expired":                           {identity(t, h.authority, "clu_a", "nod_c", now.Add(-2*pki.Valid)).Certificate},
		"not valid yet":                     {identity(t, h.authority, "clu_a", "nod_c", now.Add(2*pki.BackDated)).Certificate},
		"the authority's":                   {{Certificate: [][]byte{h.authority.Certificate.Raw}, PrivateKey: member.PrivateKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := func(protocols ...string) *tls.Config {
				return &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(shown) == 0 {
						return &tls.Certificate{}, nil
					}
					return &shown[0], nil
				}}
			}
			get := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
			for _, plane := range members {
				for _, protocols := range [][]string{{string(plane)}, {string(peer.Join), string(plane)}, {string(plane), string(peer.Join)}} {
					got, err := shows(to.address, config(protocols...), get)
					if got != "" || err == nil || errors.Is(err, errTimeout(err)) {
						t.Errorf("%q: %q, %v", protocols, got, err)
					}
				}
			}
			got, err := shows(to.address, config(string(peer.Join)), get)
			if err != nil || !strings.Contains(got, fmt.Sprintf("%s from %q to nod_a", peer.Join, "")) {
				t.Errorf("join: %q, %v", got, err)
			}
		})
	}
	// The same way a member is let in: what refuses the others is what they show.
	got, err := shows(to.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{string(peer.RPC)}, Certificates: []tls.Certificate{member}}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err != nil || !strings.Contains(got, `from "nod_d"`) {
		t.Errorf("a member: %q, %v", got, err)
	}
}

// errTimeout is the error itself where it is a timeout: nothing was refused.
func errTimeout(err error) error {
	var of net.Error
	if errors.As(err, &of) && of.Timeout() {
		return err
	}
	return errors.New("")
}

func TestWhatIsNotSpoken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	to := h.member(t, "nod_a")
	member := []tls.Certificate{h.member(t, "nod_b").identity().Certificate}
	for name, c := range map[string]*tls.Config{
		"TLS 1.2":                {MaxVersion: tls.VersionTLS12, NextProtos: []string{string(peer.RPC)}},
		"TLS 1.2 on join":        {MaxVersion: tls.VersionTLS12, NextProtos: []string{string(peer.Join)}},
		"no plane":               {},
		"a plane of another age": {NextProtos: []string{"gatehouse-rpc/2"}},
		"HTTP":                   {NextProtos: []string{"h2", "http/1.1"}},
	} {
		c.InsecureSkipVerify, c.Certificates = true, member
		got, err := shows(to.address, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got != "" || err == nil || errors.Is(err, errTimeout(err)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	raw, err := net.Dial("tcp", to.address)
	must(t, err)
	defer raw.Close()
	_, err = io.WriteString(raw, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	must(t, err)
	must(t, raw.SetDeadline(time.Now().Add(soon)))
	if b, err := io.ReadAll(raw); strings.Contains(string(b), "from") || errors.Is(err, errTimeout(err)) {
		t.Errorf("without TLS: %q, %v", b, err)
	}
}

func TestDialKnowsWhoIsThere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.member(t, "nod_a"), h.member(t, "nod_b")
	c := h.member(t, "nod_c")
	h.at("nod_b", c.address)
	for _, plane := range members {
		if _, err := a.Dial(t.Context(), "nod_b", plane); !errors.Is(err, peer.ErrRefused) || !strings.Contains(err.Error(), "nod_c, not nod_b") {
			t.Errorf("another member at the address, %s: %v", plane, err)
		}
	}
	var unreached *peer.DialError
	if _, err := a.ask(t, peer.RPC, "nod_b"); !errors.As(err, &unreached) || unreached.Node != "nod_b" || !errors.Is(err, peer.ErrRefused) {
		t.Errorf("a request to another at the address: %v", err)
	}
	if _, err := a.Dial(t.Context(), "nod_z", peer.Raft); !errors.Is(err, peer.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := a.ask(t, peer.RPC, "nod_z"); !errors.As(err, &unreached) || !errors.Is(err, peer.ErrUnknown) {
		t.Errorf("a request to nobody: %v", err)
	}
	// One who is certified, and of whom the directory has another key.
	impersonates := identity(t, h.authority, "clu_a", "nod_b", time.Now())
	b.show(impersonates)
	h.at("nod_b", b.address)
	if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("a member's name with another key: %v", err)
	}
	// One who is certified by another authority.
	b.show(identity(t, newHouse(t).authority, "clu_a", "nod_b", time.Now()))
	if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, peer.ErrRefused) || !errors.Is(err, pki.ErrStranger) {
		t.Errorf("another authority: %v", err)
	}
	must(t, c.Close())
	if _, err := a.ask(t, peer.Blob, "nod_c"); !errors.As(err, &unreached) {
		t.Errorf("a port that is closed: %v", err)
	}
}

// A renewed identity is used by the next handshake, on both sides, and the
// authority is replaced in phases: both trusted, then shown, then one dropped.
func TestIdentityRenewed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.member(t, "nod_a"), h.member(t, "nod_b")
	seen := func() (here, there [32]byte) {
		t.Helper()
		c, err := a.Dial(t.Context(), "nod_b", peer.Raft)
		must(t, err)
		defer c.Close()
		s := c.Conn.(*tls.Conn).ConnectionState()
		_, err = bufio.NewReader(c).ReadString('\n') // it was let in
		must(t, err)
		return [32]byte(a.identity().Certificate.Leaf.SerialNumber.FillBytes(make([]byte, 32))), [32]byte(s.PeerCertificates[0].SerialNumber.FillBytes(make([]byte, 32)))
	}
	_, first := seen()
	next, err := pki.NewAuthority("clu_a", time.Now(), rand.Reader)
	must(t, err)
	both := []*x509.Certificate{h.authority.Certificate, next.Certificate}
	for _, n := range []*node{a, b} {
		own := *n.identity()
		own.Authorities = both
		n.show(&own)
		seen()
	}
	for _, n := range []*node{b, a} {
		own := renewed(t, n, next)
		own.Authorities = both
		n.show(own)
		seen()
	}
	for _, n := range []*node{a, b} {
		own := *n.identity()
		own.Authorities = both[1:]
		n.show(&own)
	}
	if _, last := seen(); last == first {
		t.Error("the certificate is the first one")
	}
	if answer, err := a.ask(t, peer.RPC, "nod_b"); err != nil || answer == "" {
		t.Errorf("%q, %v", answer, err)
	}
	// Who still shows the old authority's is out.
	own := renewed(t, b, h.authority)
	b.show(own)
	if _, err := a.Dial(t.Context(), "nod_b", peer.Raft); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("%v", err)
	}
}

func TestAnIdentityThatCannotBeHad(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.member(t, "nod_a")
	lost := errors.New("the key-ring is closed")
	p := peer.New(peer.Config{Cluster: "clu_a", Node: "nod_b", Directory: h, Now: time.Now, Identity: func() (*peer.Identity, error) { return nil, lost }})
	if _, err := p.Dial(t.Context(), "nod_a", peer.Raft); !errors.Is(err, lost) {
		t.Errorf("%v", err)
	}
}

// The plane for those who join: the authority is pinned, and the cluster.
func TestStranger(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	to := h.member(t, "nod_a")
	pin := pki.Fingerprint(h.authority.Certificate)
	var key []byte
	ask := func(cluster string, authority [32]byte, address string, more ...[32]byte) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+"/join", strings.NewReader("token"))
		must(t, err)
		response, err := peer.Stranger(cluster, key, append(more, authority)...).RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		b, err := io.ReadAll(response.Body)
		return string(b), err
	}
	if got, err := ask("clu_a", pin, to.address); err != nil || got != fmt.Sprintf("%s from %q to nod_a", peer.Join, "") {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ask("clu_a", pki.Fingerprint(newHouse(t).authority.Certificate), to.address); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("another authority: %v", err)
	}
	if got, err := ask("clu_a", pin, to.address, pki.Fingerprint(newHouse(t).authority.Certificate)); err != nil || got == "" {
		t.Errorf("one of two authorities: %q, %v", got, err)
	}
	if _, err := ask("clu_b", pin, to.address); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("another cluster: %v", err)
	}
	other := h.member(t, "nod_b") // which may have been removed
	of := pki.Fingerprint(to.identity().Certificate.Leaf)
	key = of[:16]
	if _, err := ask("clu_a", pin, to.address); err != nil {
		t.Errorf("with its key: %v", err)
	}
	if _, err := ask("clu_a", pin, other.address); !errors.Is(err, peer.ErrRefused) {
		t.Errorf("another member's key: %v", err)
	}
	key = nil
	// One who has the authority's certificate, which is no secret, but not its
	// signature.
	impostor := newHouse(t)
	own := identity(t, impostor.authority, "clu_a", "nod_a", time.Now())
	own.Certificate.Certificate[1] = h.authority.Certificate.Raw
	between := impostor.member(t, "nod_a")
	between.show(own)
	if _, err := ask("clu_a", pin, between.address); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("the authority's certificate without its signature: %v", err)
	}
	own.Certificate.Certificate[1] = forged(t, h.authority.Certificate)
	if _, err := ask("clu_a", pin, between.address); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("a certificate of the authority's key that another made: %v", err)
	}
	// One who accepts, and says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	within(t, 8*time.Second, "to give up", func() {
		if _, err := ask("clu_a", pin, l.Addr().String()); err == nil {
			t.Error("answered by nobody")
		}
	})
}
