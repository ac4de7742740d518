package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gatehouse/store/state"
)

// small is the file of a state, without the pages that bbolt keeps for later.
func small(t *testing.T) []byte {
	_, w := tell(t, 5, 300)
	must(t, w.s.Close())
	var size int64
	db, err := bolt.Open(w.path, 0o600, &bolt.Options{ReadOnly: true})
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }))
	must(t, db.Close())
	b, err := os.ReadFile(w.path)
	must(t, err)
	return b[:size]
}

// A damaged file is refused, or what is wrong with it is in rows and not in
// the tree of pages: it never ends the process.
func TestDamagedFiles(t *testing.T) {
	good := small(t)
	page := os.Getpagesize()
	r := rand.New(rand.NewPCG(8, 10))
	dir := t.TempDir()
	n := 400
	if testing.Short() {
		n = 60
	}
	count := map[string]map[bool]int{}
	for i := range n {
		b := append([]byte(nil), good...)
		kind := []string{"bit flips", "page header", "zeroed page", "truncated", "torn"}[i%5]
		switch kind {
		case "bit flips":
			for range 1 << r.IntN(6) {
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
		case "page header":
			b[r.IntN(len(b)/page)*page+r.IntN(64)] ^= 1 << r.IntN(8)
		case "zeroed page":
			clear(b[r.IntN(len(b)/page)*page:][:page])
		case "truncated":
			b = b[:r.IntN(len(b))]
		case "torn": // one page has what belongs to another
			copy(b[r.IntN(len(b)/page)*page:][:page], good[r.IntN(len(b)/page)*page:])
		}
		// A new name: where bbolt panics, it keeps its lock.
		path := filepath.Join(dir, fmt.Sprint(i))
		must(t, os.WriteFile(path, b, 0o600))
		s, err := state.Open(path, false)
		if count[kind] == nil {
			count[kind] = map[bool]int{}
		}
		count[kind][err != nil]++
		if err != nil {
			if !errors.Is(err, state.ErrUnusable) || s != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			continue
		}
		if kind == "truncated" {
			t.Errorf("a file of %d of %d bytes was opened", len(b), len(good))
		}
		if _, err := s.Check(t.Context(), nil, nil); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		_ = s.Close()
		must(t, os.Remove(path))
	}
	t.Logf("refused (true) or opened: %v", count)
	for kind, c := range count {
		if c[true] == 0 {
			t.Errorf("%s: nothing was refused", kind)
		}
	}
}
