package state_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// The tests look into the file past the package, to see what is really there.

// rows are all rows of the file, by table, but for the clock and the applied
// index.
func rows(t testing.TB, w *world) map[string]string {
	t.Helper()
	if err := w.s.Commit(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	// bbolt grows the file by 16 MiB: what is still empty is not copied.
	used := len(bytes.TrimRight(b, "\x00"))
	page := os.Getpagesize()
	if err := os.WriteFile(path, b[:min(len(b), (used+page-1)/page*page)], 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string]string{}
	err = db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			var text strings.Builder
			err := b.ForEach(func(k, v []byte) error {
				if string(name) != "meta" || string(k) != "applied" && string(k) != "time" {
					fmt.Fprintf(&text, "%q=%q\n", k, v)
				}
				return nil
			})
			all[string(name)] = text.String()
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// alter changes rows of a closed file.
func alter(t testing.TB, path string, do func(tx *bolt.Tx)) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { do(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
