package keys

import "fmt"

// SealField encrypts a value of the cluster as a whole for its place, under the
// active ring key: every node of the cluster opens it. At most 256 KiB.
func (s *Store) SealField(place Place, plaintext []byte) ([]byte, error) {
	if err := checkSeal(place, plaintext); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, ErrSealed
	}
	at, version := s.ring.Load().activeKey()
	return s.page.key(at).seal(clusterFieldRecipe, version, plaintext, s.fieldParts(place)...)
}

// OpenField gives back what SealField was given, if it was sealed in this
// cluster for this very place.
func (s *Store) OpenField(place Place, sealed []byte) ([]byte, error) {
	if err := checkOpen(place, sealed); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, ErrSealed
	}
	at, err := ringKeyOf(s.ring.Load(), sealed)
	if err != nil {
		return nil, fmt.Errorf("a field of the cluster: %w", err)
	}
	return s.page.key(at).open(clusterFieldRecipe, sealed, s.fieldParts(place)...)
}

func (s *Store) fieldParts(p Place) []string { return append([]string{s.cluster}, p.parts()...) }
