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
	old, fresh, c, err := s.PrepareRotation(now)
	if err == nil {
		err = s.adopt(c.File, c.Sum)
	}
	if err != nil {
		return SigningKey{}, SigningKey{}, err
	}
	return old, fresh, nil
}

// PrepareRotation makes the change of RotateSigning, for Adopt.
func (s *Store) PrepareRotation(now time.Time) (old, fresh SigningKey, c *Change, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return SigningKey{}, SigningKey{}, nil, ErrSealed
	}
	r := s.ring.Load()
	if signers := r.signers(); len(signers) > 1 {
		return SigningKey{}, SigningKey{}, nil, fmt.Errorf("signing key %d %w", signers[1].id, ErrOverlap)
	}
	var seed key
	defer clear(seed[:])
	if err := s.random(seed[:]); err != nil {
		return SigningKey{}, SigningKey{}, nil, err
	}
	k, err := r.newSigning(s.page, &seed, s.cluster, now.Unix())
	if err != nil {
		return SigningKey{}, SigningKey{}, nil, err
	}
	signing := slices.Clone(r.signing)
	before := slices.IndexFunc(signing, func(k signingKey) bool { return k.state == active })
	signing[before].state = decryptOnly
	old, fresh = signing[before].shown(), k.shown()
	if len(signing) == maxSigning {
		oldest := slices.IndexFunc(signing, func(k signingKey) bool { return k.state == destroyed })
		signing = slices.Delete(signing, oldest, oldest+1)
	}
	if c, err = s.prepare(r.withSigning(append(signing, k))); err != nil {
		return SigningKey{}, SigningKey{}, nil, err
	}
	return old, fresh, c, nil
}

// newSigning describes and wraps a seed. Its place in the page is not set yet.
func (r *ring) newSigning(p *page, seed *key, cluster string, created int64) (signingKey, error) {
	k := signingKey{id: 1, state: active, created: created, public: seed.public()}
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
	c, err := s.PrepareRetirement(id)
	if err != nil || c == nil {
		return err
	}
	return s.adopt(c.File, c.Sum)
}

// PrepareRetirement makes the change of RetireSigning, for Adopt; nil where the
// key was retired before.
func (s *Store) PrepareRetirement(id uint32) (*Change, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, ErrSealed
	}
	r := s.ring.Load()
	signing := slices.Clone(r.signing)
	i := slices.IndexFunc(signing, func(k signingKey) bool { return k.id == id })
	switch {
	case i < 0:
		return nil, fmt.Errorf("%d: %w", id, ErrNoSigning)
	case signing[i].state == active:
		return nil, fmt.Errorf("%d %w", id, ErrActive)
	case signing[i].state == destroyed:
		return nil, nil
	}
	signing[i].state, signing[i].record = destroyed, nil
	return s.prepare(r.withSigning(signing))
}
