package blob

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	magic  = "GHBLOB"
	format = 1

	maxText  = 255 // what one length byte can say; media types have at most 127+1+127 (RFC 6838, 4.2)
	saltSize = 32
	// The longest header: magic, format, five texts, key version, salt.
	maxHeader = len(magic) + 1 + 5*(1+maxText) + 4 + saltSize
)

// Header says whose object a blob is. It is stored in the clear and bound into
// the object's key. No text may be empty or longer than 255 bytes.
type Header struct {
	Tenant, Subject, Object string
	// KeyID and KeyVersion name the owner's key.
	KeyID      string
	KeyVersion uint32
	// Class is the media type, such as image/jpeg.
	Class string
}

// Key derives the key of one object from its owner's key; a subject of store/keys
// is one.
type Key interface {
	Object(salt [32]byte, header []byte) ([32]byte, error)
}

func (h *Header) check() error {
	for _, f := range h.texts() {
		if n := len(*f.text); n == 0 || n > maxText {
			return fmt.Errorf("%w: %s has %d bytes, 1 to %d are needed", ErrHeader, f.name, n, maxText)
		}
	}
	return nil
}

type text struct {
	name string
	text *string
}

func (h *Header) texts() [5]text {
	return [5]text{{"tenant", &h.Tenant}, {"subject", &h.Subject}, {"object", &h.Object}, {"key id", &h.KeyID}, {"class", &h.Class}}
}

// encode writes a checked header.
func (h *Header) encode(salt [saltSize]byte) []byte {
	b := append(make([]byte, 0, maxHeader), magic...)
	b = append(b, format)
	put := func(s string) { b = append(append(b, byte(len(s))), s...) }
	put(h.Tenant)
	put(h.Subject)
	put(h.Object)
	put(h.KeyID)
	b = binary.BigEndian.AppendUint32(b, h.KeyVersion)
	b = append(b, salt[:]...)
	put(h.Class)
	return b
}

// decode reads a header from the start of a blob and gives its length.
func decode(b []byte) (h Header, salt [saltSize]byte, n int, err error) {
	cut := func(n int) (part []byte) {
		if n > len(b) {
			err = io.ErrUnexpectedEOF
			return make([]byte, n) // at most maxText
		}
		part, b = b[:n], b[n:]
		return part
	}
	whole := len(b)
	get := func(s *string) { *s = string(cut(int(cut(1)[0]))) }
	if string(cut(len(magic))) != magic {
		return h, salt, 0, fmt.Errorf("%w: it does not begin as a blob", ErrDamaged)
	}
	if f := cut(1)[0]; err == nil && f != format {
		return h, salt, 0, fmt.Errorf("%w: format %d, this program reads %d", ErrVersion, f, format)
	}
	get(&h.Tenant)
	get(&h.Subject)
	get(&h.Object)
	get(&h.KeyID)
	h.KeyVersion = binary.BigEndian.Uint32(cut(4))
	copy(salt[:], cut(saltSize))
	get(&h.Class)
	if err != nil {
		return h, salt, 0, fmt.Errorf("%w: its header is cut short", ErrDamaged)
	}
	return h, salt, whole - len(b), nil
}

// same refuses the header of another object. Values stay out of the message:
// they may be another tenant's.
func (h *Header) same(stored *Header) error {
	theirs := stored.texts()
	for i, f := range h.texts() {
		if *f.text != *theirs[i].text {
			return fmt.Errorf("%w: its %s is another", ErrHeader, f.name)
		}
	}
	if h.KeyVersion != stored.KeyVersion {
		return fmt.Errorf("%w: its key version is another", ErrHeader)
	}
	return nil
}
