package blob_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/sio"

	"gatehouse/store/blob"
)

const sealed = 16 + chunk + 16 // a whole package of DARE 2.0

// parts of a stored blob: the header and the packages.
func parts(t testing.TB, s *blob.Store, dir string, plain []byte) (header []byte, packages [][]byte) {
	t.Helper()
	ref := put(t, s, plain)
	b, err := os.ReadFile(file(dir, ref.Name))
	if err != nil {
		t.Fatal(err)
	}
	body, err := sio.EncryptedSize(uint64(len(plain)))
	if err != nil {
		t.Fatal(err)
	}
	n := len(b) - int(body)
	return b[:n:n], slices.Collect(slices.Chunk(b[n:], sealed))
}

func join(header []byte, packages ...[]byte) []byte {
	return append(slices.Clone(header), bytes.Join(packages, nil)...)
}

// plant puts bytes where the store looks for a blob, whatever they are.
func plant(t testing.TB, dir string, b []byte) (name string) {
	t.Helper()
	name = strings.Repeat("ab", 32)
	path := file(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func flipped(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1
	return b
}

func typed(err error) bool {
	return errors.Is(err, blob.ErrHeader) || errors.Is(err, blob.ErrVersion) || errors.Is(err, blob.ErrDamaged)
}

func TestEveryBitOfASmallBlob(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	header, packages := parts(t, s, dir, []byte("a small secret"))
	whole := join(header, packages...)
	for i := range whole {
		for bit := range 8 {
			b := slices.Clone(whole)
			b[i] ^= 1 << bit
			if got, err := read(s, key, h, plant(t, dir, b)); len(got) != 0 || !typed(err) {
				t.Fatalf("byte %d, bit %d: %q, %v", i, bit, got, err)
			}
		}
	}
	for n := range whole {
		if got, err := read(s, key, h, plant(t, dir, whole[:n])); len(got) != 0 || !errors.Is(err, blob.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %q, %v", n, got, err)
		}
	}
	if got, err := read(s, key, h, plant(t, dir, whole)); err != nil || string(got) != "a small secret" {
		t.Errorf("untouched: %q, %v", got, err)
	}
}

// Three packages, damaged in each of their regions: what comes out is what was
// whole before the damage, and the reader stays shut.
func TestDamagedPackage(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	plain := random(3*chunk - 100)
	header, packages := parts(t, s, dir, plain)
	whole := join(header, packages...)
	for p, pkg := range packages {
		for _, at := range []int{0, 1, 2, 3, 4, 10, 15, 16, 17, len(pkg) / 2, len(pkg) - 17, len(pkg) - 16, len(pkg) - 1} {
			b := flipped(whole, len(header)+p*sealed+at)
			r, err := s.Open(context.Background(), key, h, plant(t, dir, b))
			if p == len(packages)-1 { // it vouches for the size, so it is read first
				if !typed(err) {
					t.Errorf("package %d, byte %d: opened, %v", p, at, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("package %d, byte %d: %v", p, at, err)
			}
			got, err := io.ReadAll(r)
			if !typed(err) || !bytes.Equal(got, plain[:p*chunk]) {
				t.Errorf("package %d, byte %d: %d bytes, want %d; %v", p, at, len(got), p*chunk, err)
			}
			if _, seek := r.Seek(2*chunk, io.SeekStart); seek != nil {
				t.Fatal(seek)
			}
			if n, again := r.Read(make([]byte, 10)); n != 0 || again != err {
				t.Errorf("package %d, byte %d: after the damage %d bytes, %v", p, at, n, again)
			}
			r.Close()
		}
	}
}

// Cut, lengthened, reordered or mixed from two blobs of one person: refused
// before the first byte where the end is wrong, else at the first wrong package.
func TestRearranged(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	plain := random(4 * chunk)
	header, p := parts(t, s, dir, plain)
	header2, q := parts(t, s, dir, random(4*chunk))
	_, short := parts(t, s, dir, random(10))
	notFinal := func(pkg []byte) []byte { return withFlag(pkg, 0) }
	final := func(pkg []byte) []byte { return withFlag(pkg, 0x80) }
	for _, c := range []struct {
		name  string
		bytes []byte
		good  int // whole packages that may come out
	}{
		{"no package", header, 0},
		{"cut at border 1", join(header, p[0]), 0},
		{"cut at border 2", join(header, p[0], p[1]), 0},
		{"cut at border 3", join(header, p[0], p[1], p[2]), 0},
		{"cut at border 3, flag forged", join(header, p[0], p[1], final(p[2])), 0},
		{"cut inside package 1", join(header, p[0], p[1][:1000]), 0},
		{"cut inside a package's header", join(header, p[0], p[1][:7]), 0},
		{"cut to an empty package", join(header, p[0], p[1][:32]), 0},
		{"one byte less", join(header, p[0], p[1], p[2], p[3][:len(p[3])-1]), 0},
		{"one byte more", join(header, p[0], p[1], p[2], p[3], []byte{0}), 0},
		{"a final package more", join(header, p[0], p[1], p[2], p[3], p[3]), 0},
		{"a first package more", join(header, p[0], p[1], p[2], p[3], p[0]), 0},
		{"another blob's end more", join(header, p[0], p[1], p[2], p[3], short[0]), 0},
		{"final flag off", join(header, p[0], p[1], p[2], notFinal(p[3])), 0},
		{"final flag early", join(header, p[0], final(p[1]), p[2], p[3]), 1},
		{"first two swapped", join(header, p[1], p[0], p[2], p[3]), 0},
		{"middle two swapped", join(header, p[0], p[2], p[1], p[3]), 1},
		{"last two swapped", join(header, p[0], p[1], p[3], p[2]), 0},
		{"one twice", join(header, p[0], p[0], p[2], p[3]), 1},
		{"one missing", join(header, p[0], p[2], p[3]), 0},
		{"another's middle", join(header, p[0], p[1], q[2], p[3]), 2},
		{"another's end", join(header, p[0], p[1], p[2], q[3]), 0},
		{"another's header", join(header2, p...), 0},
	} {
		got, err := read(s, key, h, plant(t, dir, c.bytes))
		if !errors.Is(err, blob.ErrDamaged) || !bytes.Equal(got, plain[:c.good*chunk]) {
			t.Errorf("%s: %d bytes, want %d; %v", c.name, len(got), c.good*chunk, err)
		}
	}
	// Here any byte may stand where a package's version is looked for.
	both := append(join(header, p...), join(header2, q...)...)
	if got, err := read(s, key, h, plant(t, dir, both)); len(got) != 0 || !typed(err) {
		t.Errorf("both, one after the other: %d bytes, %v", len(got), err)
	}
}

func withFlag(pkg []byte, f byte) []byte {
	pkg = slices.Clone(pkg)
	pkg[4] = pkg[4]&0x7f | f
	return pkg
}

// DARE alone takes the last packages for a whole stream when their nonces are
// shifted by the number of those dropped. The nonce that the header fixes
// refuses it.
func TestShiftedNonce(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	plain := random(4 * chunk)
	header, p := parts(t, s, dir, plain)
	shift := func(pkg []byte, by uint32) []byte {
		pkg = slices.Clone(pkg)
		binary.LittleEndian.PutUint32(pkg[12:], binary.LittleEndian.Uint32(pkg[12:])^by)
		return pkg
	}
	tail := join(nil, shift(p[2], 2), shift(p[3], 2))
	salt := [32]byte(header[len(header)-len(h.Class)-1-32:])
	object, err := key.Object(salt, header)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	config := sio.Config{MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}, Key: object[:]}
	if _, err := sio.Decrypt(&out, bytes.NewReader(tail), config); err != nil || !bytes.Equal(out.Bytes(), plain[2*chunk:]) {
		t.Fatalf("the attack is none: %v", err)
	}
	if got, err := read(s, key, h, plant(t, dir, join(header, tail))); len(got) != 0 || !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("%d bytes of the tail pass for the whole: %v", len(got), err)
	}
}

// Streams that are valid under the right key, of a version or cipher that is
// not ours, and headers of a format to come.
func TestDowngrade(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	header, p := parts(t, s, dir, random(100))
	object, err := key.Object([32]byte(header[len(header)-len(h.Class)-1-32:]), header)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []sio.Config{
		{MinVersion: sio.Version10, MaxVersion: sio.Version10, CipherSuites: []byte{sio.AES_256_GCM}},
		{MinVersion: sio.Version20, MaxVersion: sio.Version20, CipherSuites: []byte{sio.CHACHA20_POLY1305}},
	} {
		c.Key = object[:]
		var out bytes.Buffer
		if _, err := sio.Encrypt(&out, bytes.NewReader(random(100)), c); err != nil {
			t.Fatal(err)
		}
		if got, err := read(s, key, h, plant(t, dir, join(header, out.Bytes()))); len(got) != 0 || !errors.Is(err, blob.ErrVersion) {
			t.Errorf("DARE %#x, cipher %d: %d bytes, %v", c.MaxVersion, c.CipherSuites[0], len(got), err)
		}
	}
	for _, at := range []int{0, 1} {
		pkg := slices.Clone(p[0])
		pkg[at] = []byte{sio.Version10, sio.CHACHA20_POLY1305}[at]
		if got, err := read(s, key, h, plant(t, dir, join(header, pkg))); len(got) != 0 || !errors.Is(err, blob.ErrVersion) {
			t.Errorf("package byte %d: %d bytes, %v", at, len(got), err)
		}
	}
	later := slices.Clone(header)
	later[6] = 2
	if _, err := read(s, key, h, plant(t, dir, join(later, p...))); !errors.Is(err, blob.ErrVersion) {
		t.Errorf("format 2: %v", err)
	}
}

// A blob is readable as what it was put, and as nothing else, even when its
// header is rewritten to say so.
func TestMoved(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	header, p := parts(t, s, dir, []byte("alice's passport"))
	name := plant(t, dir, join(header, p...))
	for what, change := range map[string]func(*blob.Header){
		"tenant":      func(h *blob.Header) { h.Tenant = "ten_b" },
		"subject":     func(h *blob.Header) { h.Subject = "sub_bobby" },
		"object":      func(h *blob.Header) { h.Object = "evd_2" },
		"key id":      func(h *blob.Header) { h.KeyID = "key_8" },
		"key version": func(h *blob.Header) { h.KeyVersion = 4 },
		"class":       func(h *blob.Header) { h.Class = "image/webp" },
	} {
		other := h
		change(&other)
		got, err := read(s, key, other, name)
		if len(got) != 0 || !errors.Is(err, blob.ErrHeader) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), h.Tenant) || strings.Contains(err.Error(), h.Subject)) {
			t.Errorf("%s: the message names whose it is: %v", what, err)
		}
		// The texts have equal lengths, so the header can be rewritten in place.
		forged := rewrite(t, s, dir, other, header)
		if got, err := read(s, key, other, plant(t, dir, join(forged, p...))); len(got) != 0 || !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s, rewritten: %q, %v", what, got, err)
		}
		plant(t, dir, join(header, p...))
	}
	if got, err := read(s, ownerKey{2}, h, name); len(got) != 0 || !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("another's key: %q, %v", got, err)
	}
	if got, err := read(s, noKey{}, h, name); len(got) != 0 || !errors.Is(err, errNoKey) {
		t.Errorf("no key: %q, %v", got, err)
	}
}

