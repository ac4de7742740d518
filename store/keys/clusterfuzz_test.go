package keys_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"testing"

	"gatehouse/store/keys"
)

// typed fails for an error that a caller could not tell from others.
func typed(t *testing.T, err error) {
	t.Helper()
	for _, e := range []error{keys.ErrFormat, keys.ErrLimit, keys.ErrCluster, keys.ErrAltered, keys.ErrOtherKey} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Fatalf("untyped: %v", err)
}

func FuzzReceive(f *testing.F) {
	r := receiver(f, "nod_b")
	whole, err := os.ReadFile(goldenHandOver)
	must(f, err)
	f.Add(whole)
	for _, at := range []int{0, 9, 10, 18, 19, 1137, 1138, 1160, len(whole) - 1} {
		f.Add(whole[:at])
		f.Add(flip(at)(whole))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, bundle []byte) {
		_, err := keys.Receive(dir, cluster, r, bundle, "nod_b", fixed(), func(*keys.Store) error { return nil })
		if errors.Is(err, keys.ErrNoSlot) && bytes.Equal(bundle, whole) {
			return // it opened
		}
		typed(t, err)
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Fatalf("left: %v, %v", left, err)
		}
	})
}

// While sealed, staging and adopting judge alike, what is taken is kept to the
// byte, and unsealing has the last word.
func FuzzAdopt(f *testing.F) {
	h := create(f)
	_, c, err := h.PrepareTenant("ten_a")
	must(f, err)
	start, err := h.RingFile()
	must(f, err)
	f.Add(c.File)
	for _, at := range []int{0, 8, 9, 10, 18, 20, 21, 32, 40, len(start) - 1} {
		f.Add(start[:at])
		f.Add(flip(at)(start))
	}
	h.Seal()
	f.Fuzz(func(t *testing.T, file []byte) {
		sum := sha256.Sum256(file)
		before := h.RingSum()
		err := h.Stage(file, sum)
		if adopt := h.Adopt(file, sum); (adopt == nil) != (err == nil) {
			t.Fatalf("staged: %v; adopted: %v", err, adopt)
		}
		if err != nil {
			typed(t, err)
			h.onDisk(t, "refused", before)
			return
		}
		h.onDisk(t, "adopted", sum)
		if got, err := h.RingFile(); err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes became %d, %v", len(file), len(got), err)
		}
		if err := h.UnsealFile(); err != nil {
			typed(t, err)
		}
		h.Seal()
	})
}
