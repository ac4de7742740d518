package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint bytes: a log has a handful of signatures and cosignatures, and
// the longest kind (ML-DSA-44, 2,420 bytes before base64) fits sixteen times.
const MaxCheckpoint = 64 << 10

// Checkpoint is a signed tree head (C2SP tlog-checkpoint, no extension lines).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	// Signatures that were verified: the log's and its cosigners'.
	Signatures []note.Signature
}

// Text is what is signed: three lines.
func (c *Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseCheckpoint reads a checkpoint and verifies no signature: what it gives
// may be compared, never trusted.
func ParseCheckpoint(b []byte) (*Checkpoint, error) {
	return openCheckpoint(b, note.VerifierList())
}

// VerifyCheckpoint reads a checkpoint of the log origin. A key of that name among
// known must have signed it; every signature by a known key must hold; those of
// unknown keys are ignored.
func VerifyCheckpoint(b []byte, origin string, known note.Verifiers) (*Checkpoint, error) {
	c, err := openCheckpoint(b, known)
	if err != nil {
		return nil, err
	}
	if c.Origin != origin {
		return nil, fmt.Errorf("%w: it is of the log %s, not of %s", ErrSignature, c.Origin, origin)
	}
	for _, s := range c.Signatures {
		if s.Name == origin {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %s at size %d: check that the pinned key is the log's", ErrSignature, origin, c.Size)
}

func openCheckpoint(b []byte, known note.Verifiers) (*Checkpoint, error) {
	if len(b) > MaxCheckpoint {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrCheckpoint, len(b), MaxCheckpoint)
	}
	// Read without keys first, so that a malformed note is told from a wrong
	// signature.
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(b, nil); !errors.As(err, &unverified) {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c, err := parseText(unverified.Note.Text)
	if err != nil {
		return nil, err
	}
	switch n, err := note.Open(b, known); {
	case err == nil:
		c.Signatures = n.Sigs
	case !errors.As(err, &unverified):
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return c, nil
}

func parseText(text string) (*Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[3] != "" {
		return nil, fmt.Errorf("%w: it has three lines: origin, size and root", ErrCheckpoint)
	}
	c := &Checkpoint{Origin: lines[0]}
	if _, _, _, err := ParseOrigin(c.Origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	size, sizeErr := strconv.ParseInt(lines[1], 10, 64)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	if sizeErr != nil || rootErr != nil || size < 0 || size > MaxSize || len(root) != tlog.HashSize {
		return nil, fmt.Errorf("%w: size or root cannot be read", ErrCheckpoint)
	}
	c.Size, c.Root = size, tlog.Hash(root)
	if c.Text() != text {
		return nil, fmt.Errorf("%w: size or root has another spelling", ErrCheckpoint)
	}
	if empty, err := tlog.TreeHash(0, nil); c.Size == 0 && (err != nil || c.Root != empty) {
		return nil, fmt.Errorf("%w: an empty tree has another root", ErrCheckpoint)
	}
	return c, nil
}

func sign(c *Checkpoint, keys []note.Signer) ([]byte, error) {
	b, err := note.Sign(&note.Note{Text: c.Text()}, keys...)
	if err != nil {
		return nil, fmt.Errorf("signing %s at size %d: %w", c.Origin, c.Size, err)
	}
	return b, nil
}
