package keys_test

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/keys"
)

// pair is two nodes of one cluster.
func pair(t testing.TB) (a, b *home) {
	t.Helper()
	a = create(t)
	return a, join(t, a, "nod_b")
}

// join has a node receive another's keys. Its one slot is a key file of its own.
func join(t testing.TB, a *home, node string) *home {
	t.Helper()
	r := receiver(t, node)
	bundle, err := a.HandOver(r.Public(), node)
	must(t, err)
	h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	h.Store, err = h.receive(r, bundle, node)
	must(t, err)
	t.Cleanup(func() { h.Seal() })
	return h
}

func (h *home) receive(r *keys.Receiver, bundle []byte, node string) (*keys.Store, error) {
	return keys.Receive(h.dir, cluster, r, bundle, node, rand.NewChaCha8([32]byte{'o', 'w', 'n'}), func(s *keys.Store) (err error) {
		h.slot, err = s.AddFile(h.keyFile)
		return err
	})
}

func receiver(t testing.TB, node string) *keys.Receiver {
	t.Helper()
	r, err := keys.NewReceiver(rand.NewChaCha8(sha256.Sum256([]byte(node))))
	must(t, err)
	return r
}

// files of the node's folder but seal.json, by name.
func (h *home) files(t testing.TB) string {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
		if e.Name() != "seal.json" {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

// onDisk asserts which key-ring the node has, and that it is said so.
func (h *home) onDisk(t testing.TB, when string, sum [32]byte) {
	t.Helper()
	file, err := h.RingFile()
	must(t, err)
	data, err := os.ReadFile(h.file("keyring"))
	must(t, err)
	if sha256.Sum256(data) != sum || h.RingSum() != sum || !bytes.Equal(file, data) {
		t.Errorf("%s: the key-ring is %x, said to be %x, not %x", when, sha256.Sum256(data), h.RingSum(), sum)
	}
}

func (h *home) serial(t testing.TB) uint64 {
	t.Helper()
	n, err := h.RingSerial()
	must(t, err)
	return n
}

// newTenant prepares one on a and has every node adopt it.
func newTenant(t testing.TB, id string, a *home, others ...*home) []byte {
	t.Helper()
	wrapped, c, err := a.PrepareTenant(id)
	must(t, err)
	for _, h := range append(others, a) {
		must(t, h.Adopt(c.File, c.Sum))
	}
	return wrapped
}

// reads says whether a node opens a person's field.
func (h *home) reads(t testing.TB, tenant string, wrappedTenant, wrapped, field []byte) {
	t.Helper()
	ten, err := h.Tenant(tenant, wrappedTenant)
	must(t, err)
	sub, err := ten.Subject("sub_1", wrapped)
	must(t, err)
	if got, err := sub.Open(place, field); err != nil || !bytes.Equal(got, value) {
		t.Errorf("%q, %v", got, err)
	}
}

// person seals a field of sub_1.
func (h *home) person(t testing.TB, tenant string, wrappedTenant []byte) (s *keys.Subject, wrapped, field []byte) {
	t.Helper()
	ten, err := h.Tenant(tenant, wrappedTenant)
	must(t, err)
	s, wrapped, err = ten.NewSubject("sub_1")
	must(t, err)
	field, err = s.Seal(place, value)
	must(t, err)
	return s, wrapped, field
}
