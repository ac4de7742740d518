package keys

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
)

// Shares and key files have one text form: a prefix, then base32 (RFC 4648,
// lower case, unpadded) of
//
//	slot 8 | threshold 1 | index 1 | secret 32 | checksum 4
//
// in groups of eight. Threshold and index are 0 in a key file. The checksum is
// the head of SHA-256(prefix ‖ the fields before): it tells a mistyped share
// (1 in 2^32 passes) from one of another split.
const (
	sharePrefix = "ghs1-"
	filePrefix  = "ghf1-"

	checksumSize = 4
	textSize     = slotIDSize + 1 + 1 + keySize + checksumSize
	// maxText has room for the 74 letters, the prefix, and generous spacing.
	maxText = 256
)

var letters = base32.StdEncoding.WithPadding(base32.NoPadding)

// share is one point of a split secret, or with threshold 0 a key file's secret.
type share struct {
	slot             [slotIDSize]byte
	threshold, index byte
	secret           key
}

func (s *share) text(prefix string) string {
	b := make([]byte, 0, textSize)
	b = append(b, s.slot[:]...)
	b = append(b, s.threshold, s.index)
	b = append(b, s.secret[:]...)
	b = append(b, checksum(prefix, b)...)
	t := strings.ToLower(letters.EncodeToString(b))
	clear(b)
	var out strings.Builder
	out.WriteString(prefix)
	for i := 0; i < len(t); i += 8 {
		if i > 0 {
			out.WriteByte('-')
		}
		out.WriteString(t[i:min(i+8, len(t))])
	}
	return out.String()
}

// parseText reads what text wrote, in either case and with any spacing. Its
// errors say what is wrong, never what was read.
func parseText(prefix, text string) (*share, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("text of %d characters %w of %d", len(text), ErrLimit, maxText)
	}
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(text)), prefix)
	if !ok {
		return nil, fmt.Errorf("text that does not start with %s %w", prefix, ErrFormat)
	}
	rest = strings.Map(func(r rune) rune {
		if strings.ContainsRune("- \t\r\n", r) {
			return -1
		}
		return r
	}, rest)
	b, err := letters.DecodeString(strings.ToUpper(rest))
	if err != nil || len(b) != textSize {
		return nil, fmt.Errorf("text of %d letters %w: %d from a–z and 2–7 are needed", len(rest), ErrFormat, letters.EncodedLen(textSize))
	}
	defer clear(b)
	body := b[:textSize-checksumSize]
	if string(checksum(prefix, body)) != string(b[len(body):]) {
		return nil, fmt.Errorf("text with a wrong checksum %w", ErrFormat)
	}
	s := &share{threshold: body[slotIDSize], index: body[slotIDSize+1]}
	copy(s.slot[:], body)
	copy(s.secret[:], body[slotIDSize+2:])
	return s, nil
}

func checksum(prefix string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(prefix))
	h.Write(body)
	return h.Sum(nil)[:checksumSize]
}
