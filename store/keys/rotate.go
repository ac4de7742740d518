package keys

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"
)

// SigningKey describes a key of the audit log. Nothing in it is secret.
type SigningKey struct {
	ID      uint32
	State   string // active, overlapping (it signs beside the active one) or retired
	Created time.Time
	Public  [32]byte
}

// SigningKeys gives those that the key-ring knows, the oldest first; none while
// it is sealed.
func (s *Store) SigningKeys() []SigningKey {
	r := s.ring.Load()
	if r == nil {
		return nil
	}
	all := make([]SigningKey, len(r.signing))
	for i, k := range r.signing {
		all[i] = k.shown()
	}
	return all
}

func (k *signingKey) shown() SigningKey {
	shown := SigningKey{ID: k.id, Created: time.Unix(k.created, 0).UTC(), Public: k.public}
	switch k.state {
	case active:
		shown.State = "active"
	case decryptOnly:
		shown.State = "overlapping"
	case destroyed:
		shown.State = "retired"
	}
	return shown
}

// RotateSigning makes a new signing key the active one, durably. The old one
// goes on signing beside it until it is retired, so that who has pinned only one
// of the two can verify all that is signed meanwhile. A third is refused.
func (s *Store) RotateSigning(now time.Time) (old, fresh SigningKey, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return SigningKey{}, SigningKey{}, ErrSealed
	}
	r := s.ring.Load()
	signers := r.signers()
	if len(signers) > 1 {
		return SigningKey{}, SigningKey{}, fmt.Errorf("signing key %d %w", signers[1].id, ErrOverlap)
	}
	at := signingAt
	if signers[0].at == at {
		at = otherAt
	}
	// Nobody reads this place before the ring names it.
	seed := s.page.key(at)
	defer func() {
		if err != nil {
			clear(seed[:])
		}
	}()
	if err := s.random(seed[:]); err != nil {
		return SigningKey{}, SigningKey{}, err
	}
	k, err := r.newSigning(s.page, at, s.cluster, now.Unix())
	if err != nil {
		return SigningKey{}, SigningKey{}, err
	}
	signing := slices.Clone(r.signing)
	before := slices.IndexFunc(signing, func(k signingKey) bool { return k.state == active })
	signing[before].state = decryptOnly
	old, fresh = signing[before].shown(), k.shown()
	if len(signing) == maxSigning {
		oldest := slices.IndexFunc(signing, func(k signingKey) bool { return k.state == destroyed })
		signing = slices.Delete(signing, oldest, oldest+1)
	}
	if err := s.writeRing(r.withSigning(append(signing, k))); err != nil {
		return SigningKey{}, SigningKey{}, err
	}
	return old, fresh, nil
}

// newSigning describes and wraps the seed at a place in the page.
func (r *ring) newSigning(p *page, at int, cluster string, created int64) (signingKey, error) {
	seed := p.key(at)
	k := signingKey{id: 1, state: active, created: created, public: seed.public(), at: at}
	if n := len(r.signing); n > 0 {
		k.id = r.signing[n-1].id + 1
	}
	wrap, version := r.activeKey()
	var err error
	k.record, err = p.key(wrap).seal(signingRecipe, version, seed[:], cluster, number(k.id))
	return k, err
}

// public is the Ed25519 public key of a seed.
func (k *key) public() [32]byte {
	private := ed25519.NewKeyFromSeed(k[:])
	defer clear(private)
	return [32]byte(private[ed25519.SeedSize:]) // RFC 8032: seed, then public key
}

// RetireSigning ends an overlap: the old key's seed is destroyed, durably, and
// signs no more. It stays in copies of the key-ring from before. To retire again
// what was retired changes nothing.
func (s *Store) RetireSigning(id uint32) error {
	s.change.Lock()
	defer s.change.Unlock()
	p, at, err := s.retire(id)
	if err != nil || p == nil {
		return err
	}
	// Who signs holds the lock for reading: none is left that knows the place.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page == p { // or it was wiped as a whole
		clear(p.key(at)[:])
	}
	return nil
}

// retire takes the key out of the ring and says where its seed still lies.
func (s *Store) retire(id uint32) (*page, int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, 0, ErrSealed
	}
	r := s.ring.Load()
	signing := slices.Clone(r.signing)
	i := slices.IndexFunc(signing, func(k signingKey) bool { return k.id == id })
	switch {
	case i < 0:
		return nil, 0, fmt.Errorf("%d: %w", id, ErrNoSigning)
	case signing[i].state == active:
		return nil, 0, fmt.Errorf("%d %w", id, ErrActive)
	case signing[i].state == destroyed:
		return nil, 0, nil
	}
	at := signing[i].at
	signing[i].state, signing[i].record, signing[i].at = destroyed, nil, 0
	return s.page, at, s.writeRing(r.withSigning(signing))
}
