// Package id makes and checks the identifiers of things that are kept: a short
// prefix that says what it names, "_", and a UUIDv7 (RFC 9562) in lower-case
// base32, so that ids sort by the time at which they were made.
//
// An id must never be made of anything that a person could be told by.
package id

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Kind of thing that an id names.
type Kind string

const (
	Tenant   Kind = "ten"
	Client   Kind = "cli"
	Subject  Kind = "sub"
	Session  Kind = "ses"
	Evidence Kind = "evd"
	Node     Kind = "nod"
	Cluster  Kind = "clu"
	Command  Kind = "cmd"
	Event    Kind = "evt"
	Request  Kind = "req"
	Block    Kind = "blk"

	Invitation Kind = "inv"
)

// Length of every id: three letters, "_", 16 bytes in base32.
const Length = 4 + 26

// ErrMalformed: the text is no id of the kind that is needed here.
var ErrMalformed = errors.New("malformed id")

// RFC 4648's alphabet for sortable text ("base32hex"), lower case.
var text = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// New makes an id. It panics where rand fails, as crypto/rand does.
func New(k Kind, now time.Time, rand io.Reader) string {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[8:]); err != nil {
		panic("id: no randomness: " + err.Error())
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	// 12 bits of the millisecond's fraction (RFC 9562, 6.2, method 3): what is
	// made one after the other sorts so.
	fraction := uint64(now.Nanosecond()%1e6) << 12 / 1e6
	b[6], b[7] = 0x70|byte(fraction>>8), byte(fraction)
	b[8] = b[8]&0x3f | 0x80
	return string(k) + "_" + text.EncodeToString(b[:])
}

// Check that s is an id of the kind.
func Check(k Kind, s string) error {
	rest, ok := strings.CutPrefix(s, string(k)+"_")
	if ok && len(s) == Length {
		if b, err := text.DecodeString(rest); err == nil && len(b) == 16 && text.EncodeToString(b) == rest {
			return nil
		}
	}
	return fmt.Errorf("%w: an id here is %s_ and 26 letters or digits", ErrMalformed, k)
}
