package trust_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"gatehouse/store/audit/trust"
)

var update = flag.Bool("update", false, "write what a new format's golden files must hold; those of a published one stay as they are")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is written as\n%s\ninstead of\n%s", name, got, want)
	}
}

// What an auditor has after some years: each file must be read as it was.
func TestGoldenFiles(t *testing.T) {
	w, vkey1 := witness(t, "auditor.example/anna", "golden anna")
	p := policy(t, "log "+vkey(t, log1, "golden"), "log "+vkey(t, system1, "golden")+" https://gatehouse.example",
		"log "+vkey(t, log1, "golden 2"), "valid "+id(vkey(t, log1, "golden"))+" - 1000",
		"witness Anna "+vkey1, "group auditors any Anna", "quorum auditors")
	golden(t, "policy", []byte(p.String()))

	h := grown(t, 5, honest)
	b := cosigned(t, head(t, log1, 5, h, "golden", "golden 2"), noon, w)
	if _, err := p.Verify(b, log1); err != nil {
		t.Error(err)
	}
	m := &trust.Memory{}
	for _, note := range [][]byte{b, head(t, system1, 2, h, "golden")} {
		if err := remember(t, m, note, noon); err != nil {
			t.Fatal(err)
		}
	}
	written := filepath.Join(t.TempDir(), "state.json")
	if err := m.Write(written); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "state.json", state)
	if again := read(t, filepath.Join("testdata", "state.json")); !reflect.DeepEqual(again, m) {
		t.Errorf("%+v", again)
	}
	golden(t, "empty.json", emptyState(t))
	read(t, filepath.Join("testdata", "empty.json"))

	for name, e := range map[string]*trust.Evidence{
		"rewrote.json":   evidence(t, 3, 6, 1, "golden"),
		"two-roots.json": evidence(t, 4, 4, 2, "golden"),
	} {
		golden(t, name, encoded(t, e))
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := trust.ParseEvidence(b); err != nil || e.Check(p) != nil {
			t.Errorf("%s: %v, %v", name, err, e.Check(p))
		}
	}
}

func emptyState(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.json")
	if err := new(trust.Memory).Write(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
