package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const keySize = 32 // AES-256, and the output of SHA-256

// key is only ever the input of HKDF: each use has its own derived key.
type key [keySize]byte

// A record is what one key seals:
//
//	format 1 | algorithm 1 | recipe 1 | key id 8 | key version 4 | nonce 12 | ciphertext | tag 16
//
// Additional data is the header (the first 15 bytes), then each part of the
// recipe with its length in 4 bytes, so that no two lists of parts look alike.
const (
	recordFormat = 1
	algAES256GCM = 1

	idSize     = 8
	headerSize = 1 + 1 + 1 + idSize + 4
	// overhead adds GCM's nonce and tag (SP 800-38D, 12 and 16 bytes).
	overhead = headerSize + 12 + 16
	// wrappedSize is a record that holds one key.
	wrappedSize = overhead + keySize
	// maxField is the most that one record holds outside the key-ring: a
	// command, which carries it, has at most 256 KiB. Bulk goes to blobs.
	maxField = 256 << 10
)

// recipe says which key seals, under which derivation, and which parts make
// the additional data. Numbers are never used again for something else.
type recipe uint8

const (
	slotRecipe         recipe = 1 // root key; parts: cluster, slot, kind
	keyringRecipe      recipe = 2 // the key-ring; parts: cluster
	signingRecipe      recipe = 3 // Ed25519 seed; parts: cluster, id
	tenantRecipe       recipe = 4 // tenant key; parts: cluster, tenant
	erasureRecipe      recipe = 5 // erasure key; parts: tenant, shard, epoch
	subjectRecipe      recipe = 6 // subject key; parts: tenant, subject, shard; version: epoch
	tenantFieldRecipe  recipe = 7 // a tenant's value; parts: tenant, then the Place
	subjectFieldRecipe recipe = 8 // a subject's value; parts: tenant, subject, then the Place
	clusterFieldRecipe recipe = 9 // the cluster's value; parts: cluster, then the Place
)

// label is the HKDF info of the recipe's key, or "" for an unknown recipe.
func (r recipe) label() string {
	switch r {
	case slotRecipe:
		return "gatehouse/slot/wrap/1"
	case keyringRecipe:
		return "gatehouse/root/keyring/1"
	case signingRecipe:
		return "gatehouse/ring/log-signing/1"
	case tenantRecipe:
		return "gatehouse/ring/wrap/1"
	case erasureRecipe:
		return "gatehouse/tenant/wrap/1"
	case subjectRecipe:
		return "gatehouse/erasure/wrap/1"
	case tenantFieldRecipe:
		return "gatehouse/tenant/field/1"
	case subjectFieldRecipe:
		return "gatehouse/subject/field/1"
	case clusterFieldRecipe:
		return "gatehouse/ring/field/1"
	}
	return ""
}

// derive fills the sealing key of a recipe and the id that records carry. The
// id comes from the key itself, so that a record commits to its key (GCM alone
// does not) and a wrong key is told from altered bytes.
func (k *key) derive(r recipe) (sealing key, id [idSize]byte, err error) {
	out, err := hkdf.Key(sha256.New, k[:], nil, r.label(), keySize+idSize)
	if err != nil {
		return key{}, id, err
	}
	copy(sealing[:], out)
	copy(id[:], out[keySize:])
	clear(out)
	return sealing, id, nil
}

func (k *key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal makes a record. version is that of k.
func (k *key) seal(r recipe, version uint32, plaintext []byte, parts ...string) ([]byte, error) {
	sealing, id, err := k.derive(r)
	if err != nil {
		return nil, err
	}
	defer clear(sealing[:])
	gcm, err := sealing.aead()
	if err != nil {
		return nil, err
	}
	record := make([]byte, 0, overhead+len(plaintext))
	record = append(record, recordFormat, algAES256GCM, byte(r))
	record = append(record, id[:]...)
	record = binary.BigEndian.AppendUint32(record, version)
	return gcm.Seal(record, nil, plaintext, additional(record, parts)), nil
}

// open gives back the plaintext of a record, or none of it.
func (k *key) open(r recipe, record []byte, parts ...string) ([]byte, error) {
	h, err := parseHeader(record)
	if err != nil {
		return nil, err
	}
	if h.recipe != r {
		return nil, fmt.Errorf("record of kind %d, not %d: %w", h.recipe, r, ErrAltered)
	}
	sealing, id, err := k.derive(r)
	if err != nil {
		return nil, err
	}
	defer clear(sealing[:])
	if !bytes.Equal(id[:], h.id[:]) { // ids are no secrets
		return nil, fmt.Errorf("record %w", ErrOtherKey)
	}
	gcm, err := sealing.aead()
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, nil, record[headerSize:], additional(record[:headerSize], parts))
	if err != nil {
		return nil, fmt.Errorf("record %w", ErrAltered)
	}
	return plaintext, nil
}

// openKey is open for a record that holds a key.
func (k *key) openKey(into *key, r recipe, record []byte, parts ...string) error {
	if len(record) != wrappedSize {
		return fmt.Errorf("wrapped key of %d bytes %w: %d are needed", len(record), ErrFormat, wrappedSize)
	}
	plaintext, err := k.open(r, record, parts...)
	if err != nil {
		return err
	}
	copy(into[:], plaintext)
	clear(plaintext)
	return nil
}

type header struct {
	recipe  recipe
	id      [idSize]byte
	version uint32
}

func parseHeader(record []byte) (header, error) {
	if len(record) < overhead {
		return header{}, fmt.Errorf("record of %d bytes %w: at least %d are needed", len(record), ErrFormat, overhead)
	}
	if record[0] != recordFormat || record[1] != algAES256GCM || recipe(record[2]).label() == "" {
		return header{}, fmt.Errorf("record (format %d, algorithm %d, recipe %d) %w", record[0], record[1], record[2], ErrFormat)
	}
	h := header{recipe: recipe(record[2]), version: binary.BigEndian.Uint32(record[3+idSize:])}
	copy(h.id[:], record[3:])
	return h, nil
}

func additional(header []byte, parts []string) []byte {
	n := len(header)
	for _, p := range parts {
		n += 4 + len(p)
	}
	data := append(make([]byte, 0, n), header...)
	for _, p := range parts {
		data = binary.BigEndian.AppendUint32(data, uint32(len(p)))
		data = append(data, p...)
	}
	return data
}
