package audit_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"gatehouse/store/audit"
)

var update = flag.Bool("update", false, "write what a new format's golden files must hold; those of a published one stay as they are")

func golden(t *testing.T, name string, got []byte) []byte {
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
	return want
}

// The files are a log of two leaves and what is signed and proved of it.
func TestGoldenFiles(t *testing.T) {
	started, read := small(), full()
	read.Seq = 1
	m := &memory{}
	for name, l := range map[string]*audit.Leaf{"start.json": started, "document.json": read} {
		b := golden(t, name, encode(t, l))
		if got, err := audit.DecodeLeaf(b); err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	m.add(t, encode(t, started))
	m.add(t, encode(t, read))

	path := filepath.Join(t.TempDir(), "last-signed")
	s := openSigner(t, path, "golden")
	if _, err := s.Sign("clu_a/system/e1", 1, m); err != nil {
		t.Fatal(err)
	}
	b, err := s.Sign(log1, 2, m)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := golden(t, "checkpoint", b)
	if c, err := audit.VerifyCheckpoint(checkpoint, log1, known(t, log1, "golden")); err != nil || c.Root != root(t, 2, m) {
		t.Errorf("%+v, %v", c, err)
	}

	hashes, err := audit.InclusionProof(2, 1, m)
	if err != nil {
		t.Fatal(err)
	}
	p := audit.Proof{Extra: encode(t, read), Index: 1, Hashes: hashes, Checkpoint: checkpoint}
	parsed, err := audit.ParseProof(golden(t, "document.tlog-proof", p.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsed.Verify(parsed.Extra, log1, known(t, log1, "golden")); err != nil {
		t.Error(err)
	}

	last, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "last-signed", last)
	copied := filepath.Join(t.TempDir(), "last-signed")
	if err := os.WriteFile(copied, last, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openSigner(t, copied, "golden").Check(log1, 2, m); err != nil {
		t.Error(err)
	}
}
