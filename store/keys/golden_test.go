package keys_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"gatehouse/store/keys"
)

var update = flag.Bool("update", false, "write testdata/v1 anew: only for a format that was never released")

// golden is what format 1 looked like, with all that is needed to open it.
type golden struct {
	Passphrase string   `json:"passphrase"`
	KeyFile    string   `json:"key_file"`
	Shares     []string `json:"shares"` // 2 open it
	Tenant     []byte   `json:"tenant"` // wrapped keys
	Subject    []byte   `json:"subject"`
	Field      []byte   `json:"field"` // value, sealed for place
	Secret     []byte   `json:"secret"`
	Index      []byte   `json:"index"`  // of value, label "name"
	Object     []byte   `json:"object"` // salt 1, 0 …; header "header"
	Verifier   string   `json:"verifier"`
}

const goldenDir = "testdata/v1"

// goldenPath stands in the golden seal.json for wherever the test puts it.
const goldenPath = "/run/gatehouse/key"

func TestGolden(t *testing.T) {
	if *update {
		synctest.Test(t, writeGolden) // its clock is fixed
	}
	data, err := os.ReadFile(filepath.Join(goldenDir, "secrets.json"))
	must(t, err)
	var g golden
	must(t, json.Unmarshal(data, &g))

	h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	for _, name := range []string{"seal.json", "keyring"} {
		data, err := os.ReadFile(filepath.Join(goldenDir, name))
		must(t, err)
		data = bytes.Replace(data, []byte(goldenPath), []byte(h.keyFile), 1)
		must(t, os.WriteFile(h.file(name), data, 0o600))
	}
	must(t, os.WriteFile(h.keyFile, []byte(g.KeyFile), 0o600))
	h.Store, err = keys.Open(h.dir, cluster)
	must(t, err)
	t.Cleanup(func() { h.Seal() })
	for _, open := range []func() error{
		h.UnsealFile,
		func() error { return h.UnsealPassphrase(ctx, []byte(g.Passphrase)) },
		func() error { share(t, h.Store, g.Shares[2]); share(t, h.Store, g.Shares[0]); return nil },
	} {
		h.Seal()
		must(t, open())
		g.check(t, h.Store)
	}
}

func (g *golden) check(t *testing.T, s *keys.Store) {
	t.Helper()
	tenant, err := s.Tenant("ten_golden", g.Tenant)
	must(t, err)
	subject, err := tenant.Subject("sub_golden", g.Subject)
	must(t, err)
	field, err := subject.Open(place, g.Field)
	must(t, err)
	secret, err := tenant.Open(place, g.Secret)
	must(t, err)
	index, err := tenant.Index("name", value)
	must(t, err)
	object, err := subject.Object([32]byte{1}, []byte("header"))
	must(t, err)
	vkey, err := s.Verifier("clu_test/ten_golden/e1")
	must(t, err)
	if !bytes.Equal(field, value) || !bytes.Equal(secret, value) {
		t.Errorf("values %q, %q", field, secret)
	}
	if !bytes.Equal(index, g.Index) || !bytes.Equal(object[:], g.Object) || vkey != g.Verifier {
		t.Errorf("derived: index %x, object %x, verifier %s", index, object, vkey)
	}
}

func writeGolden(t *testing.T) {
	h := create(t)
	g := golden{Passphrase: phrase}
	_, err := h.AddPassphrase([]byte(phrase))
	must(t, err)
	_, g.Shares, err = h.AddShamir(2, 3)
	must(t, err)
	text, err := os.ReadFile(h.keyFile)
	must(t, err)
	g.KeyFile = string(text)
	tenant, wrapped := h.tenant(t, "ten_golden")
	g.Tenant = wrapped
	subject, wrapped, err := tenant.NewSubject("sub_golden")
	must(t, err)
	g.Subject = wrapped
	g.Field, err = subject.Seal(place, value)
	must(t, err)
	g.Secret, err = tenant.Seal(place, value)
	must(t, err)
	g.Index, err = tenant.Index("name", value)
	must(t, err)
	object, err := subject.Object([32]byte{1}, []byte("header"))
	must(t, err)
	g.Object = object[:]
	g.Verifier, err = h.Verifier("clu_test/ten_golden/e1")
	must(t, err)

	must(t, os.MkdirAll(goldenDir, 0o755))
	put := func(name string, data []byte) {
		must(t, os.WriteFile(filepath.Join(goldenDir, name), data, 0o644))
	}
	for _, name := range []string{"seal.json", "keyring"} {
		data, err := os.ReadFile(h.file(name))
		must(t, err)
		put(name, bytes.Replace(data, []byte(h.keyFile), []byte(goldenPath), 1))
	}
	data, err := json.MarshalIndent(g, "", "  ")
	must(t, err)
	put("secrets.json", append(data, '\n'))
}
