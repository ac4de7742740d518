package segment

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var update = flag.Bool("update", false, "write what a new format's golden files must hold; those of a published one stay as they are")

func golden(t *testing.T, path string, made []byte) []byte {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// Format 1 is a promise: these leaves give this tar and this header, whatever the
// compressor makes of them.
func TestGoldenTar(t *testing.T) {
	t.Parallel()
	id := identity{log1, 1234, rootOf(t, 1234, numbered)}
	var b bytes.Buffer
	if err := fill(&b, id, numbered); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, z)
	if err != nil {
		t.Fatal(err)
	}
	header := id.header()
	made := fmt.Appendf(nil, "tar %d bytes, SHA-256 %x\nheader %x\n", n, digest.Sum(nil), header)
	if want := golden(t, "testdata/format1.txt", made); !bytes.Equal(made, want) {
		t.Errorf("format 1 is now\n%s\nnot\n%s", made, want)
	}
	if !bytes.HasPrefix(b.Bytes(), header) {
		t.Error("the file does not begin with its header")
	}
	if is, ok := parseHeader(header); !ok || is != id {
		t.Errorf("%+v", is)
	}
}

// A file that was written once is read for ever.
func TestGoldenFile(t *testing.T) {
	t.Parallel()
	made, id := small()
	if err := verify(golden(t, "testdata/format1.seg", made), id, decoder(t)); err != nil {
		t.Error(err)
	}
}
