package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"testing"
)

// typed fails for an error that a caller could not tell from others.
func typed(t *testing.T, err error) {
	t.Helper()
	for _, e := range []error{ErrFormat, ErrLimit, ErrName, ErrCluster, ErrAltered, ErrOtherKey} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Fatalf("untyped: %v", err)
}

func read(f *testing.F, name string) []byte {
	f.Helper()
	data, err := os.ReadFile("testdata/v1/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

func FuzzSealFile(f *testing.F) {
	whole := read(f, "seal.json")
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(bytes.Replace(whole, []byte("65536"), []byte("4294967295"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSeal(data)
		if err != nil {
			typed(t, err)
			return
		}
		for _, sl := range s.Slots {
			if len(sl.Wrapped) != wrappedSize || sl.Kind == Passphrase && sl.Argon2id.MemoryKiB > maxArgonMemoryKiB {
				t.Fatalf("accepted %+v", sl)
			}
		}
	})
}

func FuzzKeyring(f *testing.F) {
	whole := read(f, "keyring")
	f.Add(whole)
	f.Add(read(f, "keyring-overlap"))
	f.Add(whole[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := parseKeyring(data, "clu_test")
		if err != nil {
			typed(t, err)
			return
		}
		var k key
		if _, err := k.open(keyringRecipe, record, "clu_test"); err == nil {
			t.Fatal("opened without the root key")
		} else {
			typed(t, err)
		}
	})
}

// What decodes is encoded to the same bytes: nothing in it was overlooked.
func FuzzRing(f *testing.F) {
	p, err := newPage()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(p.wipe)
	record := bytes.Repeat([]byte{7}, wrappedSize)
	e := &erasures{3: {{1, destroyed, nil}, {2, decryptOnly, record}, {3, active, record}}}
	r := &ring{
		serial: 5,
		keys:   []ringKey{{1, decryptOnly, 10}, {2, active, 11}},
		signing: []signingKey{
			{id: 1, state: destroyed, created: 10, public: [32]byte{1}},
			{id: 2, state: decryptOnly, created: 11, public: [32]byte{2}, record: record},
			{id: 3, state: active, created: 12, public: [32]byte{3}, record: record},
		},
		tenants: map[string]*erasures{"ten_a": e, "ten_b": {}},
	}
	whole := r.encode(p)
	if len(whole) != r.size() {
		f.Fatalf("%d bytes, size %d", len(whole), r.size())
	}
	if _, err := decodeRing(whole, p); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for _, at := range []int{0, 9, 14, 110, 200, len(whole) - 1} {
		f.Add(whole[:at])
		other := bytes.Clone(whole)
		other[at] ^= 0xff
		f.Add(other)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := newPage()
		if err != nil {
			t.Fatal(err)
		}
		defer p.wipe()
		r, err := decodeRing(data, p)
		if err != nil {
			typed(t, err)
			return
		}
		if again := r.encode(p); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

// vector is "value" for the parts "a" and "b", under recipe 8 and the key 1, 0 …
const vector = "010108404a193fe816443f000000016e24b855c2ea08aeee47c6d2dc7761440ae690a498a910a04a9ba3a729b6591cfe"

func FuzzRecord(f *testing.F) {
	k := key{1}
	good, err := hex.DecodeString(vector)
	if err != nil {
		f.Fatal(err)
	}
	if plaintext, err := k.open(subjectFieldRecipe, good, "a", "b"); string(plaintext) != "value" {
		f.Fatalf("the vector: %q, %v", plaintext, err)
	}
	f.Add(good)
	f.Add(good[:overhead])
	f.Fuzz(func(t *testing.T, data []byte) {
		plaintext, err := k.open(subjectFieldRecipe, data, "a", "b")
		switch {
		case err != nil && plaintext == nil:
			typed(t, err)
		case err != nil || !bytes.Equal(data, good):
			t.Fatalf("%x opened: %q, %v", data, plaintext, err)
		}
	})
}

func FuzzText(f *testing.F) {
	s := share{slot: [slotIDSize]byte{1, 2}, threshold: 2, index: 9, secret: key{3}}
	f.Add(s.text(sharePrefix))
	f.Add(s.text(filePrefix))
	f.Add("GHS1- ")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseText(sharePrefix, text)
		if err != nil {
			typed(t, err)
			return
		}
		again, err := parseText(sharePrefix, s.text(sharePrefix))
		if err != nil || *again != *s {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
