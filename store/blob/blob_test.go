package blob_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"gatehouse/store/blob"
)

// ownerKey derives as docs/formats.md says.
type ownerKey [32]byte

func (k ownerKey) Object(salt [32]byte, header []byte) (out [32]byte, err error) {
	sum := sha256.Sum256(header)
	b, err := hkdf.Key(sha256.New, k[:], salt[:], "gatehouse/blob/1"+string(sum[:]), 32)
	copy(out[:], b)
	return out, err
}

var errNoKey = errors.New("the key is destroyed")

type noKey struct{}

func (noKey) Object([32]byte, []byte) ([32]byte, error) { return [32]byte{}, errNoKey }

func alice() (ownerKey, blob.Header) {
	return ownerKey{1}, blob.Header{Tenant: "ten_a", Subject: "sub_alice", Object: "evd_1", KeyID: "key_7", KeyVersion: 3, Class: "image/jpeg"}
}

func empty(t testing.TB, c blob.Config) (*blob.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := blob.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func put(t testing.TB, s *blob.Store, plain []byte) blob.Ref {
	t.Helper()
	key, h := alice()
	ref, err := s.Put(context.Background(), key, h, bytes.NewReader(plain), int64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// read gives what was released before the error.
func read(s *blob.Store, key blob.Key, h blob.Header, name string) ([]byte, error) {
	r, err := s.Open(context.Background(), key, h, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func file(dir, name string) string {
	return filepath.Join(dir, "blobs", name[:2], name[2:4], name)
}

// files under the data directory.
func files(t testing.TB, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

const chunk = 64 << 10

func TestRoundTrip(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	for _, n := range []int{1, 2, 100, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 5*chunk + 77} {
		plain := random(n)
		ref := put(t, s, plain)
		got, err := read(s, key, h, ref.Name)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d come back, %v", n, len(got), err)
		}
		stored, err := os.ReadFile(file(dir, ref.Name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(stored); hex.EncodeToString(sum[:]) != ref.Name {
			t.Errorf("%d bytes: the name is not the SHA-256 of the file", n)
		}
		if ref.Size != int64(n) || ref.Stored != int64(len(stored)) {
			t.Errorf("%d bytes: %+v, file of %d", n, ref, len(stored))
		}
		if info, err := os.Stat(file(dir, ref.Name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		if n > 16 && bytes.Contains(stored, plain[:16]) {
			t.Errorf("%d bytes: plaintext on disk", n)
		}
	}
}

// However the source deals out its bytes, the object is the same.
func TestSources(t *testing.T) {
	s, _ := empty(t, blob.Config{})
	key, h := alice()
	plain := random(2*chunk + 5)
	for name, r := range map[string]io.Reader{
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(plain)),
		"halves":          iotest.HalfReader(bytes.NewReader(plain)),
		"EOF with bytes":  iotest.DataErrReader(bytes.NewReader(plain)),
		"all at the time": bytes.NewReader(plain),
	} {
		ref, err := s.Put(context.Background(), key, h, r, 1<<30)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := read(s, key, h, ref.Name); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestSeek(t *testing.T) {
	s, _ := empty(t, blob.Config{})
	key, h := alice()
	plain := random(3*chunk + 1234)
	r, err := s.Open(context.Background(), key, h, put(t, s, plain).Name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Size() != int64(len(plain)) {
		t.Errorf("size %d", r.Size())
	}
	if err := iotest.TestReader(r, plain); err != nil { // reads, seeks, ends
		t.Error(err)
	}
	for _, from := range []int64{0, chunk - 3, chunk, 2*chunk + 9, 3 * chunk, int64(len(plain)) - 1} {
		if _, err := r.Seek(from, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, min(100, int64(len(plain))-from))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, plain[from:from+int64(len(got))]) {
			t.Errorf("from %d: other bytes, %v", from, err)
		}
	}
	for _, f := range []func() (int64, error){
		func() (int64, error) { return r.Seek(-1, io.SeekStart) },
		func() (int64, error) { return r.Seek(0, 9) },
	} {
		if _, err := f(); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("bad seek: %v", err)
		}
	}
}

func TestClosedReaderGivesNothing(t *testing.T) {
	s, _ := empty(t, blob.Config{})
	key, h := alice()
	r, err := s.Open(context.Background(), key, h, put(t, s, []byte("secret")).Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 6)); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// What is refused leaves no file, finished or not.
func TestRefused(t *testing.T) {
	broken := errors.New("the line broke")
	key, h := alice()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name   string
		ctx    context.Context
		key    blob.Key
		change func(*blob.Header)
		from   io.Reader
		limit  int64
		want   error
	}{
		{name: "empty", from: strings.NewReader(""), limit: 9, want: blob.ErrEmpty},
		{name: "empty, no limit", from: strings.NewReader(""), limit: 0, want: blob.ErrEmpty},
		{name: "one byte over", from: strings.NewReader("0123456789"), limit: 9, want: blob.ErrTooLarge},
		{name: "a byte, none allowed", from: strings.NewReader("0"), limit: 0, want: blob.ErrTooLarge},
		{name: "a byte, less than none allowed", from: strings.NewReader("0"), limit: -5, want: blob.ErrTooLarge},
		{name: "a package border over", from: bytes.NewReader(random(2*chunk + 1)), limit: 2 * chunk, want: blob.ErrTooLarge},
		{name: "endless", from: endless{}, limit: 3 * chunk, want: blob.ErrTooLarge},
		{name: "broken", from: io.MultiReader(bytes.NewReader(random(chunk+9)), iotest.ErrReader(broken)), limit: 1 << 30, want: broken},
		{name: "broken at once", from: iotest.ErrReader(broken), limit: 1 << 30, want: broken},
		// The error of a request body that is cut short.
		{name: "cut short", from: io.MultiReader(bytes.NewReader(random(9)), iotest.ErrReader(io.ErrUnexpectedEOF)), limit: 1 << 30, want: io.ErrUnexpectedEOF},
		{name: "cut short at a border", from: io.MultiReader(bytes.NewReader(random(chunk)), iotest.ErrReader(io.ErrUnexpectedEOF)), limit: 1 << 30, want: io.ErrUnexpectedEOF},
		{name: "an error that wraps EOF", from: io.MultiReader(bytes.NewReader(random(9)), iotest.ErrReader(fmt.Errorf("%w: line lost", io.EOF))), limit: 1 << 30, want: io.EOF},
		{name: "cancelled", ctx: cancelled, from: strings.NewReader("x"), limit: 9, want: context.Canceled},
		{name: "no key", key: noKey{}, from: strings.NewReader("x"), limit: 9, want: errNoKey},
		{name: "no tenant", change: func(h *blob.Header) { h.Tenant = "" }, from: strings.NewReader("x"), limit: 9, want: blob.ErrHeader},
		{name: "no class", change: func(h *blob.Header) { h.Class = "" }, from: strings.NewReader("x"), limit: 9, want: blob.ErrHeader},
		{name: "long object", change: func(h *blob.Header) { h.Object = strings.Repeat("x", 256) }, from: strings.NewReader("x"), limit: 9, want: blob.ErrHeader},
	} {
		s, dir := empty(t, blob.Config{})
		ctx, k, head := context.Background(), blob.Key(key), h
		if c.ctx != nil {
			ctx = c.ctx
		}
		if c.key != nil {
			k = c.key
		}
		if c.change != nil {
			c.change(&head)
		}
		ref, err := s.Put(ctx, k, head, c.from, c.limit)
		if !errors.Is(err, c.want) || ref != (blob.Ref{}) {
			t.Errorf("%s: %+v, %v; want %v", c.name, ref, err, c.want)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Errorf("%s: it left %v", c.name, left)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestExactlyTheLimit(t *testing.T) {
	s, _ := empty(t, blob.Config{})
	key, h := alice()
	h.Object, h.Class = strings.Repeat("o", 255), strings.Repeat("c", 255)
	for _, n := range []int{1, chunk, chunk + 1} {
		ref, err := s.Put(context.Background(), key, h, bytes.NewReader(make([]byte, n)), int64(n))
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		if got, err := read(s, key, h, ref.Name); err != nil || len(got) != n {
			t.Errorf("%d: %d, %v", n, len(got), err)
		}
	}
}

func TestCancelledMidway(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	r := readerFunc(func(p []byte) (int, error) {
		if seen += len(p); seen > 3*chunk {
			cancel()
		}
		return len(p), nil
	})
	if _, err := s.Put(ctx, key, h, r, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	ctx, cancel = context.WithCancel(context.Background())
	o, err := s.Open(ctx, key, h, put(t, s, random(3*chunk)).Name)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	cancel()
	if _, err := s.Open(ctx, key, h, strings.Repeat("0", 64)); !errors.Is(err, context.Canceled) {
		t.Errorf("opening: %v", err)
	}
	if n, err := o.Read(make([]byte, 9)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %d, %v", n, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFull(t *testing.T) {
	key, h := alice()
	free := uint64(2<<30 - 1)
	s, _ := empty(t, blob.Config{Free: func(string) (uint64, uint64, error) { return free, 1 << 40, nil }})
	if _, err := s.Put(context.Background(), key, h, strings.NewReader("x"), 9); !errors.Is(err, blob.ErrFull) {
		t.Errorf("below the default reserve: %v", err)
	}
	free++
	put(t, s, []byte("x"))

	// It fills while an upload runs.
	looks := 0
	s, dir := empty(t, blob.Config{ReserveBytes: 100, Free: func(string) (uint64, uint64, error) {
		if looks++; looks > 2 {
			return 99, 1 << 40, nil
		}
		return 100, 1 << 40, nil
	}})
	if _, err := s.Put(context.Background(), key, h, endless{}, 1<<30); !errors.Is(err, blob.ErrFull) {
		t.Errorf("midway: %v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	lost := errors.New("no statfs")
	s, _ = empty(t, blob.Config{Free: func(string) (uint64, uint64, error) { return 1 << 40, 1 << 40, lost }})
	if _, err := s.Put(context.Background(), key, h, strings.NewReader("x"), 9); !errors.Is(err, lost) {
		t.Errorf("unknown space: %v", err)
	}
}

func TestNoRandomness(t *testing.T) {
	s, dir := empty(t, blob.Config{Rand: strings.NewReader("short")})
	key, h := alice()
	if _, err := s.Put(context.Background(), key, h, strings.NewReader("x"), 9); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
}

func TestSamePlaintextTwice(t *testing.T) {
	s, _ := empty(t, blob.Config{})
	if a, b := put(t, s, []byte("same")), put(t, s, []byte("same")); a.Name == b.Name {
		t.Error("equal objects have equal names: a store must not tell")
	}
	// With the same salt the names are the same, and nothing is lost.
	s, dir := empty(t, blob.Config{Rand: bytes.NewReader(make([]byte, 64))})
	a, b := put(t, s, []byte("same")), put(t, s, []byte("same"))
	key, h := alice()
	if got, err := read(s, key, h, a.Name); a != b || err != nil || string(got) != "same" || len(files(t, dir)) != 1 {
		t.Errorf("%v %v: %q, %v, %v", a, b, got, err, files(t, dir))
	}
}

func TestUnusableDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := blob.Open(path, blob.Config{}); err == nil || s != nil {
		t.Errorf("a store in a file: %v, %v", s, err)
	}
}
