package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Status of the seal. Nothing in it is secret.
type Status struct {
	Sealed       bool
	MemoryLocked bool // the keys in memory stay out of swap
	Slots        []Slot
	Failures     int       // failed tries since the last that opened
	NextTry      time.Time // a try before it is refused
}

// Sealed says whether nothing here can be used.
func (s *Store) Sealed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.page == nil
}

// Status is what a sealed node may say to anyone.
func (s *Store) Status() Status {
	var st Status
	s.mu.RLock()
	st.Sealed = s.page == nil
	st.MemoryLocked = s.page != nil && s.page.locked
	s.mu.RUnlock()
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	st.Failures, st.NextTry = s.gate.failures, s.gate.next
	for _, sl := range s.seal.Load().Slots {
		shown := sl.shown()
		shown.Given = len(s.gate.shares[sl.ID])
		st.Slots = append(st.Slots, shown)
	}
	return st
}

func (s *slot) shown() Slot {
	return Slot{ID: s.ID, Kind: s.Kind, Created: s.Created, Path: s.Path, Threshold: s.Threshold, Shares: s.Shares}
}

// Seal wipes every key from memory. It waits for calls in flight; handles given
// out before fail from then on, also after the store is unsealed again.
func (s *Store) Seal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.forget()
	if s.page == nil {
		return
	}
	s.page.wipe()
	s.page = nil
	s.ring.Store(nil)
	s.tenants.Clear()
}

// try lets one secret be tried: open fills the root key, or says why not.
func (s *Store) try(ctx context.Context, open func(f *sealFile, root *key) (bool, error)) error {
	s.attempt.Lock()
	defer s.attempt.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.Sealed() {
		return fmt.Errorf("the node %w", ErrNotSealed)
	}
	if err := s.gate.pass(time.Now()); err != nil {
		return err
	}
	var root key
	defer clear(root[:])
	opened, err := open(s.seal.Load(), &root)
	var failed guess
	if errors.As(err, &failed) {
		s.gate.fail(time.Now())
		return failed.error
	}
	if err != nil || !opened {
		return err
	}
	if err := s.unseal(&root); err != nil {
		return err
	}
	s.gate.opened()
	return nil
}

// unseal opens the key-ring with the root key and puts both into memory.
func (s *Store) unseal(root *key) (err error) {
	s.change.Lock() // the file stays the one that is read
	defer s.change.Unlock()
	record, err := s.readKeyring()
	if err != nil {
		return err
	}
	p, err := newPage()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.wipe()
		}
	}()
	*p.key(rootAt) = *root
	if err := s.random(p.key(veilAt)[:]); err != nil {
		return err
	}
	r, err := s.load(p, record)
	if errors.Is(err, ErrAltered) || errors.Is(err, ErrOtherKey) {
		return fmt.Errorf("%s: %w: restore it from its copy", filepath.Join(s.dir, keyringName), err)
	} else if err != nil {
		return err
	}
	// What a crash after an adoption left: only now can its age be told.
	if err := s.prune(p, r.serial); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = p
	s.ring.Store(r)
	return nil
}

// load opens a key-ring with the root key in p and puts its keys there.
func (s *Store) load(p *page, record []byte) (*ring, error) {
	plaintext, err := p.key(rootAt).open(keyringRecipe, record, s.cluster)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	r, err := decodeRing(plaintext, p)
	if err != nil {
		return nil, err
	}
	if err := s.openSigning(r, p); err != nil {
		return nil, err
	}
	return r, nil
}

// openSigning puts the seeds into the page: one, or two while they overlap.
func (s *Store) openSigning(r *ring, p *page) error {
	at := signingAt
	for i := range r.signing {
		k := &r.signing[i]
		if k.state == destroyed {
			continue
		}
		k.at, at = at, otherAt
		wrap, err := ringKeyOf(r, k.record)
		if err != nil {
			return err
		}
		seed := p.key(k.at)
		if err := p.key(wrap).openKey(seed, signingRecipe, k.record, s.cluster, number(k.id)); err != nil {
			return fmt.Errorf("signing key %d: %w", k.id, err)
		}
		if seed.public() != k.public {
			return fmt.Errorf("signing key %d and its public key differ: it %w", k.id, ErrAltered)
		}
	}
	return nil
}

// ringKeyOf finds the ring key that a record names.
func ringKeyOf(r *ring, record []byte) (at int, err error) {
	h, err := parseHeader(record)
	if err != nil {
		return 0, err
	}
	return r.find(h.version)
}

// newSlot also refuses before any work or file is done for a sealed store.
func (s *Store) newSlot(kind Kind) (slot, error) {
	if s.Sealed() {
		return slot{}, ErrSealed
	}
	var id [slotIDSize]byte
	if err := s.random(id[:]); err != nil {
		return slot{}, err
	}
	return slot{ID: slotName(id), Kind: kind, Created: time.Now().UTC().Truncate(time.Second)}, nil
}

// addSlot wraps the root key under a secret and makes the slot durable.
func (s *Store) addSlot(n slot, secret *key) (Slot, error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return Slot{}, ErrSealed
	}
	next := *s.seal.Load()
	if len(next.Slots) >= maxSlots {
		return Slot{}, fmt.Errorf("one more slot %w of %d: remove one", ErrLimit, maxSlots)
	}
	var err error
	n.Wrapped, err = secret.seal(slotRecipe, 1, s.page.key(rootAt)[:], s.cluster, n.ID, string(n.Kind))
	if err != nil {
		return Slot{}, err
	}
	if s.unwritten != nil { // seal.json comes last and makes it valid
		if err := s.keep(s.unwritten, sha256.Sum256(s.unwritten)); err != nil {
			return Slot{}, err
		}
	}
	next.Slots = append(slices.Clone(next.Slots), n)
	if err := next.write(s.dir); err != nil {
		return Slot{}, err
	}
	s.seal.Store(&next)
	return n.shown(), nil
}

// RemoveSlot ends a slot; a key file is deleted with it. Who kept a copy of
// seal.json can still open that copy with what the slot needed.
func (s *Store) RemoveSlot(id string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return ErrSealed
	}
	next := *s.seal.Load()
	old := next.find(id)
	switch {
	case old == nil:
		return fmt.Errorf("slot %.32q %w", id, ErrNoSlot)
	case len(next.Slots) == 1:
		return fmt.Errorf("slot %s %w", id, ErrLastSlot)
	}
	next.Slots = slices.DeleteFunc(slices.Clone(next.Slots), func(s slot) bool { return s.ID == id })
	if err := next.write(s.dir); err != nil {
		return err
	}
	s.seal.Store(&next)
	if old.Kind != File {
		return nil
	}
	if err := os.Remove(old.Path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("slot %s is gone, but not its key file: %w", id, err)
	}
	return nil
}
