package member

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gatehouse/cluster/peer"
	"gatehouse/cluster/pki"
	"gatehouse/store/audit/trust"
	"gatehouse/store/disk"
)

// Identity is the node's key and certificate among the members, in a folder.
type Identity struct {
	dir string

	mu      sync.Mutex
	key     *ecdsa.PrivateKey
	current *peer.Identity // nil: none yet
	by      string         // the authority of the certificate
	witness *trust.Witness
}

func (i *Identity) path(name string) string { return filepath.Join(i.dir, name) }

// OpenIdentity reads what is there. Error: pki.ErrCertificate.
func OpenIdentity(dir string) (*Identity, error) {
	i := &Identity{dir: dir}
	key, err := read(i.path("key.pem"), "PRIVATE KEY")
	if errors.Is(err, os.ErrNotExist) {
		return i, nil
	}
	if err != nil {
		return nil, err
	}
	if i.key, err = pki.ParseKey(key[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", i.path("key.pem"), err)
	}
	chain, err := read(i.path("cert.pem"), "CERTIFICATE")
	if errors.Is(err, os.ErrNotExist) { // a crash came before it was certified
		return i, nil
	}
	if err != nil {
		return nil, err
	}
	if len(chain) < 2 {
		return nil, fmt.Errorf("%s: %w: it has not the node's and the authority's", i.path("cert.pem"), pki.ErrCertificate)
	}
	current, err := i.parse(chain[0], chain[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.path("cert.pem"), err)
	}
	i.use(current)
	return i, nil
}

func read(path, kind string) (all [][]byte, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for len(b) > 0 {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != kind {
			break
		}
		all, b = append(all, block.Bytes), rest
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: %s has no %s", pki.ErrCertificate, path, kind)
	}
	return all, nil
}

// parse a certificate of the node's key, with that of the authority behind it.
func (i *Identity) parse(certificate, authority []byte) (*peer.Identity, error) {
	leaf, err := pki.Parse(certificate)
	if err != nil {
		return nil, err
	}
	if !i.key.PublicKey.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("%w: it is of another key", pki.ErrCertificate)
	}
	a, err := pki.Parse(authority)
	if err != nil {
		return nil, err
	}
	if err := leaf.CheckSignatureFrom(a); err != nil {
		return nil, fmt.Errorf("%w: the authority beside it has not signed it", pki.ErrCertificate)
	}
	return &peer.Identity{Certificate: tls.Certificate{Certificate: [][]byte{certificate, authority}, PrivateKey: i.key, Leaf: leaf}, Authorities: []*x509.Certificate{a}}, nil
}

func (i *Identity) use(next *peer.Identity) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.current, i.by = next, nameOf(next.Authorities[0].Raw)
}

// Current is what the node has of itself: it trusts the authority of its own
// certificate. Error: ErrNoIdentity.
func (i *Identity) Current() (*peer.Identity, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current == nil {
		return nil, ErrNoIdentity
	}
	return i.current, nil
}

// Certified says which authority has certified the node: SHA-256 of its
// certificate, hex; empty where none has.
func (i *Identity) Certified() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.by
}

// Leaf is the node's certificate; nil where there is none.
func (i *Identity) Leaf() *x509.Certificate {
	if c, err := i.Current(); err == nil {
		return c.Certificate.Leaf
	}
	return nil
}

// Key makes the node's key, durably, where it has none.
func (i *Identity) Key() (*ecdsa.PrivateKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.key != nil {
		return i.key, nil
	}
	key, err := pki.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := disk.MkdirAll(i.dir); err != nil {
		return nil, err
	}
	if err := disk.WriteFile(i.path("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	i.key = key
	return key, nil
}

// Request to have the node's key certified. The key is made where there is none.
func (i *Identity) Request() ([]byte, error) {
	key, err := i.Key()
	if err != nil {
		return nil, err
	}
	return pki.Request(key, rand.Reader)
}

// Witness is the key by which the node cosigns checkpoints of the audit logs, as
// its own word and not the cluster's; it is made where there is none.
func (i *Identity) Witness(node string) (*trust.Witness, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.witness != nil {
		return i.witness, nil
	}
	b, err := os.ReadFile(i.path("witness.key"))
	if errors.Is(err, os.ErrNotExist) {
		var skey string
		if skey, _, err = trust.NewWitness(node, rand.Reader); err != nil {
			return nil, err
		}
		b = []byte(skey + "\n")
		if err := disk.MkdirAll(i.dir); err != nil {
			return nil, err
		}
		err = disk.WriteFile(i.path("witness.key"), b, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if i.witness, err = trust.ParseWitness(strings.TrimSpace(string(b))); err != nil {
		return nil, fmt.Errorf("%s: %w", i.path("witness.key"), err)
	}
	return i.witness, nil
}

// Certify keeps a certificate of the node's key, with that of the authority that
// has made it. It is shown once it is durable: what others wait for must be there
// after a restart.
func (i *Identity) Certify(certificate, authority []byte) error {
	next, err := i.parse(certificate, authority)
	if err != nil {
		return err
	}
	var text []byte
	for _, der := range [][]byte{certificate, authority} {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := disk.WriteFile(i.path("cert.pem"), text, 0o600); err != nil {
		return err
	}
	i.use(next)
	return nil
}
