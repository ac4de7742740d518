package blob_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/store/blob"
)

var update = flag.Bool("update", false, "write the golden file anew")

const golden = "testdata/format1.blob"

// goldenText fills one package and begins another.
func goldenText() []byte {
	b := make([]byte, chunk+17)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// Format 1 is a promise: the same object and salt give these bytes, and these
// bytes give the object.
func TestGolden(t *testing.T) {
	salt := make([]byte, 32)
	for i := range salt {
		salt[i] = byte(0xc0 + i)
	}
	s, dir := empty(t, blob.Config{Rand: bytes.NewReader(salt)})
	ref := put(t, s, goldenText())
	made, err := os.ReadFile(file(dir, ref.Name))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, want) {
		t.Errorf("format 1 is written otherwise than in %s", filepath.Base(golden))
	}
	key, h := alice()
	r, err := s.Open(context.Background(), key, h, plant(t, dir, want))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if got, err := read(s, key, h, plant(t, dir, want)); err != nil || !bytes.Equal(got, goldenText()) {
		t.Errorf("the golden file is not read: %v", err)
	}
}

// A reader written from docs/formats.md alone, without sio, agrees.
func TestGoldenByHand(t *testing.T) {
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	whole := b
	take := func(n int) (part []byte) { part, b = b[:n], b[n:]; return part }
	text := func() string { return string(take(int(take(1)[0]))) }
	if string(take(7)) != "GHBLOB\x01" {
		t.Fatal("magic")
	}
	var h blob.Header
	h.Tenant, h.Subject, h.Object, h.KeyID = text(), text(), text(), text()
	h.KeyVersion = binary.BigEndian.Uint32(take(4))
	salt := [32]byte(take(32))
	h.Class = text()
	owner, want := alice()
	if h != want {
		t.Fatalf("header %+v", h)
	}
	key, err := owner.Object(salt, whole[:len(whole)-len(b)])
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	for i := uint32(0); len(b) > 0; i++ {
		head := take(16)
		nonce := [12]byte(salt[:12])
		nonce[0] &= 0x7f
		if n := int(binary.LittleEndian.Uint16(head[2:])) + 1; len(b) == n+16 {
			nonce[0] |= 0x80
		}
		if head[0] != 0x20 || head[1] != 0 || !bytes.Equal(head[4:], nonce[:]) {
			t.Fatalf("package %d: header %x", i, head)
		}
		binary.LittleEndian.PutUint32(nonce[8:], binary.LittleEndian.Uint32(nonce[8:])^i)
		plain, err = gcm.Open(plain, nonce[:], take(int(binary.LittleEndian.Uint16(head[2:]))+1+16), head[:4])
		if err != nil {
			t.Fatalf("package %d: %v", i, err)
		}
	}
	if !bytes.Equal(plain, goldenText()) {
		t.Error("another text")
	}
}
