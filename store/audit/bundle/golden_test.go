package bundle_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/audit/bundle"
)

var update = flag.Bool("update", false, "write what a new format's golden files must hold; those of a published one stay as they are")

func stored(t *testing.T, name string, made func() []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, made(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The files are what an auditor has: two bundles of one log, his policy, and the
// secret key that opens the second's disclosures.
func TestGoldenFiles(t *testing.T) {
	w := newWorld(t).grow(t, 30, 10, 20, 30)
	plain := func() []byte {
		e := everything(t, w, 0, 20)
		e.Openings = nil
		return write(t, e)
	}
	policy := stored(t, "policy", func() []byte { return []byte(w.policyText) })
	first := stored(t, "first.ekab", plain)
	if !bytes.Equal(first, plain()) {
		t.Error("the same log is exported as other bytes")
	}
	// What is sealed is random: this one is only read.
	second := stored(t, "second.ekab", func() []byte { return write(t, everything(t, w, 20, 29)) })
	text := stored(t, "secret", func() []byte {
		text, err := w.secret.Text()
		if err != nil {
			t.Fatal(err)
		}
		return []byte(text + "\n")
	})
	secret, err := bundle.ParseSecret(string(text))
	if err != nil {
		t.Fatal(err)
	}
	o := w.options()
	o.Policy, o.Secret = parsePolicy(t, string(policy)), secret
	v := good(t, first, o)
	if v.Leaves != 20 || v.Erasures != 2 {
		t.Errorf("%+v", v)
	}
	o.Memory = remembering(t)
	if err := v.Remember(o.Memory, o.Now); err != nil {
		t.Fatal(err)
	}
	if v := good(t, second, o); v.Leaves != 9 || v.Disclosed != 2 {
		t.Errorf("%+v", v)
	}
}
