package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/cluster/pki"
)

// now is far from the real time: nothing here may look at a clock.
var now = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func authority(t testing.TB, at time.Time) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("clu_a", at, rand.Reader)
	must(t, err)
	return a
}

func keyOf(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := pki.NewKey(rand.Reader)
	must(t, err)
	return key
}

func request(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	r, err := pki.Request(key, rand.Reader)
	must(t, err)
	return r
}

func issue(t testing.TB, a *pki.Authority, key *ecdsa.PrivateKey, at time.Time) *x509.Certificate {
	t.Helper()
	c, err := a.Issue(request(t, key), "clu_a", "nod_a", at, rand.Reader)
	must(t, err)
	return c
}

func verify(c *x509.Certificate, at time.Time, by ...*pki.Authority) (string, error) {
	var all []*x509.Certificate
	for _, a := range by {
		all = append(all, a.Certificate)
	}
	return pki.Verify(c, "clu_a", all, at)
}

func TestIssueAndVerify(t *testing.T) {
	a, key := authority(t, now), keyOf(t)
	c := issue(t, a, key, now)
	c, err := pki.Parse(c.Raw) // as it comes over the network
	must(t, err)
	if node, err := verify(c, now, a); err != nil || node != "nod_a" {
		t.Errorf("%q, %v", node, err)
	}
	if node, err := verify(c, now, authority(t, now), a); err != nil || node != "nod_a" {
		t.Errorf("among two authorities: %q, %v", node, err)
	}
	if cluster, node, err := pki.Node(c); err != nil || cluster != "clu_a" || node != "nod_a" {
		t.Errorf("%q, %q, %v", cluster, node, err)
	}
	if of, err := pki.KeyOf(key); err != nil || of != pki.Fingerprint(c) {
		t.Errorf("the key has another fingerprint than its certificate, %v", err)
	}
	if !key.PublicKey.Equal(c.PublicKey) {
		t.Error("another key was certified")
	}
	if c.IsCA || c.CheckSignatureFrom(c) == nil {
		t.Error("a node could certify others")
	}
}

func TestStrangers(t *testing.T) {
	a := authority(t, now)
	c := issue(t, a, keyOf(t), now)
	if _, err := verify(c, now, authority(t, now)); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("of another authority: %v", err)
	}
	if _, err := verify(c, now); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("of no authority: %v", err)
	}
	if _, err := pki.Verify(c, "clu_b", []*x509.Certificate{a.Certificate}, now); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("of another cluster: %v", err)
	}
	// A node that acts as an authority for another.
	node := keyOf(t)
	middle := issue(t, a, node, now)
	der, err := x509.CreateCertificate(rand.Reader, named(now, "gatehouse://clu_a/nod_b"), middle, &keyOf(t).PublicKey, node)
	must(t, err)
	by, err := pki.Parse(der)
	must(t, err)
	for name, trusted := range map[string]*x509.Certificate{"its authority's": a.Certificate, "its own": middle} {
		if _, err := pki.Verify(by, "clu_a", []*x509.Certificate{trusted}, now); !errors.Is(err, pki.ErrStranger) {
			t.Errorf("certified by a node, against %s certificate: %v", name, err)
		}
	}
	// Each bit of the signature counts; the last 70 bytes hold most of it.
	for i := len(c.Raw) - 60; i < len(c.Raw); i += 7 {
		der := bytes.Clone(c.Raw)
		der[i] ^= 1
		forged, err := pki.Parse(der)
		if err != nil {
			continue
		}
		if _, err := verify(forged, now, a); !errors.Is(err, pki.ErrStranger) {
			t.Errorf("byte %d altered: %v", i, err)
		}
	}
}

