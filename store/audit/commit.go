package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// commitmentContext separates these commitments from every other HMAC, and
// versions them.
const commitmentContext = "gatehouse/pii/1"

// Commitment stands in a leaf for a personal value. Without its opening it says
// nothing about the value; with it, it can stand for no other.
type Commitment [sha256.Size]byte

// MarshalText gives lower-case hexadecimal digits, as a leaf has them.
func (c Commitment) MarshalText() ([]byte, error) {
	return hex.AppendEncode(nil, c[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (c *Commitment) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(c)) {
		return fmt.Errorf("%w: a commitment has %d hexadecimal digits", ErrLeaf, hex.EncodedLen(len(c)))
	}
	_, err := hex.Decode(c[:], b)
	return err
}

// Opening shows what a commitment stands for. It is kept under the subject's
// key and dies with it.
type Opening struct {
	Field string
	Value string
	R     [32]byte // random, for this value of this event alone
}

// Commit makes the commitment: HMAC-SHA256 under R of context, tenant, field and
// value, each with its length. An opening whose R was never set is refused: its
// value could be guessed.
func (o Opening) Commit(tenant string) (Commitment, error) {
	if o.R == [32]byte{} {
		return Commitment{}, fmt.Errorf("%w: fill R from a random source for each value", ErrOpening)
	}
	mac := hmac.New(sha256.New, o.R[:])
	mac.Write([]byte(commitmentContext))
	for _, s := range []string{tenant, o.Field, o.Value} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		mac.Write(n[:])
		mac.Write([]byte(s))
	}
	return Commitment(mac.Sum(nil)), nil
}

// Opens tells whether c was made from this opening.
func (o Opening) Opens(tenant string, c Commitment) bool {
	made, err := o.Commit(tenant)
	return err == nil && hmac.Equal(made[:], c[:])
}
