package blob

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/minio/sio"
)

// Sizes of DARE 2.0 packages (github.com/minio/sio, DARE.md).
const (
	payloadSize = 64 << 10
	dareHeader  = 16
	dareTag     = 16
	packageSize = dareHeader + payloadSize + dareTag
	// 2^32 packages: the sequence number has 32 bits.
	maxObject = 1 << 48
)

// cipher is how the packages of one object are sealed.
type cipher struct {
	key   [32]byte
	nonce [12]byte
}

// newCipher derives the key. The nonce is the start of the salt, not a random
// one of DARE's own: DARE binds a package to (nonce XOR sequence number) only,
// so with a free nonce the last two packages of four, their nonces shifted, pass
// for the whole.
func newCipher(key Key, salt [saltSize]byte, header []byte) (*cipher, error) {
	k, err := key.Object(salt, header)
	if err != nil {
		return nil, fmt.Errorf("deriving the object's key: %w", err)
	}
	return &cipher{key: k, nonce: [12]byte(salt[:])}, nil
}

// config is for a stream that begins at package first. Without the versions sio
// would also read DARE 1.0, which may be cut short unseen.
func (c *cipher) config(first int64) sio.Config {
	return sio.Config{
		MinVersion:     sio.Version20,
		MaxVersion:     sio.Version20,
		CipherSuites:   []byte{sio.AES_256_GCM},
		Key:            c.key[:],
		Nonce:          &c.nonce,
		SequenceNumber: uint32(first),
	}
}

// open decrypts package i into plain, which has exactly the payload's length.
// Each package's header is known beforehand: any other is refused unopened.
func (c *cipher) open(plain, sealed []byte, i int64, last bool) error {
	if sealed[0] == sio.Version10 || sealed[0] == sio.Version20 && sealed[1] == sio.CHACHA20_POLY1305 {
		return fmt.Errorf("%w: package %d is not DARE 2.0 with AES-256-GCM", ErrVersion, i)
	}
	want := [dareHeader]byte{sio.Version20, sio.AES_256_GCM}
	binary.LittleEndian.PutUint16(want[2:], uint16(len(plain)-1))
	copy(want[4:], c.nonce[:])
	want[4] &^= 0x80 // the final package's flag
	if last {
		want[4] |= 0x80
	}
	if !bytes.Equal(sealed[:dareHeader], want[:]) {
		return fmt.Errorf("%w: package %d belongs elsewhere", ErrDamaged, i)
	}
	r, err := sio.DecryptReader(bytes.NewReader(sealed), c.config(i))
	if err != nil {
		return fmt.Errorf("%w: package %d: %w", ErrDamaged, i, err)
	}
	if _, err := io.ReadFull(r, plain); err != nil {
		return fmt.Errorf("%w: package %d: %w", ErrDamaged, i, err)
	}
	// One read more gives sio its buffer back, and says what it holds for the
	// end of the stream.
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, io.EOF) != last {
		return fmt.Errorf("%w: package %d does not end as it must", ErrDamaged, i)
	}
	return nil
}