func TestTimes(t *testing.T) {
	a := authority(t, now)
	c := issue(t, a, keyOf(t), now)
	for name, v := range map[string]struct {
		at   time.Time
		want error
	}{
		"before":       {now.Add(-pki.BackDated - time.Second), pki.ErrExpired},
		"a day behind": {now.Add(-pki.BackDated), nil},
		"at the end":   {now.Add(pki.Valid), nil},
		"after":        {now.Add(pki.Valid + time.Second), pki.ErrExpired},
		"years after":  {now.AddDate(20, 0, 0), pki.ErrExpired},
	} {
		if _, err := verify(c, v.at, a); !errors.Is(err, v.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify(c, now.AddDate(20, 0, 0), authority(t, now)); !errors.Is(err, pki.ErrStranger) {
		t.Errorf("an expired one of another authority: %v", err)
	}
}

// A clock that was wrong when the authority was made must not end a cluster.
func TestTheAuthoritysOwnTimeIsNotAskedFor(t *testing.T) {
	for name, made := range map[string]time.Time{
		"made by a clock ahead":  now.AddDate(0, 0, 5),
		"made twelve years past": now.AddDate(-12, 0, 0),
	} {
		a := authority(t, made)
		if node, err := verify(issue(t, a, keyOf(t), now), now, a); err != nil || node != "nod_a" {
			t.Errorf("%s: %q, %v", name, node, err)
		}
	}
}

func TestARenewalKeepsTheFingerprint(t *testing.T) {
	a, key := authority(t, now), keyOf(t)
	first, later := issue(t, a, key, now), now.Add(pki.Valid*2/3)
	second := issue(t, a, key, later)
	third := issue(t, authority(t, now), key, later) // the authority was replaced
	if pki.Fingerprint(first) != pki.Fingerprint(second) || pki.Fingerprint(first) != pki.Fingerprint(third) {
		t.Error("a renewal has another fingerprint")
	}
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("two certificates have one number")
	}
	if pki.Fingerprint(first) == pki.Fingerprint(issue(t, a, keyOf(t), now)) {
		t.Error("two keys have one fingerprint")
	}
	if _, err := verify(second, now.Add(pki.Valid+time.Hour), a); err != nil {
		t.Errorf("the renewed one, when the first has expired: %v", err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	a := authority(t, now)
	good := request(t, keyOf(t))
	requestOf := func(key any) []byte {
		r, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		must(t, err)
		return r
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, r := range map[string][]byte{
		"empty":        nil,
		"cut":          good[:len(good)-1],
		"more":         append(bytes.Clone(good), 0),
		"too long":     make([]byte, 1<<20),
		"P-384":        requestOf(p384),
		"RSA":          requestOf(rsaKey),
		"a signature":  altered(good, len(good)-5),
		"another key":  altered(good, bytes.Index(good, []byte{0x03, 0x42, 0x00, 0x04})+20),
		"no signature": bytes.Replace(good, []byte("\x30\x0a\x06\x08"), []byte("\x30\x0a\x06\x07"), 1),
	} {
		if c, err := a.Issue(r, "clu_a", "nod_a", now, rand.Reader); !errors.Is(err, pki.ErrCertificate) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func altered(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// named is a template with these URIs.
func named(at time.Time, uris ...string) *x509.Certificate {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: at.Add(-pki.BackDated), NotAfter: at.Add(pki.Valid)}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		if err != nil {
			panic(err)
		}
		c.URIs = append(c.URIs, parsed)
	}
	return c
}

// Certificates of the cluster's own authority that name no node.
func TestNames(t *testing.T) {
	key := keyOf(t)
	root := named(now)
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	must(t, err)
	root, err = pki.Parse(der)
	must(t, err)
	for name, uris := range map[string][]string{
		"none":           nil,
		"two":            {"gatehouse://clu_a/nod_a", "gatehouse://clu_a/nod_b"},
		"the same twice": {"gatehouse://clu_a/nod_a", "gatehouse://clu_a/nod_a"},
		"another scheme": {"spiffe://clu_a/nod_a"},
		"no path":        {"gatehouse://clu_a"},
		"an empty node":  {"gatehouse://clu_a/"},
		"a longer path":  {"gatehouse://clu_a/nod_a/nod_b"},
		"a query":        {"gatehouse://clu_a/nod_a?nod_b"},
		"a user":         {"gatehouse://nod_b@clu_a/nod_a"},
		"no authority":   {"gatehouse:clu_a/nod_a"},
	} {
		der, err := x509.CreateCertificate(rand.Reader, named(now, uris...), root, &key.PublicKey, key)
		must(t, err)
		c, err := pki.Parse(der)
		must(t, err)
		if _, _, err := pki.Node(c); !errors.Is(err, pki.ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := pki.Verify(c, "clu_a", []*x509.Certificate{root}, now); !errors.Is(err, pki.ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := pki.Node(root); !errors.Is(err, pki.ErrCertificate) {
		t.Errorf("the authority names a node: %v", err)
	}
}

func TestTheAuthorityIsKept(t *testing.T) {
	a, other := authority(t, now), authority(t, now)
	key, err := a.Key()
	must(t, err)
	again, err := pki.ParseAuthority(a.Certificate.Raw, key)
	must(t, err)
	if _, err := verify(issue(t, again, keyOf(t), now), now, a); err != nil {
		t.Error(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	of384, err := x509.MarshalPKCS8PrivateKey(p384)
	must(t, err)
	for name, k := range map[string][]byte{"another's": must2(t)(other.Key()), "none": nil, "cut": key[:len(key)/2], "of P-384": of384} {
		if _, err := pki.ParseAuthority(a.Certificate.Raw, k); !errors.Is(err, pki.ErrCertificate) {
			t.Errorf("key %s: %v", name, err)
		}
	}
	if _, err := pki.ParseAuthority(a.Certificate.Raw[1:], key); !errors.Is(err, pki.ErrCertificate) {
		t.Errorf("a damaged certificate: %v", err)
	}
	if _, err := pki.Parse(make([]byte, 1<<20)); !errors.Is(err, pki.ErrCertificate) || !strings.Contains(err.Error(), "1048576 bytes") {
		t.Errorf("a certificate of a megabyte: %v", err)
	}
}

func must2(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		must(t, err)
		return b
	}
}

// A source of randomness that fails makes no certificate.
func TestNoRandomness(t *testing.T) {
	none := strings.NewReader("")
	if _, err := pki.NewAuthority("clu_a", now, none); err == nil {
		t.Error("an authority without a number")
	}
	if _, err := authority(t, now).Issue(request(t, keyOf(t)), "clu_a", "nod_a", now, none); err == nil {
		t.Error("a certificate without a number")
	}
}
