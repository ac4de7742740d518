package appliance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/store/disk"
)

const (
	// The node's own certificate is pinned by its clients, so that it must
	// last; the bank's replaces it where there is a PKI.
	ownValid = 10 * 365 * 24 * time.Hour
	// Back-dated for clients whose clocks are behind (R17 of the cluster
	// research).
	backDated = 24 * time.Hour
)

// certificate serves the API's certificate, read again when its files change.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	changed [2]time.Time
	current *tls.Certificate
}

// openCertificate reads the bank's certificate, or the node's own, made where
// it is absent.
func openCertificate(c *Config) (*certificate, error) {
	s := &certificate{certFile: c.Certificate, keyFile: c.Key, log: c.Log}
	if s.certFile == "" {
		dir := filepath.Join(c.Data, "tls")
		s.certFile, s.keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		if _, err := os.Stat(s.certFile); errors.Is(err, os.ErrNotExist) {
			if err := s.make(c, dir); err != nil {
				return nil, err
			}
		}
	}
	_, err := s.get(nil)
	return s, err
}

func (s *certificate) make(c *Config, dir string) error {
	if err := disk.MkdirAll(dir); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.Rand)
	if err != nil {
		return err
	}
	var serial [16]byte
	if _, err := io.ReadFull(c.Rand, serial[:]); err != nil {
		return err
	}
	serial[0] &= 0x7f // RFC 5280: positive
	now := c.Now()
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: "gatehouse"},
		NotBefore: now.Add(-backDated), NotAfter: now.Add(ownValid), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	names := c.Names
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" {
		names = append(names, host)
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip == nil {
			t.DNSNames = append(t.DNSNames, n)
		} else if !ip.IsUnspecified() {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(c.Rand, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key first: a certificate without its key would stop every start.
	if err := disk.WriteFile(s.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return disk.WriteFile(s.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// get is asked at each handshake. New files that cannot be used leave the old
// certificate in place.
func (s *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed [2]time.Time
	for i, f := range []string{s.certFile, s.keyFile} {
		if st, err := os.Stat(f); err == nil {
			changed[i] = st.ModTime()
		}
	}
	if s.current != nil && changed == s.changed {
		return s.current, nil
	}
	s.changed = changed
	cert, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err == nil {
		s.current = &cert
		return s.current, nil
	}
	err = fmt.Errorf("%w: %s with %s: %v", ErrCertificate, s.certFile, s.keyFile, err)
	if s.current == nil {
		return nil, err
	}
	s.log.Error("the new certificate cannot be used; the old one goes on", "error", err)
	return s.current, nil
}

// fingerprint of the certificate, SHA-256.
func (s *certificate) fingerprint() string {
	c, err := s.get(nil)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// config of the listener: TLS 1.3 and nothing else. A client certificate is
// asked for and its key proved; whether it is registered, the gate says.
func (s *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: s.get, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
}
