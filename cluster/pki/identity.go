package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// NewKey makes a node's key.
func NewKey(random io.Reader) (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), random)
}

// ParseKey reads PKCS #8. Error: ErrCertificate.
func ParseKey(der []byte) (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: its key: %v", ErrCertificate, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not of P-256", ErrCertificate)
	}
	return key, nil
}

// Request asks to have a key certified.
func Request(key *ecdsa.PrivateKey, random io.Reader) ([]byte, error) {
	return x509.CreateCertificateRequest(random, &x509.CertificateRequest{}, key)
}

// KeyOf is the fingerprint of a node's key before it is certified.
func KeyOf(key *ecdsa.PrivateKey) ([32]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	return sha256.Sum256(der), err
}

// Node that a certificate names. Error: ErrCertificate.
func Node(c *x509.Certificate) (cluster, node string, err error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != scheme || c.URIs[0].RawQuery != "" || c.URIs[0].User != nil {
		return "", "", fmt.Errorf("%w: it names no node", ErrCertificate)
	}
	node, ok := strings.CutPrefix(c.URIs[0].Path, "/")
	if !ok || node == "" || strings.Contains(node, "/") {
		return "", "", fmt.Errorf("%w: it names no node", ErrCertificate)
	}
	return c.URIs[0].Host, node, nil
}

// Verify that an authority has certified a node of the cluster, for this time,
// and say which. Errors: ErrCertificate, ErrStranger, ErrExpired.
func Verify(c *x509.Certificate, cluster string, authorities []*x509.Certificate, now time.Time) (node string, err error) {
	in, node, err := Node(c)
	if err != nil {
		return "", err
	}
	if in != cluster {
		return "", fmt.Errorf("%w: it is of cluster %.64q", ErrStranger, in)
	}
	// Only the signature of the authority is asked for, not its time: a clock that
	// was wrong must not end a cluster. That of the node's certificate is.
	if !slices.ContainsFunc(authorities, func(a *x509.Certificate) bool { return c.CheckSignatureFrom(a) == nil }) {
		return "", fmt.Errorf("%w: no authority of this cluster has certified it", ErrStranger)
	}
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return "", fmt.Errorf("%w: node %s has one from %s to %s, it is %s here", ErrExpired, node,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return node, nil
}
