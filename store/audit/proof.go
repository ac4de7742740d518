package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// proofHeader is the first line (C2SP tlog-proof).
	proofHeader = "c2sp.org/tlog-proof@v1"
	// maxExtra bytes beside a proof: enough to carry the leaf itself.
	maxExtra = MaxLeaf
	// maxProofHashes: a path has no more hashes than MaxSize has bits.
	maxProofHashes = 53
	// hashLine is a hash in base64 and its line's end.
	hashLine = 45
	// maxProof bytes in a file: header, extra, index, hashes, blank line and
	// checkpoint, with 64 bytes over for the words.
	maxProof = 64 + len(proofHeader) + (maxExtra+2)/3*4 + maxProofHashes*hashLine + MaxCheckpoint
)

// Proof shows, to whoever has the leaf and the log's public key, that the leaf
// is in the log (C2SP tlog-proof, file extension .tlog-proof).
type Proof struct {
	Extra      []byte // not authenticated; left out where empty
	Index      int64  // the leaf's seq
	Hashes     []tlog.Hash
	Checkpoint []byte // verbatim
}

// Encode gives the text of the file.
func (p *Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(p.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintln(&b, h)
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads the text of the file. Nothing is proved before Verify.
func ParseProof(b []byte) (*Proof, error) {
	if len(b) > maxProof {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrProofFile, len(b), maxProof)
	}
	head, checkpoint, found := bytes.Cut(b, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || lines[0] != proofHeader {
		return nil, fmt.Errorf("%w: it begins with the line %s and has a blank line before the checkpoint", ErrProofFile, proofHeader)
	}
	lines = lines[1:]
	p := &Proof{Checkpoint: checkpoint}
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		extra, err := base64.StdEncoding.DecodeString(lines[0][len("extra "):])
		if err != nil || len(extra) > maxExtra {
			return nil, fmt.Errorf("%w: extra is base64 of at most %d bytes", ErrProofFile, maxExtra)
		}
		p.Extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 || len(lines) > 1+maxProofHashes {
		return nil, fmt.Errorf("%w: an index and at most %d hashes are needed", ErrProofFile, maxProofHashes)
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil || index < 0 || index >= MaxSize {
		return nil, fmt.Errorf("%w: the index cannot be read", ErrProofFile)
	}
	p.Index = index
	for i, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return nil, fmt.Errorf("%w: hash %d cannot be read", ErrProofFile, i)
		}
		p.Hashes = append(p.Hashes, h)
	}
	if _, err := ParseCheckpoint(checkpoint); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProofFile, err)
	}
	if !bytes.Equal(p.Encode(), b) { // one spelling: no zeros before, no other base64
		return nil, fmt.Errorf("%w: not written as the format says", ErrProofFile)
	}
	return p, nil
}

// Verify checks the checkpoint as VerifyCheckpoint does, and that its tree has
// leaf in place Index. It gives the checkpoint, whose cosignatures are the
// caller's to judge.
func (p *Proof) Verify(leaf []byte, origin string, known note.Verifiers) (*Checkpoint, error) {
	c, err := VerifyCheckpoint(p.Checkpoint, origin, known)
	if err != nil {
		return nil, err
	}
	if err := VerifyInclusion(leaf, p.Index, c.Size, p.Hashes, c.Root); err != nil {
		return nil, err
	}
	return c, nil
}
