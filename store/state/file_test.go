package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/state"
)

// The tests look into the file past the package, to see what is really there.

// rows are all rows of the file, by table, but for the clock and the applied
// index.
func rows(t testing.TB, w *world) map[string]string {
	t.Helper()
	path, _ := copied(t, w.s)
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

// copied is a file of the state, and what it was copied from.
func copied(t testing.TB, s *state.State) (path string, c *state.Copy) {
	t.Helper()
	c = taken(t, s)
	path = filepath.Join(t.TempDir(), "copy.db")
	write(t, path, c)
	must(t, c.Close())
	return path, c
}

// taken copy; what ends the test early must close it, as the state's end waits.
func taken(t testing.TB, s *state.State) *state.Copy {
	t.Helper()
	c, err := s.Copy()
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// write a copy's file; it stays open.
func write(t testing.TB, path string, c *state.Copy) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	must(t, err)
	n, err := c.WriteTo(f)
	must(t, errors.Join(err, f.Close()))
	if n != c.Size {
		t.Fatalf("%d bytes were written of %d", n, c.Size)
	}
}

// tables of a closed file.
func tables(t testing.TB, path string) (names []string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			names = append(names, string(name))
			return nil
		})
	}))
	must(t, db.Close())
	return names
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
