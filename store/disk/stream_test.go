package disk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/disk"
)

// What a stream was given is in the file, in whatever pieces it came.
func TestStream(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 40<<20+777) // no whole block
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	t.Run("past the cache", func(t *testing.T) { streamed(t, r, want, func(*disk.Stream) {}) })
	t.Run("through the cache", func(t *testing.T) { streamed(t, r, want, (*disk.Stream).Cached) })
}

func streamed(t *testing.T, r *rand.Rand, want []byte, change func(*disk.Stream)) {
	path := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	s := disk.NewStream(f)
	change(s)
	for rest := want; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(3<<20))
		if k, err := s.Write(rest[:n]); k != n || err != nil {
			t.Fatalf("%d of %d: %v", k, n, err)
		}
		rest = rest[n:]
	}
	if err := errors.Join(s.Sync(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v: it is not what was written", len(got), err)
	}
	if _, err := s.Write(want[:1]); errors.Join(err, s.Sync()) == nil {
		t.Error("written to a file that is closed")
	}
}
