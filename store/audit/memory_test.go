package audit_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

const (
	log1 = "clu_a/ten_b/e1"
	log2 = "clu_a/ten_b/e2"
)

var errNoHash = errors.New("no such hash is stored")

// memory is a tree whose hashes are kept in a slice.
type memory struct {
	hashes []tlog.Hash
	size   int64
}

func (m *memory) Hash(i int64) (tlog.Hash, error) {
	if i < 0 || i >= int64(len(m.hashes)) {
		return tlog.Hash{}, errNoHash
	}
	return m.hashes[i], nil
}

func (m *memory) add(t testing.TB, leaf []byte) {
	t.Helper()
	hashes, first, err := audit.Append(m.size, leaf, m)
	if err != nil || first != int64(len(m.hashes)) {
		t.Fatalf("leaf %d goes to %d of %d: %v", m.size, first, len(m.hashes), err)
	}
	m.hashes = append(m.hashes, hashes...)
	m.size++
}

// record is the bytes of the i-th leaf of a test's tree.
func record(i int64) []byte { return []byte(fmt.Sprintf("leaf %d", i)) }

func grown(t testing.TB, size int64) *memory {
	t.Helper()
	m := &memory{}
	for i := range size {
		m.add(t, record(i))
	}
	return m
}

func root(t testing.TB, size int64, h audit.Hashes) tlog.Hash {
	t.Helper()
	r, err := audit.Root(size, h)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// key makes a signing key of a log from a seed, always the same.
func key(t testing.TB, name, seed string) (note.Signer, note.Verifier) {
	t.Helper()
	s := sha256.Sum256([]byte(seed))
	private := ed25519.NewKeyFromSeed(s[:])
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	// Algorithm 1 is Ed25519 (C2SP signed-note).
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%s", strings.Join(strings.SplitN(vkey, "+", 3)[:2], "+"),
		base64.StdEncoding.EncodeToString(append([]byte{1}, s[:]...)))
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

// keys gives every log its keys of some seeds.
func keys(t testing.TB, seeds ...string) func(string) ([]note.Signer, error) {
	return func(origin string) ([]note.Signer, error) {
		var all []note.Signer
		for _, seed := range seeds {
			s, _ := key(t, origin, seed)
			all = append(all, s)
		}
		return all, nil
	}
}
