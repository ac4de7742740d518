package keys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/keys"
)

// ca is where a cluster keeps a value of its own.
var ca = keys.Place{Table: "meta", Field: "authority", Row: "key", Version: 1}

func TestClusterField(t *testing.T) {
	a, b := pair(t)
	sealed, err := a.SealField(ca, value)
	must(t, err)
	if bytes.Contains(sealed, value[:8]) {
		t.Fatal("sealed in the clear")
	}
	opens := func(when string, h *home) {
		t.Helper()
		if got, err := h.OpenField(ca, sealed); err != nil || !bytes.Equal(got, value) {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	opens("here", a)
	opens("there", b)
	must(t, a.NextRingKey())
	opens("after a rotation", a)
	newer, err := a.SealField(ca, value)
	must(t, err)
	if sealed[14] != 1 || newer[14] != 2 {
		t.Errorf("versions %d and %d of the ring key", sealed[14], newer[14])
	}
	_, err = b.OpenField(ca, newer)
	want(t, "a ring key that is not here yet", err, keys.ErrUnknownKey)
	newTenant(t, "ten_a", a, b)
	sealed = newer
	opens("after it came", b)
	b.restart(t)
	got, err := b.OpenField(ca, sealed)
	want(t, "sealed", err, keys.ErrSealed)
	none, err := b.SealField(ca, value)
	want(t, "sealed", err, keys.ErrSealed)
	if got != nil || none != nil {
		t.Errorf("%q, %x", got, none)
	}
	must(t, b.UnsealFile())
	opens("restarted", b)
}

func TestClusterFieldElsewhere(t *testing.T) {
	h := create(t)
	tenant, wrapped := h.tenant(t, "ten_a")
	sealed, err := h.SealField(ca, value)
	must(t, err)
	at := func(change func(*keys.Place)) keys.Place { p := ca; change(&p); return p }
	for name, p := range map[string]keys.Place{
		"table":   at(func(p *keys.Place) { p.Table = "metas" }),
		"field":   at(func(p *keys.Place) { p.Field = "other" }),
		"row":     at(func(p *keys.Place) { p.Row = "keys" }),
		"version": at(func(p *keys.Place) { p.Version = 2 }),
		"shifted": {Table: "metaa", Field: "uthority", Row: "key", Version: 1},
	} {
		got, err := h.OpenField(p, sealed)
		if got != nil || !errors.Is(err, keys.ErrAltered) {
			t.Errorf("in another %s: %q, %v", name, got, err)
		}
	}
	_, err = tenant.Open(ca, sealed)
	want(t, "as a tenant's", err, keys.ErrAltered)
	secret, err := tenant.Seal(ca, value)
	must(t, err)
	_, err = h.OpenField(ca, secret)
	want(t, "a tenant's", err, keys.ErrAltered)
	_, err = h.OpenField(ca, wrapped)
	want(t, "a tenant's key", err, keys.ErrAltered)
	for i := range sealed {
		if got, err := h.OpenField(ca, flip(i)(sealed)); err == nil || got != nil {
			t.Errorf("byte %d altered: %q", i, got)
		}
		if got, err := h.OpenField(ca, sealed[:i]); err == nil || got != nil {
			t.Errorf("cut at %d: %q", i, got)
		}
	}
	for _, p := range []keys.Place{{Field: "f", Row: "r"}, {Table: "t", Row: "r"}, {Table: "t", Field: "f"}} {
		_, err = h.SealField(p, value)
		want(t, "no place", err, keys.ErrName)
		_, err = h.OpenField(p, sealed)
		want(t, "no place", err, keys.ErrName)
	}
	_, err = h.SealField(ca, make([]byte, 256<<10+1))
	want(t, "large", err, keys.ErrLimit)
	_, err = h.OpenField(ca, make([]byte, 257<<10))
	want(t, "large", err, keys.ErrLimit)
}

// cluster-field is value, sealed for ca by the golden key-ring.
func TestGoldenClusterField(t *testing.T) {
	_, h := openGolden(t, "keyring")
	must(t, h.UnsealFile())
	path := filepath.Join(goldenDir, "cluster-field")
	if *update {
		sealed, err := h.SealField(ca, value)
		must(t, err)
		must(t, os.WriteFile(path, sealed, 0o644))
	}
	sealed, err := os.ReadFile(path)
	must(t, err)
	if got, err := h.OpenField(ca, sealed); err != nil || !bytes.Equal(got, value) {
		t.Errorf("%q, %v", got, err)
	}
}
