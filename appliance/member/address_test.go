package member_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/cluster"
	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
)

// A node that was started at another address is found there: who leads could not
// reach it at the one that it knew.
func TestAnotherAddress(t *testing.T) {
	t.Parallel()
	h := three(t)
	n := h.others(t)[0]
	before := n.address
	n.stop()
	n.address = freePort(t)
	n.open(t, cluster.Again)
	n.run()
	eventually(t, soon, "all know the new address and reach it", func() bool {
		for _, o := range h.nodes {
			a, err := o.directory.Address(n.id)
			if err != nil || a != n.address || !o.Up(n.id) {
				return false
			}
		}
		return true
	})
	must(t, n.raft.Ready(t.Context()))
	must(t, n.Announce(t.Context())) // there is nothing more to say
	if n.address == before {
		t.Error("the same address")
	}
	// Another's address it does not get.
	leader := h.lead(t)
	if err := leader.SetAddress(t.Context(), access.Caller{}, n.id, leader.address); err == nil {
		t.Error("two nodes have one address")
	}
}

// notAfter is the end of the certificate that a node shows to another one.
func notAfter(t *testing.T, from, of *node) time.Time {
	t.Helper()
	c, err := from.port.Dial(t.Context(), of.id, peer.RPC)
	must(t, err)
	defer c.Close()
	return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter
}

// A certificate is renewed at two thirds of its time, while the node runs.
func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	h := three(t)
	first := map[*node]time.Time{}
	for i, n := range h.nodes {
		first[n] = notAfter(t, h.nodes[(i+1)%3], n)
	}
	h.ahead.Store(int64(pki.Valid*2/3 - time.Hour))
	time.Sleep(3 * time.Second) // three looks
	for i, n := range h.nodes {
		if got := notAfter(t, h.nodes[(i+1)%3], n); !got.Equal(first[n]) {
			t.Errorf("%s was renewed before two thirds", n.name)
		}
	}
	h.ahead.Store(int64(pki.Valid*2/3 + time.Hour))
	eventually(t, soon, "all show a newer certificate", func() bool {
		for i, n := range h.nodes {
			if got := notAfter(t, h.nodes[(i+1)%3], n); got.Sub(first[n]) < pki.Valid/2 {
				return false
			}
		}
		return true
	})
	h.ahead.Store(int64(pki.Valid + time.Hour)) // the first ones have ended
	time.Sleep(2 * time.Second)
	for _, n := range h.nodes {
		if o := n.overview(t); !o.Quorum {
			t.Errorf("%s: %+v", n.name, o)
		}
	}
}

// Nobody gets a certificate for a key that is not its own, or for another node.
func TestCertificateIsForOneself(t *testing.T) {
	t.Parallel()
	h := three(t)
	leader, others := h.lead(t), h.others(t)
	ask := func(by *node, request []byte) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/member/certificate", bytes.NewReader(request))
		must(t, err)
		a, err := by.port.Do(peer.RPC, leader.id, r)
		must(t, err)
		defer a.Body.Close()
		return a.StatusCode
	}
	own := func(n *node) []byte {
		t.Helper()
		key, err := n.identity.Key()
		must(t, err)
		request, err := pki.Request(key, rand.Reader)
		must(t, err)
		return request
	}
	fresh, err := pki.NewKey(rand.Reader)
	must(t, err)
	stranger, err := pki.Request(fresh, rand.Reader)
	must(t, err)
	for what, request := range map[string][]byte{"another member's key": own(others[1]), "a new key": stranger, "no request": []byte("x"), "nothing": nil} {
		if got := ask(others[0], request); got == http.StatusOK {
			t.Errorf("%s is certified", what)
		}
	}
	if got := ask(others[0], own(others[0])); got != http.StatusOK {
		t.Errorf("its own key: %d", got)
	}
	// From where anybody comes nothing is certified.
	p := peer.Stranger(h.cluster, nil, pki.Fingerprint(authorityOf(t, leader)))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+leader.address+"/member/certificate", bytes.NewReader(own(others[0])))
	must(t, err)
	a, err := p.RoundTrip(r)
	if err == nil {
		a.Body.Close()
		if a.StatusCode != http.StatusNotFound {
			t.Errorf("a stranger gets %d", a.StatusCode)
		}
	}
}

func authorityOf(t *testing.T, n *node) *x509.Certificate {
	t.Helper()
	i, err := n.identity.Current()
	must(t, err)
	return i.Authorities[0]
}
