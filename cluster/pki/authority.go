// Package pki is who is who between the nodes of a cluster: an authority of its
// own, and certificates that name a cluster and a node.
//
// A certificate says who somebody is, and never what it may do: whether a node
// is a member, the state says.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"
)

const (
	// Valid is how long a node's certificate is: short, as it is renewed by the
	// node itself (design of the cluster). Renew at two thirds.
	Valid = 30 * 24 * time.Hour
	// authorityValid outlives a machine; an operator has it replaced before.
	authorityValid = 10 * 365 * 24 * time.Hour
	// BackDated for nodes whose clocks are behind (R17 of the cluster research).
	BackDated = 24 * time.Hour

	maxCertificate = 8 << 10
	scheme         = "gatehouse"
)

var (
	// ErrCertificate cannot be read, or says what no certificate of a node says.
	ErrCertificate = errors.New("not a certificate of a node")
	// ErrStranger: certified by nobody that this cluster trusts, or for another.
	ErrStranger = errors.New("no node of this cluster")
	// ErrExpired, or not valid yet: one of two clocks may be wrong.
	ErrExpired = errors.New("the certificate is not valid at this time")
)

// Authority certifies the nodes of one cluster.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes one.
func NewAuthority(cluster string, now time.Time, random io.Reader) (*Authority, error) {
	key, err := NewKey(random)
	if err != nil {
		return nil, err
	}
	number, err := serial(random)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "gatehouse cluster", Organization: []string{cluster}},
		NotBefore: now.Add(-BackDated), NotAfter: now.Add(authorityValid), IsCA: true, BasicConstraintsValid: true,
		MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(random, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// ParseAuthority reads what Certificate.Raw and Key gave. Error: ErrCertificate.
func ParseAuthority(certificate, key []byte) (*Authority, error) {
	cert, err := Parse(certificate)
	if err != nil {
		return nil, err
	}
	k, err := ParseKey(key)
	if err != nil {
		return nil, err
	}
	if !k.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%w: the authority's key is another's", ErrCertificate)
	}
	return &Authority{cert, k}, nil
}

// Key in PKCS #8.
func (a *Authority) Key() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(a.key) }

// Issue certifies the key of a request as a node's. Whether it is, the caller
// has made sure of.
func (a *Authority) Issue(request []byte, cluster, node string, now time.Time, random io.Reader) (*x509.Certificate, error) {
	if len(request) > maxCertificate {
		return nil, fmt.Errorf("%w: a request of %d bytes", ErrCertificate, len(request))
	}
	r, err := x509.ParseCertificateRequest(request)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCertificate, err)
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not of P-256", ErrCertificate)
	}
	number, err := serial(random)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: node},
		NotBefore: now.Add(-BackDated), NotAfter: now.Add(Valid), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: scheme, Host: cluster, Path: "/" + node}},
	}
	der, err := x509.CreateCertificate(random, t, a.Certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Parse a certificate. Error: ErrCertificate.
func Parse(der []byte) (*x509.Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("%w: %d bytes", ErrCertificate, len(der))
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCertificate, err)
	}
	return c, nil
}

func serial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, err
	}
	b[0] &= 0x7f // RFC 5280: positive
	return new(big.Int).SetBytes(b[:]), nil
}

// Fingerprint of a certificate is that of its public key (SPKI), which a
// renewal keeps.
func Fingerprint(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
