package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"gatehouse/appliance/forward"
	"gatehouse/appliance/ledger"
)

func forwardFigures() []figure {
	return []figure{info("audit_forward_file", "per_s", 0), info("audit_forward_syslog", "per_s", 0)}
}

// mostForwarded events.
const mostForwarded = 100_000

// beginning is the first part of one log.
type beginning struct {
	*ledger.Ledger
	log  string
	size int64
}

func (b *beginning) Logs() ([]string, error) { return []string{b.log}, nil }

func (b *beginning) Size(log string) (origin string, size int64, err error) {
	origin, size, err = b.Ledger.Size(log)
	return origin, min(size, b.size), err
}

// forwards sends events to a file and to a receiver on this machine.
func (s *auditRun) forwards(ctx context.Context) (err error) {
	source := &beginning{s.log.ledger, s.log.tenant, min(s.size, mostForwarded)}
	listener, ca, err := listenTLS(s.dir)
	if err != nil {
		return err
	}
	defer listener.Close()
	go swallow(listener)
	t := table{title: fmt.Sprintf("Forwarding of %d events that wait", source.size), head: []string{"to", "events a second"},
		note: "From the first confirmed batch to the last. A file confirms when it is synced, the syslog receiver (TLS, on this machine) when its\nsystem has the bytes."}
	for _, to := range []struct{ figure, name, address string }{
		{"audit_forward_file", "a file", "file://" + filepath.Join(s.dir, "forwarded.json")},
		{"audit_forward_syslog", "syslog", "syslog+tls://" + listener.Addr().String() + "?ca=" + ca},
	} {
		rate, err := s.forward(ctx, source, to.address)
		if err != nil {
			return fmt.Errorf("%s: %w", to.name, err)
		}
		t.add(to.name, fmt.Sprintf("%.0f", rate))
		s.measure(to.figure, rate)
	}
	s.table(t)
	return nil
}

// forwardTime that forwarding may take.
const forwardTime = 5 * time.Minute

// forward gives the rate at which one sink takes the events.
func (s *auditRun) forward(ctx context.Context, source *beginning, address string) (perSecond float64, err error) {
	target, err := forward.ParseSink(address)
	if err != nil {
		return 0, err
	}
	f, err := forward.New(forward.Config{Dir: filepath.Join(s.dir, "cursors"), Sinks: []forward.Target{target}, Logs: source, Node: s.log.acts.Node, Version: "eval"})
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithTimeout(ctx, forwardTime)
	defer stop()
	running, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.Run(running) }()
	var begin time.Time
	var first, sent uint64
	for sent < uint64(source.size) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		if sent = f.Status()[0].Sent; first == 0 && sent > 0 {
			begin, first = time.Now(), sent
		}
	}
	took, trouble := time.Since(begin).Seconds(), f.Status()[0].LastError
	end()
	if err := errors.Join(<-done, ctx.Err()); err != nil {
		return 0, fmt.Errorf("%d of %d events were taken: %w %s", sent, source.size, err, trouble)
	}
	return float64(sent-first) / took, nil
}

// listenTLS on this machine, with a certificate that is in the file.
func listenTLS(dir string) (_ net.Listener, ca string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, "", err
	}
	ca = filepath.Join(dir, "receiver.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, "", err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	return l, ca, err
}

// swallow what connections bring, until the listener is closed.
func swallow(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, c) // its end is no matter
			c.Close()
		}()
	}
}
