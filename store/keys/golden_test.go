package keys_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	g, h := openGolden(t, "keyring")
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

// The same key-ring while two signing keys overlap. overlap.txt has their
// verifiers, the active one first.
func TestGoldenOverlap(t *testing.T) {
	const origin = "clu_test/ten_golden/e1"
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	if *update {
		writeOverlap(t, origin, at)
	}
	g, h := openGolden(t, "keyring-overlap")
	must(t, h.UnsealFile())
	text, err := os.ReadFile(filepath.Join(goldenDir, "overlap.txt"))
	must(t, err)
	if vkeys, err := h.Verifiers(origin); err != nil || strings.Join(vkeys, "\n")+"\n" != string(text) || vkeys[1] != g.Verifier {
		t.Errorf("%v, %v", vkeys, err)
	}
	if k := h.SigningKeys(); len(k) != 2 || k[0].State != "overlapping" || k[1].State != "active" || !k[1].Created.Equal(at) {
		t.Errorf("%+v", k)
	}
	h.bothSign(t, origin)
	g.Verifier, _, _ = strings.Cut(string(text), "\n")
	g.check(t, h.Store)
}

func writeOverlap(t *testing.T, origin string, at time.Time) {
	_, h := openGolden(t, "keyring")
	must(t, h.UnsealFile())
	_, _, err := h.RotateSigning(at)
	must(t, err)
	vkeys, err := h.Verifiers(origin)
	must(t, err)
	ring, err := os.ReadFile(h.file("keyring"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(goldenDir, "keyring-overlap"), ring, 0o644))
	must(t, os.WriteFile(filepath.Join(goldenDir, "overlap.txt"), []byte(strings.Join(vkeys, "\n")+"\n"), 0o644))
}

// openGolden gives the golden store, sealed, with one of its key-rings.
func openGolden(t *testing.T, ring string) (*golden, *home) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir, "secrets.json"))
	must(t, err)
	g := new(golden)
	must(t, json.Unmarshal(data, g))

	h := &home{dir: t.TempDir(), keyFile: filepath.Join(t.TempDir(), "key")}
	for name, from := range map[string]string{"seal.json": "seal.json", "keyring": ring} {
		data, err := os.ReadFile(filepath.Join(goldenDir, from))
		must(t, err)
		data = bytes.Replace(data, []byte(goldenPath), []byte(h.keyFile), 1)
		must(t, os.WriteFile(h.file(name), data, 0o600))
	}
	must(t, os.WriteFile(h.keyFile, []byte(g.KeyFile), 0o600))
	h.Store, err = keys.Open(h.dir, cluster)
	must(t, err)
	t.Cleanup(func() { h.Seal() })
	return g, h
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
