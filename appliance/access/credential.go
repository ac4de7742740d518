// Package access says who may do what: credentials, roles, and the one table
// of routes. Everything is denied that the table does not allow.
//
// It must never keep a key that it has made, and never tell an unknown key
// from a revoked one.
package access

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"hash/crc32"
	"io"
	"strings"
)

// Prefix of every API key, so that a leaked one is found by a scanner.
const Prefix = "gh_"

// ErrKey: the text is no API key; a mistyped one is told by its checksum.
var ErrKey = errors.New("not an API key: it is gh_ and 58 letters or digits")

var keyText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewKey makes an API key of 256 random bits and a checksum, and the SHA-256
// by which it is known.
func NewKey(random io.Reader) (text string, hash [32]byte, err error) {
	b := make([]byte, 32, 36)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", hash, err
	}
	text = Prefix + keyText.EncodeToString(appendCRC(b))
	return text, sha256.Sum256([]byte(text)), nil
}

// HashKey gives the SHA-256 of an API key. Error: ErrKey.
func HashKey(text string) (hash [32]byte, err error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok || len(rest) != keyText.EncodedLen(36) {
		return hash, ErrKey
	}
	b, err := keyText.DecodeString(rest)
	// One spelling: the last letter has two bits to spare.
	if err != nil || keyText.EncodeToString(b) != rest || string(appendCRC(b[:32])) != string(b) {
		return hash, ErrKey
	}
	return sha256.Sum256([]byte(text)), nil
}

func appendCRC(b []byte) []byte {
	c := crc32.ChecksumIEEE(b)
	return append(b[:32:32], byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

// NewCode makes a one-time setup code of 130 random bits, in groups that can
// be read aloud, and the SHA-256 by which it is known.
func NewCode(random io.Reader) (text string, hash [32]byte, err error) {
	var b [26]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", hash, err
	}
	const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var t strings.Builder
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			t.WriteByte('-')
		}
		t.WriteByte(letters[c%32])
	}
	return t.String(), HashCode(t.String()), nil
}

// HashCode gives the SHA-256 of a setup code, however it was typed.
func HashCode(text string) [32]byte {
	plain := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	return sha256.Sum256([]byte(plain))
}
