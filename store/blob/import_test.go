package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"gatehouse/store/blob"
)

// raw bytes of a blob in another store.
func raw(t testing.TB, plain []byte) (name string, stored []byte) {
	t.Helper()
	s, _ := empty(t, blob.Config{})
	name = put(t, s, plain).Name
	f, size, err := s.Raw(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stored, err = io.ReadAll(f)
	if err != nil || int64(len(stored)) != size {
		t.Fatalf("%d bytes, not %d: %v", len(stored), size, err)
	}
	return name, stored
}

func nameOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestImport(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	for _, n := range []int{1, chunk, 3*chunk + 7} {
		plain := random(n)
		name, stored := raw(t, plain)
		if err := s.Import(context.Background(), name, iotest.HalfReader(bytes.NewReader(stored)), int64(len(stored))); err != nil {
			t.Fatal(err)
		}
		if got, err := read(s, key, h, name); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d come back, %v", n, len(got), err)
		}
		if info, err := os.Stat(file(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		// Once more nothing is read.
		if err := s.Import(context.Background(), name, iotest.ErrReader(errors.New("read")), int64(len(stored))); err != nil {
			t.Errorf("it is there: %v", err)
		}
	}
	// What this program does not read, another may.
	later := append([]byte("GHBLOB\x02"), random(100)...)
	if err := s.Import(context.Background(), nameOf(later), bytes.NewReader(later), int64(len(later))); err != nil {
		t.Errorf("format 2: %v", err)
	}
	if _, _, err := s.Raw(strings.Repeat("0", 64)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestImportRefused(t *testing.T) {
	broken := errors.New("the line broke")
	name, b := raw(t, random(2*chunk))
	size := int64(len(b))
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	never := iotest.ErrReader(errors.New("it was read"))
	for _, c := range []struct {
		what string
		ctx  context.Context
		name string
		from io.Reader
		size int64
		want error
	}{
		{what: "a flipped bit", from: bytes.NewReader(flipped(b, 1000)), size: size, want: blob.ErrForeign},
		{what: "another's", name: strings.Repeat("0", 64), from: bytes.NewReader(b), size: size, want: blob.ErrForeign},
		{what: "one less", from: bytes.NewReader(b[:size-1]), size: size, want: blob.ErrForeign},
		{what: "none", from: strings.NewReader(""), size: size, want: blob.ErrForeign},
		{what: "one less, as said", from: bytes.NewReader(b[:size-1]), size: size - 1, want: blob.ErrForeign},
		{what: "one more", from: bytes.NewReader(append(b[:size:size], 0)), size: size, want: blob.ErrTooLarge},
		{what: "endless", from: endless{}, size: size, want: blob.ErrTooLarge},
		{what: "cut off", from: io.MultiReader(bytes.NewReader(b[:chunk]), iotest.ErrReader(io.ErrUnexpectedEOF)), size: size, want: io.ErrUnexpectedEOF},
		{what: "broken at the end", from: io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken)), size: size, want: broken},
		{what: "cancelled", ctx: cancelled, from: never, size: size, want: context.Canceled},
		{what: "no bytes", from: never, size: 0, want: blob.ErrEmpty},
		{what: "fewer than none", from: never, size: -1, want: blob.ErrEmpty},
		{what: "more than any blob has", from: never, size: 1<<48 + 1<<40, want: blob.ErrTooLarge},
		{what: "the most that can be said", from: never, size: 1<<63 - 1, want: blob.ErrTooLarge},
		{what: "no name", name: "../../../../etc/passwd", from: never, size: size, want: blob.ErrNotFound},
	} {
		s, dir := empty(t, blob.Config{})
		ctx, as := context.Background(), name
		if c.ctx != nil {
			ctx = c.ctx
		}
		if c.name != "" {
			as = c.name
		}
		if err := s.Import(ctx, as, c.from, c.size); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Errorf("%s: it left %v", c.what, left)
		}
	}
}

// The free space is known to be too small before a byte is read.
func TestImportOntoAFullDisk(t *testing.T) {
	name, b := raw(t, random(chunk))
	free := uint64(100 + len(b) - 1)
	s, dir := empty(t, blob.Config{ReserveBytes: 100, Free: func(string) (uint64, uint64, error) { return free, 1 << 40, nil }})
	never := iotest.ErrReader(errors.New("it was read"))
	if err := s.Import(context.Background(), name, never, int64(len(b))); !errors.Is(err, blob.ErrFull) {
		t.Errorf("one byte too few: %v", err)
	}
	if err := s.Import(context.Background(), name, never, 1<<48); !errors.Is(err, blob.ErrFull) {
		t.Errorf("more than any disk has: %v", err)
	}
	free++
	if err := s.Import(context.Background(), name, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Errorf("enough: %v", err)
	}
	if left := files(t, dir); len(left) != 1 {
		t.Errorf("%v", left)
	}
	// It fills while bytes come.
	looks := 0
	s, dir = empty(t, blob.Config{ReserveBytes: 100, Free: func(string) (uint64, uint64, error) {
		if looks++; looks > 2 {
			return 99, 1 << 40, nil
		}
		return 1 << 39, 1 << 40, nil
	}})
	if err := s.Import(context.Background(), name, endless{}, 1<<30); !errors.Is(err, blob.ErrFull) {
		t.Errorf("midway: %v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

// A damaged blob stays until it is put into quarantine; then a good one takes
// its place.
func TestImportReplaces(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	plain := random(chunk)
	name, b := raw(t, plain)
	size := int64(len(b))
	if err := s.Import(context.Background(), name, bytes.NewReader(b), size); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file(dir, name), b[:size-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(context.Background(), name, bytes.NewReader(b), size); !errors.Is(err, blob.ErrRotten) {
		t.Errorf("over a blob of another size: %v", err)
	}
	if err := s.Quarantine(name); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(context.Background(), name, bytes.NewReader(b), size); err != nil {
		t.Fatal(err)
	}
	if got, err := read(s, key, h, name); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if kept, err := os.ReadFile(filepath.Join(dir, "quarantine", name)); err != nil || !bytes.Equal(kept, b[:size-1]) {
		t.Errorf("%d in quarantine, %v", len(kept), err)
	}
}

func TestImportAtOnce(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	name, b := raw(t, random(2*chunk))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			from := io.Reader(bytes.NewReader(b))
			if i%4 == 0 {
				from = bytes.NewReader(flipped(b, i))
			}
			err := s.Import(context.Background(), name, from, int64(len(b)))
			if err != nil && (i%4 != 0 || !errors.Is(err, blob.ErrForeign)) {
				t.Error(fmt.Errorf("%d: %w", i, err))
			}
		})
	}
	wg.Wait()
	if err := s.Check(context.Background(), name); err != nil || len(files(t, dir)) != 1 {
		t.Errorf("%v, %v", err, files(t, dir))
	}
}
