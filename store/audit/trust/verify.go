package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/store/audit"
)

// Verified is a checkpoint that a policy trusts.
type Verified struct {
	audit.Checkpoint
	Keys     []string   `json:"keys"` // of the log, that signed: name+hash
	Cosigned []Cosigned `json:"cosigned,omitempty"`
	// Unknown keys that signed too, or keys that do not count at this size. They
	// prove nothing.
	Unknown []string `json:"unknown,omitempty"`
}

// Cosigned says when a witness, by its name in the policy, has cosigned.
type Cosigned struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Verify reads a checkpoint of the log origin. Its errors, in this order:
// audit.ErrCheckpoint, ErrSignature, ErrUnknownKey (also where it is of another
// log), ErrQuorum. With the last it gives the checkpoint, too: the log has signed
// it, and may have contradicted itself.
func (p *Policy) Verify(b []byte, origin string) (*Verified, error) {
	c, n, keys, err := p.checkpoint(b, origin, p.witnesses())
	if err != nil {
		return nil, err
	}
	v := &Verified{Checkpoint: *c, Keys: keys, Unknown: ids(n.UnverifiedSigs)}
	v.Signatures = n.Sigs
	cosigned := map[*rule]bool{}
	for _, r := range p.rules {
		if s := signature(n.Sigs, r.key); s != nil {
			at, err := cosignedAt(*s)
			if err != nil {
				return nil, err
			}
			cosigned[r] = true
			v.Cosigned = append(v.Cosigned, Cosigned{r.name, at})
		}
	}
	if p.quorum != nil && !p.quorum.holds(cosigned) {
		return v, fmt.Errorf("%w %s at size %d: the quorum is %s, and cosigned has %s", ErrQuorum, origin, c.Size, p.quorum, names(v.Cosigned))
	}
	return v, nil
}

// VerifyNote reads a note that a key of the log origin, which counts at this
// size, has signed. The text must itself name the log and its purpose, and the
// caller must compare them: a cluster has one key for all its logs. Errors:
// ErrNote, ErrSignature, ErrUnknownKey.
func (p *Policy) VerifyNote(b []byte, origin string, size int64) (text string, keys []string, err error) {
	n, keys, err := p.open(b, origin, size, nil)
	if err != nil {
		return "", nil, err
	}
	return n.Text, keys, nil
}

// checkpoint that a key of its log has signed. The witnesses' lines must hold
// too, their number is the caller's to judge.
func (p *Policy) checkpoint(b []byte, origin string, witnesses []note.Verifier) (*audit.Checkpoint, *note.Note, []string, error) {
	c, err := audit.ParseCheckpoint(b)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.Origin != origin {
		return nil, nil, nil, fmt.Errorf("%w: it is of the log %s, not of %.300q", ErrUnknownKey, c.Origin, origin)
	}
	n, keys, err := p.open(b, origin, c.Size, witnesses)
	return c, n, keys, err
}

func (p *Policy) open(b []byte, origin string, size int64, known []note.Verifier) (*note.Note, []string, error) {
	if len(b) > audit.MaxCheckpoint {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrNote, len(b), audit.MaxCheckpoint)
	}
	var counting []publicKey
	for _, k := range p.logs {
		if k.name == origin && k.counts(size) {
			counting = append(counting, k.publicKey)
			known = append(known, k.publicKey)
		}
	}
	var (
		wrong      *note.InvalidSignatureError
		unverified *note.UnverifiedNoteError
	)
	n, err := note.Open(b, note.VerifierList(known...))
	switch {
	case errors.As(err, &wrong):
		return nil, nil, fmt.Errorf("%w: %s", ErrSignature, keyID(wrong.Name, wrong.Hash))
	case errors.As(err, &unverified):
		n = unverified.Note
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrNote, err)
	}
	var keys []string
	for _, k := range counting {
		if signature(n.Sigs, &k) != nil {
			keys = append(keys, k.id())
		}
	}
	if len(keys) == 0 {
		return nil, nil, p.unknown(origin, size, n.UnverifiedSigs)
	}
	return n, keys, nil
}

// unknown tells why none of those who signed counts.
func (p *Policy) unknown(origin string, size int64, signed []note.Signature) error {
	var pinned []string
	for _, k := range p.logs {
		if k.name != origin {
			continue
		}
		if signature(signed, &k.publicKey) != nil {
			return fmt.Errorf("%w: the key %s counts for sizes `%s` only, this is %d", ErrUnknownKey, k.id(), k.sizes(), size)
		}
		pinned = append(pinned, k.id())
	}
	if len(pinned) == 0 {
		return fmt.Errorf("%w: the policy pins no key of %.300q: add its line `log %s+…`, which `gatehouse audit trust` prints, once you have its hash from someone you trust", ErrUnknownKey, origin, origin)
	}
	return fmt.Errorf("%w: it is signed by %s, and pinned is %s", ErrUnknownKey, list(ids(signed)), list(pinned))
}

func (p *Policy) witnesses() []note.Verifier {
	var all []note.Verifier
	for _, r := range p.rules {
		if r.key != nil {
			all = append(all, *r.key)
		}
	}
	return all
}

// signature by the key, or nil.
func signature(all []note.Signature, k *publicKey) *note.Signature {
	if k == nil {
		return nil
	}
	i := slices.IndexFunc(all, func(s note.Signature) bool { return s.Name == k.name && s.Hash == k.hash })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func ids(all []note.Signature) []string {
	var list []string
	for _, s := range all {
		if id := keyID(s.Name, s.Hash); !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

func names(cosigned []Cosigned) string {
	all := make([]string, len(cosigned))
	for i, c := range cosigned {
		all[i] = c.Name
	}
	return list(all)
}

// list for a person: at most a few of what may be a hundred.
func list(all []string) string {
	const shown = 5
	switch {
	case len(all) == 0:
		return "nobody"
	case len(all) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}
