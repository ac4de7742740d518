package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// formatHashes writes a hash a line, in base64.
func formatHashes(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*hashLine)
	for _, h := range hashes {
		b = append(append(b, h.String()...), '\n')
	}
	return b
}

func parseHashes(b []byte) ([]tlog.Hash, error) {
	if len(b) > maxHashes*hashLine || len(b)%hashLine != 0 {
		return nil, fmt.Errorf("%w: it has at most %d lines of %d characters", errForm, maxHashes, hashLine-1)
	}
	hashes := make([]tlog.Hash, 0, len(b)/hashLine)
	for line := range strings.Lines(string(b)) {
		h, err := tlog.ParseHash(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%w: hash %d cannot be read", errForm, len(hashes))
		}
		hashes = append(hashes, h)
	}
	if !bytes.Equal(formatHashes(hashes), b) {
		return nil, fmt.Errorf("%w: a hash has another spelling", errForm)
	}
	return hashes, nil
}

// appendText writes a string of canonical JSON (RFC 8785, section 3.2.2.2).
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		default:
			if short := strings.IndexByte("\b\t\n\f\r", c); short >= 0 {
				b = append(b, '\\', "btnfr"[short])
			} else {
				b = hex.AppendEncode(append(b, `\u00`...), []byte{c})
			}
		}
	}
	return append(b, '"')
}

// parseLine reads JSON that encode writes, and nothing else.
func parseLine[T any](b []byte, encode func(*T) []byte) (*T, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", errForm)
	}
	var x T
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if !bytes.Equal(encode(&x), b) {
		return nil, fmt.Errorf("%w: not canonical JSON of the members that are known", errForm)
	}
	return &x, nil
}
