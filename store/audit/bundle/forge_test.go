package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"
)

type part struct {
	name string
	body []byte
}

func members(t testing.TB, b []byte) []part {
	t.Helper()
	var all []part
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part{h.Name, body})
	}
}

func pack(t testing.TB, all []part) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range all {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: p.name, Size: int64(len(p.body)), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// edit is what an operator who has the log's key can do: he changes members
// (nil takes one away) and makes the manifest again.
func edit(t testing.TB, b []byte, change func(name string, body []byte) []byte, key *ledger) []byte {
	t.Helper()
	all := members(t, b)
	kept := all[:2]
	var files []map[string]any
	for _, p := range all[2:] {
		if p.body = change(p.name, p.body); p.body != nil {
			kept = append(kept, p)
			files = append(files, map[string]any{"name": p.name, "size": len(p.body), "sha256": fmt.Sprintf("%x", sha256.Sum256(p.body))})
		}
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(change("bundle.json", all[0].body)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	m["files"] = files
	manifest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	kept[0].body, kept[1].body = manifest, seal(t, manifest, key)
	return pack(t, kept)
}

func seal(t testing.TB, manifest []byte, key *ledger) []byte {
	t.Helper()
	return key.sign(t, fmt.Sprintf("gatehouse/bundle/1\n%s\n%x\n%s\n", key.origin, sha256.Sum256(manifest), began.Format(time.RFC3339)))
}
