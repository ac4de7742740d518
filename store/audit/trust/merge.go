package trust

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
)

// Merge adds signature lines to a note: the log's own first, then the others by
// name and hash, one for each key. Where two are of one key, the note's own is
// kept, then the earlier of lines. It verifies nothing: an added line that does
// not hold makes the note worthless to whoever knows its key.
func Merge(b []byte, lines ...string) ([]byte, error) {
	n, err := unverified(b)
	if err != nil {
		return nil, err
	}
	all := n.UnverifiedSigs
	for _, line := range lines {
		s, err := parseLine(line)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	log, _, _ := strings.Cut(n.Text, "\n")
	rank := func(s note.Signature) int {
		if s.Name == log {
			return 0
		}
		return 1
	}
	order := func(a, b note.Signature) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Hash, b.Hash))
	}
	slices.SortStableFunc(all, order)
	n.UnverifiedSigs = slices.CompactFunc(all, func(a, b note.Signature) bool { return order(a, b) == 0 })
	return sign(n)
}

// sign gives the bytes of a note that everybody reads.
func sign(n *note.Note, signers ...note.Signer) ([]byte, error) {
	b, err := note.Sign(n, signers...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	if _, err := unverified(b); err != nil {
		return nil, fmt.Errorf("it has too many signatures: %w", err)
	}
	return b, nil
}

// unverified reads a note without any key.
func unverified(b []byte) (*note.Note, error) {
	if len(b) > audit.MaxCheckpoint {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrNote, len(b), audit.MaxCheckpoint)
	}
	var e *note.UnverifiedNoteError
	if _, err := note.Open(b, nil); !errors.As(err, &e) {
		return nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	return e.Note, nil
}

// parseLine reads one signature line, as the only one of a note.
func parseLine(line string) (note.Signature, error) {
	line = strings.TrimSuffix(line, "\n")
	if strings.Contains(line, "\n") { // it would add lines, or text
		return note.Signature{}, fmt.Errorf("%w: it is more than one", ErrLine)
	}
	n, err := unverified([]byte("\n\n" + line + "\n"))
	if err != nil {
		return note.Signature{}, fmt.Errorf("%w: %.80q", ErrLine, line)
	}
	return n.UnverifiedSigs[0], nil
}
