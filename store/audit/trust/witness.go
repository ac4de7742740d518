package trust

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
)

// Witness cosigns checkpoints (C2SP tlog-cosignature, cosignature/v1): each line
// says that at its time this was the largest tree of the log that the witness
// had seen, and that it extended all before it. The caller must know that.
type Witness struct {
	public  publicKey
	private ed25519.PrivateKey
}

// NewWitness makes a key. The name is best a domain with a path, without
// "https://". skey is secret.
func NewWitness(name string, rand io.Reader) (skey, vkey string, err error) {
	if !validName(name) {
		return "", "", fmt.Errorf("%w: its name %.80q must have 1 to %d visible characters, no space and no plus", ErrWitness, name, maxName)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return "", "", fmt.Errorf("making the key of a witness: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	k := newPublicKey(witnessKind, name, private.Public().(ed25519.PublicKey))
	return "PRIVATE+KEY+" + k.id() + "+" + base64.StdEncoding.EncodeToString(k.kind.bytes(seed)), k.vkey(), nil
}

// ParseWitness reads the skey of NewWitness.
func ParseWitness(skey string) (*Witness, error) {
	k, private, err := parseSkey(skey, witnessKind)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWitness, err)
	}
	return &Witness{k, private}, nil
}

// Vkey is the public key that a policy's witness line has.
func (w *Witness) Vkey() string { return w.public.vkey() }

// Cosign gives the checkpoint with the witness's line at its end, in place of an
// earlier one of this key.
func (w *Witness) Cosign(checkpoint []byte, at time.Time) ([]byte, error) {
	if _, err := audit.ParseCheckpoint(checkpoint); err != nil {
		return nil, err
	}
	seconds := at.Unix()
	if seconds < 0 || seconds > maxSeconds {
		return nil, fmt.Errorf("%w: it cannot bear the time %v", ErrLine, at)
	}
	n, err := unverified(checkpoint)
	if err != nil {
		return nil, err
	}
	return sign(n, cosigner{w, uint64(seconds)})
}

// cosigner is a witness at one time, as a note.Signer.
type cosigner struct {
	*Witness
	at uint64
}

func (c cosigner) Name() string    { return c.public.name }
func (c cosigner) KeyHash() uint32 { return c.public.hash }

func (c cosigner) Sign(msg []byte) ([]byte, error) {
	return append(binary.BigEndian.AppendUint64(nil, c.at), ed25519.Sign(c.private, statement(c.at, msg))...), nil
}

// VerifyCosignature gives when the witness with this key cosigned a checkpoint.
func VerifyCosignature(vkey string, checkpoint []byte) (time.Time, error) {
	k, err := parseVkey(vkey, witnessKind)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrWitness, err)
	}
	if _, err := audit.ParseCheckpoint(checkpoint); err != nil {
		return time.Time{}, err
	}
	n, err := note.Open(checkpoint, note.VerifierList(k))
	var wrong *note.InvalidSignatureError
	switch {
	case errors.As(err, &wrong):
		return time.Time{}, fmt.Errorf("%w: %s", ErrSignature, k.id())
	case err != nil: // nobody known has signed
		return time.Time{}, fmt.Errorf("%w: %s has not cosigned it", ErrUnknownKey, k.id())
	}
	return cosignedAt(n.Sigs[0])
}

// CosignatureLine reads a cosignature's line, with or without its line end. It
// verifies nothing.
func CosignatureLine(line string) (name string, hash uint32, at time.Time, err error) {
	s, err := parseLine(line)
	if err != nil {
		return "", 0, time.Time{}, err
	}
	at, err = cosignedAt(s)
	return s.Name, s.Hash, at, err
}

// maxSeconds is the last second that RFC 3339 can write, in the year 9999.
const maxSeconds = 253402300799

// statement is what a witness signs.
func statement(at uint64, text []byte) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}

// splitCosignature reads a timestamped_signature.
func splitCosignature(b []byte) (at uint64, sig []byte, err error) {
	if len(b) != 8+ed25519.SignatureSize {
		return 0, nil, fmt.Errorf("%w of an Ed25519 witness: %d bytes", ErrLine, len(b))
	}
	if at = binary.BigEndian.Uint64(b); at > maxSeconds {
		return 0, nil, fmt.Errorf("%w: its time lies after the year 9999", ErrLine)
	}
	return at, b[8:], nil
}

func cosignedAt(s note.Signature) (time.Time, error) {
	b, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(b) < 4 {
		return time.Time{}, fmt.Errorf("%w: its base64 is wrong", ErrLine)
	}
	at, _, err := splitCosignature(b[4:]) // after the key's hash
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(at), 0).UTC(), nil
}

// LineOf gives the line that the witness with this key has under a checkpoint.
// It verifies nothing.
func LineOf(vkey string, checkpoint []byte) (string, error) {
	k, err := parseVkey(vkey, witnessKind)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrWitness, err)
	}
	n, err := unverified(checkpoint)
	if err != nil {
		return "", err
	}
	s := signature(n.UnverifiedSigs, &k)
	if s == nil {
		return "", fmt.Errorf("%w: %s has not cosigned it", ErrUnknownKey, k.id())
	}
	return "— " + s.Name + " " + s.Base64, nil
}
