package pki_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"gatehouse/cluster/pki"
)

// Whatever comes: an error of ours or the names of a node; and nothing is of
// this cluster but what its authority has signed.
func FuzzParse(f *testing.F) {
	a := authority(f, now)
	good := issue(f, a, keyOf(f), now)
	f.Add(good.Raw)
	f.Add(a.Certificate.Raw)
	f.Add([]byte{})
	f.Add(good.Raw[:len(good.Raw)/2])
	trusted := []*x509.Certificate{a.Certificate}
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := pki.Parse(der)
		if err != nil {
			if !errors.Is(err, pki.ErrCertificate) {
				t.Errorf("%v", err)
			}
			return
		}
		_, node, err := pki.Node(c)
		if err == nil && (node == "" || strings.Contains(node, "/")) || err != nil && !errors.Is(err, pki.ErrCertificate) {
			t.Errorf("node %q, %v", node, err)
		}
		if who, err := pki.Verify(c, "clu_a", trusted, now); err == nil && (who != "nod_a" || string(c.RawTBSCertificate) != string(good.RawTBSCertificate)) {
			t.Errorf("%q was certified by nobody", who)
		}
	})
}

// Whatever the names are: what is issued is of this node and cluster, or of none.
func FuzzNames(f *testing.F) {
	a := authority(f, now)
	request := request(f, keyOf(f))
	f.Add("clu_a", "nod_a")
	f.Add("clu_a", "nod_a/nod_b")
	f.Add("clu a", "nod%2fa?x#y")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, cluster, node string) {
		c, err := a.Issue(request, cluster, node, now, rand.Reader)
		if err != nil {
			return
		}
		if in, who, err := pki.Node(c); err == nil && (in != cluster || who != node) {
			t.Errorf("it is of %q in %q, not of %q in %q", who, in, node, cluster)
		}
		if who, err := pki.Verify(c, "clu_a", []*x509.Certificate{a.Certificate}, now); err == nil && (cluster != "clu_a" || who != node) {
			t.Errorf("it is accepted as %q", who)
		}
	})
}
