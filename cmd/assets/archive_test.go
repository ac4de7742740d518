package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExtract takes a file out of the archives that are no zip, and notices
// another file under its name.
func TestExtract(t *testing.T) {
	var tgz bytes.Buffer
	z := gzip.NewWriter(&tgz)
	w := tar.NewWriter(z)
	for _, h := range []tar.Header{
		{Name: "package/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "package/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		{Name: "package/a", Typeflag: tar.TypeReg, Size: 5, Mode: 0o644},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	for name, content := range map[string]string{
		"deb/DEBIAN/control": "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: x\n",
		"deb/package/a":      "hello",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(dir, "x.deb")
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", filepath.Join(dir, "deb"), deb).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}

	want := lockedFile{Path: "package/a", Bytes: 5, SHA256: sha([]byte("hello"))}
	for _, c := range []struct {
		a     artefact
		bytes []byte
	}{
		{artefact{Kind: "npm", File: "x.tgz"}, tgz.Bytes()},
		{artefact{Kind: "deb", File: "x.deb"}, nil},
	} {
		a := c.a
		a.Files = []lockedFile{want}
		if found, err := extract(t.Context(), &a, c.bytes, deb); err != nil || string(found[0]) != "hello" {
			t.Errorf("%s: %q, %v", a.File, found, err)
		}
		a.Files = []lockedFile{{Path: "package/a", Bytes: 5, SHA256: sha([]byte("world"))}}
		if _, err := extract(t.Context(), &a, c.bytes, deb); !errors.Is(err, errChanged) || !strings.Contains(err.Error(), a.File+": package/a") {
			t.Errorf("%s: %v", a.File, err)
		}
		a.Files = []lockedFile{{Path: "package/link", Bytes: 5, SHA256: want.SHA256}}
		if _, err := extract(t.Context(), &a, c.bytes, deb); err == nil || !strings.Contains(err.Error(), "has no file package/link") {
			t.Errorf("%s: %v", a.File, err)
		}
	}
	a := artefact{Kind: "npm", File: "x.tgz", Files: []lockedFile{want}}
	if _, err := extract(t.Context(), &a, tgz.Bytes()[:tgz.Len()/2], ""); err == nil {
		t.Error("a cut archive went unnoticed")
	}
	a = artefact{Kind: "deb", File: "x.deb", Files: []lockedFile{want}}
	if _, err := extract(t.Context(), &a, nil, filepath.Join(dir, "none.deb")); err == nil {
		t.Error("a missing package went unnoticed")
	}
}
