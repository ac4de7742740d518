package segment_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit/segment"
)

// unpack does what `zstd -dc PATH | tar x` does, and gives the names in their order.
func unpack(t *testing.T, path, dir string) (names []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || h.Mode != 0o644 || h.ModTime.Unix() != 0 || h.Uid != 0 || h.Format != tar.FormatUSTAR {
			t.Errorf("%+v", h)
		}
		names = append(names, h.Name)
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, h.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := io.Copy(io.Discard, z); err != nil || n != 0 {
		t.Errorf("%d bytes after the tar, %v", n, err)
	}
	return names
}

// lay puts beside the segments what a log of so many has besides: the tile above
// them and a checkpoint.
func lay(t *testing.T, dir string, segments int64) note.Verifier {
	t.Helper()
	g := world()
	var top []byte
	for n := range segments {
		h := g.root(n)
		top = append(top, h[:]...)
	}
	root, err := tlog.TreeHash(segments<<segment.Height, g)
	if err != nil {
		t.Fatal(err)
	}
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, segments<<segment.Height, root)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	tile := filepath.Join(dir, "tile/2/000.p", fmt.Sprint(segments))
	if err := errors.Join(os.MkdirAll(filepath.Dir(tile), 0o700), os.WriteFile(tile, top, 0o600), os.WriteFile(filepath.Join(dir, "checkpoint"), checkpoint, 0o600)); err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func hashes(b []byte) (h [][]byte, err error) {
	var e api.EntryBundle
	if err := e.UnmarshalText(b); err != nil {
		return nil, err
	}
	for _, leaf := range e.Entries {
		h = append(h, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return h, nil
}

// Segments unpacked into one folder are a log that another implementation of
// tlog-tiles finds whole.
func TestAnotherImplementationReadsIt(t *testing.T) {
	t.Parallel()
	g, s, dir := world(), store(t), t.TempDir()
	for n := range int64(2) {
		names := unpack(t, put(t, s, n), dir)
		if len(names) != 513 || names[0] != []string{"tile/entries/000", "tile/entries/256"}[n] || names[511] != []string{"tile/0/255", "tile/0/511"}[n] || names[512] != fmt.Sprintf("tile/1/%03d", n) {
			t.Fatalf("segment %d holds %d files from %s to %s", n, len(names), names[0], names[len(names)-1])
		}
		v := lay(t, dir, n+1)
		fetch := &client.FileFetcher{Root: dir}
		if err := fsck.New(origin, v, fetch, hashes, fsck.Opts{N: 2}).Check(context.Background()); err != nil {
			t.Fatalf("a log of %d segments: %v", n+1, err)
		}
		size := uint64(n+1) << segment.Height
		entries, err := client.GetEntryBundle(context.Background(), fetch.ReadEntryBundle, size/256-1, size)
		if err != nil {
			t.Fatal(err)
		}
		if last := entries.Entries[255]; sha256.Sum256(last) != sha256.Sum256(g.leaves[size-1]) {
			t.Errorf("the last leaf is %q", last)
		}
	}
}
