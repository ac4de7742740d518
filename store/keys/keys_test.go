package keys_test

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/store/keys"
)

const cluster = "clu_test"

// fixed randomness: what is not a nonce or a share is the same in every run.
func fixed() io.Reader { return rand.NewChaCha8([32]byte{'g', 'a', 't', 'e'}) }

// home is a new store whose one slot is a key file.
type home struct {
	*keys.Store
	dir, keyFile string
	slot         keys.Slot
}

func create(t testing.TB) *home {
	t.Helper()
	h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	s, err := keys.Create(h.dir, cluster, fixed(), func(s *keys.Store) (err error) {
		h.slot, err = s.AddFile(h.keyFile)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Store = s
	t.Cleanup(func() { h.Seal() })
	return h
}

// restart opens the same directory, sealed.
func (h *home) restart(t testing.TB) {
	t.Helper()
	h.Seal()
	s, err := keys.Open(h.dir, cluster)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Sealed() {
		t.Fatal("opened, it is not sealed")
	}
	h.Store = s
}

func (h *home) tenant(t testing.TB, id string) (*keys.Tenant, []byte) {
	t.Helper()
	wrapped, err := h.NewTenant(id)
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := h.Tenant(id, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return tenant, wrapped
}

func (h *home) file(name string) string { return filepath.Join(h.dir, name) }

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v; want: %v", what, err, target)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rewrite(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(data), 0o600))
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = append([]byte(nil), b...)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
}

// forge changes bytes of a share or key file and gives it a right checksum,
// from the description of the text form alone.
func forge(t testing.TB, text string, change func(body []byte)) string {
	t.Helper()
	prefix, rest := text[:5], strings.ReplaceAll(strings.TrimSpace(text[5:]), "-", "")
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	b, err := enc.DecodeString(strings.ToUpper(rest))
	must(t, err)
	body := b[:len(b)-4]
	change(body)
	sum := sha256.Sum256(append([]byte(prefix), body...))
	return prefix + strings.ToLower(enc.EncodeToString(append(body, sum[:4]...)))
}

func share(t testing.TB, s *keys.Store, text string) (given, needed int) {
	t.Helper()
	given, needed, err := s.UnsealShare(context.Background(), text)
	must(t, err)
	return given, needed
}
