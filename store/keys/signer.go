package keys

import (
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// signer signs notes with the audit log's key, which stays in the page.
type signer struct {
	store *Store
	page  *page
	name  string
	hash  uint32
}

// Signer signs checkpoints of the audit log with this origin.
func (s *Store) Signer(origin string) (note.Signer, error) {
	vkey, p, err := s.verifier(origin)
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &signer{store: s, page: p, name: origin, hash: v.KeyHash()}, nil
}

// Verifier is the public half of Signer, in note's text form.
func (s *Store) Verifier(origin string) (string, error) {
	vkey, _, err := s.verifier(origin)
	return vkey, err
}

func (s *Store) verifier(origin string) (vkey string, p *page, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return "", nil, ErrSealed
	}
	public := s.ring.Load().activeSigning().public
	vkey, err = note.NewEd25519VerifierKey(origin, public[:])
	if err == nil {
		_, err = note.NewVerifier(vkey) // refuses a name with spaces or a plus
	}
	if err != nil {
		return "", nil, fmt.Errorf("origin %.64q %w: %v", origin, ErrName, err)
	}
	return vkey, s.page, nil
}

func (g *signer) Name() string    { return g.name }
func (g *signer) KeyHash() uint32 { return g.hash }

func (g *signer) Sign(msg []byte) ([]byte, error) {
	g.store.mu.RLock()
	defer g.store.mu.RUnlock()
	if g.store.page != g.page {
		return nil, ErrSealed
	}
	private := ed25519.NewKeyFromSeed(g.page.key(signingAt)[:])
	defer clear(private)
	return ed25519.Sign(private, msg), nil
}
