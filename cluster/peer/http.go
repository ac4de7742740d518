package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/cluster/pki"
)

const (
	// maxRequests at one time to one node on one plane.
	maxRequests = 64
	idleTime    = 60 * time.Second
	headerTime  = 10 * time.Second
	maxHeader   = 16 << 10
)

// clients of the planes that speak HTTP/1.1.
type clients map[Plane]*http.Transport

func (p *Port) newClients() clients {
	all := clients{}
	for _, plane := range []Plane{RPC, Blob} {
		all[plane] = &http.Transport{
			MaxIdleConnsPerHost: 8, MaxConnsPerHost: maxRequests, IdleConnTimeout: idleTime / 2, DisableCompression: true,
			ExpectContinueTimeout: time.Second, // a node that has no room says so before the bytes come
			DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				node, _, _ := strings.Cut(address, ":")
				c, err := p.Dial(ctx, node, plane)
				if err != nil {
					return nil, &DialError{node, err}
				}
				return c, nil
			},
		}
	}
	return all
}

func (c clients) close() {
	for _, t := range c {
		t.CloseIdleConnections()
	}
}

// DialError: nothing of a request was sent.
type DialError struct {
	Node string
	Err  error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("node %s cannot be reached: %v", e.Node, e.Err)
}
func (e *DialError) Unwrap() error { return e.Err }

// Do sends a request to a node on a plane. The URL has a path and a query
// alone; the request's context bounds it. Error: *DialError where the node was
// not reached.
func (p *Port) Do(plane Plane, node string, r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host, r.Host = "https", node, node
	return p.client[plane].RoundTrip(r)
}

// Fresh forgets the connections that wait, so that the next request dials.
func (p *Port) Fresh(plane Plane) { p.client[plane].CloseIdleConnections() }

type nodeKey struct{}

// From is the member that sent a request; empty on Join.
func From(r *http.Request) string {
	node, _ := r.Context().Value(nodeKey{}).(string)
	return node
}

// Serve requests on a plane until the port is closed.
func (p *Port) Serve(plane Plane, h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(p.c.Log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if of, ok := c.(*Conn); ok {
				ctx = context.WithValue(ctx, nodeKey{}, of.Node)
			}
			return ctx
		}}
	go func() { _ = s.Serve(p.Listener(plane)) }() // ends with the port
	return s
}

// Stranger sends a request to the node whose key's fingerprint begins with key (nil:
// any), and whose certificate's authority has one of these fingerprints, on the plane
// for those that are no members yet. Once it is connected, the request's context
// bounds it.
func Stranger(cluster string, key []byte, authorities ...[32]byte) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*dialTime)
		defer cancel()
		raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{string(Join)}, InsecureSkipVerify: true,
			VerifyConnection: func(s tls.ConnectionState) error {
				if of := pki.Fingerprint(s.PeerCertificates[0]); !bytes.HasPrefix(of[:], key) {
					return fmt.Errorf("%w: it shows another key than the member of that address has", ErrRefused)
				}
				for _, a := range s.PeerCertificates {
					if slices.Contains(authorities, pki.Fingerprint(a)) {
						// The clocks are compared after this: the time of the certificate
						// is not asked for.
						return verifyBy(s.PeerCertificates[0], cluster, a)
					}
				}
				return fmt.Errorf("%w: it is not of the cluster that the invitation is of, or the cluster's authority was rotated since: make another invitation", ErrRefused)
			}})
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return struct{ net.Conn }{c}, nil // else the transport looks for a protocol in it
	}}
}

func verifyBy(leaf *x509.Certificate, cluster string, authority *x509.Certificate) error {
	_, err := pki.Verify(leaf, cluster, []*x509.Certificate{authority}, leaf.NotBefore.Add(pki.BackDated))
	return err
}
