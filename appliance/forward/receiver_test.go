package forward_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// authority issues certificates for a test.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	pair := a.issue("authority", time.Now().Add(time.Hour))
	a.key, a.cert = pair.PrivateKey.(*ecdsa.PrivateKey), pair.Leaf
	return a
}

// issue a certificate for 127.0.0.1 and a name; the first is the authority's own.
func (a *authority) issue(name string, until time.Time) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		DNSNames: []string{name}}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		parent, signer = template, key
	} else if name != "elsewhere" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	must(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	must(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) file(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	must(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// ca is the file with the authority's certificate.
func (a *authority) ca() string { return a.file("ca.pem", "CERTIFICATE", a.cert.Raw) }

// client writes a certificate for a sender, as options of a sink.
func (a *authority) client(name string) string {
	pair := a.issue(name, time.Now().Add(time.Hour))
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(a.t, err)
	return "&cert=" + a.file(name+".crt", "CERTIFICATE", pair.Certificate[0]) + "&key=" + a.file(name+".key", "PRIVATE KEY", key)
}

// receiver is a syslog receiver.
type receiver struct {
	t      testing.TB
	ca     *authority
	addr   string
	config *tls.Config
	buffer int // of the sockets; 0: the system's

	mu    sync.Mutex
	ln    net.Listener
	conns []net.Conn
	calls int
	got   map[string][]string // MSG by log
	all   []message
	bad   error
	serve func(*receiver, net.Conn) // one connection; nil: take
}

func newReceiver(t testing.TB) *receiver {
	ca := newAuthority(t)
	r := &receiver{t: t, ca: ca, addr: "127.0.0.1:0", got: map[string][]string{},
		config: &tls.Config{Certificates: []tls.Certificate{ca.issue("siem.example", time.Now().Add(time.Hour))}, MinVersion: tls.VersionTLS10}}
	t.Cleanup(r.close)
	return r
}

// open begins to listen, at the same address each time.
func (r *receiver) open() *receiver {
	r.t.Helper()
	ln, err := net.Listen("tcp", r.addr)
	must(r.t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ln, r.addr = ln, ln.Addr().String()
	go func() {
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			if r.buffer > 0 {
				must(r.t, raw.(*net.TCPConn).SetReadBuffer(r.buffer))
			}
			c := tls.Server(raw, r.config)
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.calls++
			serve := r.serve
			r.mu.Unlock()
			if serve == nil {
				serve = take
			}
			go serve(r, c)
		}
	}()
	return r
}

// serving changes what the next connections get.
func (r *receiver) serving(serve func(*receiver, net.Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve = serve
}

// close ends the listener and its connections.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		r.ln.Close()
	}
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *receiver) sink(options string) string {
	return "syslog+tls://" + r.addr + "?ca=" + r.ca.ca() + options
}

// take messages until the connection ends; half of one is none.
func take(r *receiver, c net.Conn) {
	if shaker, ok := c.(*tls.Conn); ok && shaker.Handshake() != nil {
		return
	}
	in := bufio.NewReader(c)
	for {
		b, err := readFrame(in)
		if err == io.EOF || err == io.ErrUnexpectedEOF || isNet(err) {
			return
		}
		var m message
		if err == nil {
			m, err = parseMessage(b)
		}
		r.mu.Lock()
		if err != nil {
			r.bad = err
		} else {
			r.all = append(r.all, m)
			log := m.log()
			r.got[log] = append(r.got[log], m.msg)
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func isNet(err error) bool {
	switch err.(type) {
	case net.Error, tls.RecordHeaderError:
		return true
	}
	return false
}

// events of a log, and whether a message was not as it should be.
func (r *receiver) events(log string) []string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad != nil {
		r.t.Fatal(r.bad)
	}
	return append([]string(nil), r.got[log]...)
}

// has waits until a log's events arrived, each once and in order.
func (r *receiver) has(l *logs, log string) {
	r.t.Helper()
	want := l.want(log)
	eventually(r.t, log+" arrives", func() bool { return len(r.events(log)) >= len(want) })
	same(r.t, log, r.events(log), want)
}

// hasAll waits until every event of a log arrived, and allows copies: the order
// goes back only to an event that was not confirmed.
func (r *receiver) hasAll(l *logs, log string) (copies int) {
	r.t.Helper()
	want := l.want(log)
	place := map[string]int{}
	for i, w := range want {
		place[w] = i
	}
	eventually(r.t, log+" arrives with copies", func() bool {
		got := r.events(log)
		return len(got) > 0 && len(want) > 0 && got[len(got)-1] == want[len(want)-1]
	})
	next := 0
	for _, g := range r.events(log) {
		i, known := place[g]
		if !known || i > next {
			r.t.Fatalf("%s: event %d came when %d was next", log, i, next)
		}
		if i < next {
			copies++
		}
		next = i + 1
	}
	if next != len(want) {
		r.t.Fatalf("%s ends at %d of %d", log, next, len(want))
	}
	return copies
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: event %d is %s, want %s", what, i, got[i], want[i])
		}
	}
}
