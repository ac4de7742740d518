package keys

import (
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// signer signs notes with one of the audit log's keys, which stays in the page.
type signer struct {
	store *Store
	page  *page
	id    uint32 // of the signing key
	name  string
	hash  uint32
}

// Signers sign checkpoints of the audit log with this origin: with the active
// key and, while they overlap, with the one before it. A signer is of one
// unsealing, and ends when its key is retired.
func (s *Store) Signers(origin string) ([]note.Signer, error) {
	p, all, err := s.verifiers(origin)
	if err != nil {
		return nil, err
	}
	signers := make([]note.Signer, len(all))
	for i, v := range all {
		signers[i] = &signer{store: s, page: p, id: v.id, name: origin, hash: v.KeyHash()}
	}
	return signers, nil
}

// Verifiers are the public halves of Signers, in note's text form.
func (s *Store) Verifiers(origin string) ([]string, error) {
	_, all, err := s.verifiers(origin)
	if err != nil {
		return nil, err
	}
	vkeys := make([]string, len(all))
	for i, v := range all {
		vkeys[i] = v.vkey
	}
	return vkeys, nil
}

// Verifier is the first of Verifiers: the active key's.
func (s *Store) Verifier(origin string) (string, error) {
	_, all, err := s.verifiers(origin)
	if err != nil {
		return "", err
	}
	return all[0].vkey, nil
}

type verifier struct {
	note.Verifier
	id   uint32
	vkey string
}

func (s *Store) verifiers(origin string) (*page, []verifier, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, nil, ErrSealed
	}
	var all []verifier
	for _, k := range s.ring.Load().signers() {
		var v note.Verifier
		vkey, err := note.NewEd25519VerifierKey(origin, k.public[:])
		if err == nil {
			v, err = note.NewVerifier(vkey) // refuses a name with spaces or a plus
		}
		if err != nil {
			return nil, nil, fmt.Errorf("origin %.64q %w: %v", origin, ErrName, err)
		}
		all = append(all, verifier{v, k.id, vkey})
	}
	return s.page, all, nil
}

func (g *signer) Name() string    { return g.name }
func (g *signer) KeyHash() uint32 { return g.hash }

func (g *signer) Sign(msg []byte) ([]byte, error) {
	g.store.mu.RLock()
	defer g.store.mu.RUnlock()
	if g.store.page != g.page {
		return nil, ErrSealed
	}
	for _, k := range g.store.ring.Load().signers() {
		if k.id == g.id {
			private := ed25519.NewKeyFromSeed(g.page.key(k.at)[:])
			defer clear(private)
			return ed25519.Sign(private, msg), nil
		}
	}
	return nil, ErrRetired
}