// rewrite gives h's header with the salt of another of the same shape.
func rewrite(t *testing.T, s *blob.Store, dir string, h blob.Header, old []byte) []byte {
	t.Helper()
	key, _ := alice()
	ref, err := s.Put(context.Background(), key, h, strings.NewReader("x"), 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file(dir, ref.Name))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(ref.Name); err != nil {
		t.Fatal(err)
	}
	b = b[:len(old)]
	at := len(old) - len(h.Class) - 1 - 32
	copy(b[at:at+32], old[at:])
	return b
}

// Bytes that go after Open has seen them.
func TestShrinksWhileRead(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	plain := random(3 * chunk)
	ref := put(t, s, plain)
	r, err := s.Open(context.Background(), key, h, ref.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(file(dir, ref.Name), ref.Stored-sealed-100); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if !errors.Is(err, blob.ErrDamaged) || !bytes.Equal(got, plain[:chunk]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestNoFile(t *testing.T) {
	s, dir := empty(t, blob.Config{})
	key, h := alice()
	name := strings.Repeat("cd", 32)
	if err := os.MkdirAll(file(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := read(s, key, h, name); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}
	if _, ok, err := s.Exists(name); ok || err != nil {
		t.Errorf("a folder exists as a blob: %v", err)
	}
}

func FuzzStored(f *testing.F) {
	s, dir := empty(f, blob.Config{Rand: bytes.NewReader(make([]byte, 1<<10))})
	key, h := alice()
	known := map[string]bool{}
	for _, plain := range []string{"x", "a small secret", strings.Repeat("c", chunk+1)} {
		header, p := parts(f, s, dir, []byte(plain))
		known[plain] = true
		f.Add(join(header, p...))
		f.Add(join(header, p[len(p)-1]))
		f.Add(join(header, p[0][:len(p[0])-1]))
	}
	f.Add([]byte("GHBLOB\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := plant(t, dir, b)
		r, err := s.Open(context.Background(), key, h, name)
		if err != nil {
			if !typed(err) {
				t.Fatalf("%v", err)
			}
			return
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		switch {
		case err == nil && !known[string(got)], err == nil && int64(len(got)) != r.Size():
			t.Fatalf("%d bytes that nobody put", len(got))
		case err != nil && !typed(err):
			t.Fatal(fmt.Errorf("after %d bytes: %w", len(got), err))
		}
	})
}
