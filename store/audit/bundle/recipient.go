package bundle

import (
	"crypto/hpke"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// One suite of RFC 9180. What a bundle discloses is kept for years by others, so
// the key is agreed on by ML-KEM-768 and X25519 together: whoever keeps a copy
// until a quantum computer comes still has to break both.
func kem() hpke.KEM   { return hpke.MLKEM768X25519() }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

const (
	publicPrefix = "gatehouse-hpke-public-1:"
	secretPrefix = "gatehouse-hpke-secret-1:"
	// seedSize of a secret key: both parts are derived from it.
	seedSize = 32
	// maxKeyText: a public key has 1,216 bytes.
	maxKeyText = 2048
)

// Recipient is the public key of who may read the disclosures of a bundle.
type Recipient struct{ key hpke.PublicKey }

// Secret is the key that reads them. Whoever has it sees personal data.
type Secret struct{ key hpke.PrivateKey }

// NewSecret makes a key from a random source.
func NewSecret(rand io.Reader) (*Secret, error) {
	seed := make([]byte, seedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("a key for disclosures: %w", err)
	}
	return secretOf(seed)
}

func secretOf(seed []byte) (*Secret, error) {
	k, err := kem().NewPrivateKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Secret{k}, nil
}

// Recipient is the key to give to the exporter.
func (s *Secret) Recipient() *Recipient { return &Recipient{s.key.PublicKey()} }

// Text is the secret key itself, for a file that only its owner reads.
func (s *Secret) Text() (string, error) {
	seed, err := s.key.Bytes()
	return secretPrefix + base64.StdEncoding.EncodeToString(seed), err
}

// String is the public key as text.
func (r *Recipient) String() string {
	return publicPrefix + base64.StdEncoding.EncodeToString(r.key.Bytes())
}

// ParseSecret reads what Text gives.
func ParseSecret(text string) (*Secret, error) {
	seed, err := keyBytes(text, secretPrefix)
	if err != nil {
		return nil, err
	}
	if len(seed) != seedSize {
		return nil, fmt.Errorf("%w: a secret key has %d bytes", ErrKey, seedSize)
	}
	return secretOf(seed)
}

// ParseRecipient reads what Recipient.String gives.
func ParseRecipient(text string) (*Recipient, error) {
	b, err := keyBytes(text, publicPrefix)
	if err != nil {
		return nil, err
	}
	k, err := kem().NewPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Recipient{k}, nil
}

// keyBytes never quotes the text: it may be a secret.
func keyBytes(text, prefix string) ([]byte, error) {
	text = strings.TrimSpace(text)
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok || len(text) > maxKeyText {
		return nil, fmt.Errorf("%w: it begins with %s", ErrKey, prefix)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || base64.StdEncoding.EncodeToString(b) != encoded {
		return nil, fmt.Errorf("%w: what follows %s is not base64", ErrKey, prefix)
	}
	return b, nil
}
