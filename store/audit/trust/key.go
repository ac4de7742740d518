package trust

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// kind is the signature type of C2SP signed-note.
type kind byte

const (
	logKind     kind = 1 // Ed25519 over the text
	witnessKind kind = 4 // Ed25519, cosignature/v1
)

// maxName bytes in a key's name, as C2SP tlog-cosignature has it.
const maxName = 255

// publicKey verifies signatures: it is a note.Verifier.
type publicKey struct {
	kind kind
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newPublicKey(k kind, name string, key ed25519.PublicKey) publicKey {
	sum := sha256.Sum256(append([]byte(name+"\n"), k.bytes(key)...))
	return publicKey{k, name, binary.BigEndian.Uint32(sum[:]), key}
}

// parseVkey reads NAME+HASH+BASE64 in its one spelling.
func parseVkey(vkey string, want kind) (publicKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+") // the hash is compared below
	b, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil || len(b) == 0 || !validName(name):
		return publicKey{}, fmt.Errorf("%.80q is not a key as NAME+HASH+BASE64", vkey)
	case kind(b[0]) != want:
		return publicKey{}, fmt.Errorf("%.80q is a key of type %d: of type %d (%s) is needed", vkey, b[0], want, want)
	case len(b) != 1+ed25519.PublicKeySize:
		return publicKey{}, fmt.Errorf("%.80q is damaged: it is not 32 bytes", vkey)
	}
	k := newPublicKey(want, name, b[1:])
	if k.vkey() != vkey {
		return publicKey{}, fmt.Errorf("%.80q is damaged: its hash or its spelling is wrong", vkey)
	}
	return k, nil
}

func (k kind) bytes(key []byte) []byte { return append([]byte{byte(k)}, key...) }

func (k kind) String() string {
	if k == witnessKind {
		return "Ed25519 cosignature"
	}
	return "Ed25519"
}

func (k publicKey) vkey() string {
	return k.id() + "+" + base64.StdEncoding.EncodeToString(k.kind.bytes(k.key))
}

func (k publicKey) id() string { return keyID(k.name, k.hash) }

func (k publicKey) Name() string    { return k.name }
func (k publicKey) KeyHash() uint32 { return k.hash }

func (k publicKey) Verify(msg, sig []byte) bool {
	if k.kind == witnessKind {
		at, ed, err := splitCosignature(sig)
		if err != nil {
			return false
		}
		msg, sig = statement(at, msg), ed
	}
	return ed25519.Verify(k.key, msg, sig)
}

// keyID names a key for people. The name may come from an attacker's note, so
// what turns a terminal's lines about is escaped.
func keyID(name string, hash uint32) string {
	if len(name) > maxName {
		name = name[:maxName] + "…"
	}
	if !validName(name) {
		name = strings.Trim(strconv.QuoteToASCII(name), `"`)
	}
	return fmt.Sprintf("%s+%08x", name, hash)
}

// validName is stricter than a note: no character that cannot be seen.
func validName(s string) bool {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == '+' || r == unicode.ReplacementChar }
	return s != "" && len(s) <= maxName && strings.IndexFunc(s, hidden) < 0
}

// parseSkey reads PRIVATE+KEY+NAME+HASH+BASE64, the text form of a signing key.
func parseSkey(skey string, want kind) (publicKey, ed25519.PrivateKey, error) {
	malformed := errors.New("it reads PRIVATE+KEY+NAME+HASH+BASE64") // without the secret
	f := strings.SplitN(skey, "+", 5)
	if len(f) != 5 || f[0] != "PRIVATE" || f[1] != "KEY" || !validName(f[2]) {
		return publicKey{}, nil, malformed
	}
	b, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || len(b) != 1+ed25519.SeedSize || kind(b[0]) != want {
		return publicKey{}, nil, malformed
	}
	private := ed25519.NewKeyFromSeed(b[1:])
	k := newPublicKey(want, f[2], private.Public().(ed25519.PublicKey))
	if k.id() != f[2]+"+"+f[3] {
		return publicKey{}, nil, errors.New("it is damaged: its hash is wrong")
	}
	return k, private, nil
}
