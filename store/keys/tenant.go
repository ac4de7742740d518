package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
)

// A tenant has one key, kept by the caller in its wrapped form, and 256 shards
// of erasure keys, kept in the key-ring.
const (
	tenantKeyVersion = 1
	firstEpoch       = 1
)

// Tenant seals what belongs to a tenant as a whole and makes its subjects'
// keys. It is safe for concurrent use, until the store is sealed.
type Tenant struct {
	store   *Store
	page    *page
	id      string
	wrapped []byte
	veiled  []byte // the tenant key
}

// NewTenant makes a tenant's key, wrapped by the key-ring, and its erasure
// keys, which are durable when it returns. An id is used once: where what
// follows fails, take another.
func (s *Store) NewTenant(tenant string) (wrapped []byte, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	wrapped, c, err := s.PrepareTenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(c.File, c.Sum); err != nil {
		return nil, err
	}
	return wrapped, nil
}

// PrepareTenant makes the change of NewTenant, for Adopt. An id whose change is
// not adopted may be used again; wrapped is of its own change alone.
func (s *Store) PrepareTenant(tenant string) (wrapped []byte, c *Change, err error) {
	if err := checkName("tenant", tenant); err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, nil, ErrSealed
	}
	r := s.ring.Load()
	if r.tenants[tenant] != nil {
		return nil, nil, fmt.Errorf("tenant %s %w", tenant, ErrExists)
	}
	var k, erasure key
	defer clear(k[:])
	defer clear(erasure[:])
	if err := s.random(k[:]); err != nil {
		return nil, nil, err
	}
	at, version := r.activeKey()
	wrapped, err = s.page.key(at).seal(tenantRecipe, version, k[:], s.cluster, tenant)
	if err != nil {
		return nil, nil, err
	}
	e := new(erasures)
	for shard := range e {
		if err := s.random(erasure[:]); err != nil {
			return nil, nil, err
		}
		record, err := k.seal(erasureRecipe, tenantKeyVersion, erasure[:], erasureParts(tenant, byte(shard), firstEpoch)...)
		if err != nil {
			return nil, nil, err
		}
		e[shard] = []erasureKey{{epoch: firstEpoch, state: active, record: record}}
	}
	if c, err = s.prepare(r.with(tenant, e)); err != nil {
		return nil, nil, err
	}
	return wrapped, c, nil
}

func erasureParts(tenant string, shard byte, epoch uint32) []string {
	return []string{tenant, string([]byte{shard}), number(epoch)}
}

// Tenant opens a tenant's wrapped key.
func (s *Store) Tenant(tenant string, wrapped []byte) (*Tenant, error) {
	if err := checkName("tenant", tenant); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.page == nil {
		return nil, ErrSealed
	}
	if t, ok := s.tenants.Load(tenant); ok && bytes.Equal(t.(*Tenant).wrapped, wrapped) {
		return t.(*Tenant), nil
	}
	r := s.ring.Load()
	if r.tenants[tenant] == nil {
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrUnknownKey)
	}
	at, err := ringKeyOf(r, wrapped)
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", tenant, err)
	}
	var k key
	defer clear(k[:])
	if err := s.page.key(at).openKey(&k, tenantRecipe, wrapped, s.cluster, tenant); err != nil {
		return nil, fmt.Errorf("tenant %s: %w", tenant, err)
	}
	t := &Tenant{store: s, page: s.page, id: tenant, wrapped: bytes.Clone(wrapped)}
	if t.veiled, err = s.page.veil(&k); err != nil {
		return nil, err
	}
	s.tenants.Store(tenant, t)
	return t, nil
}

// use runs f with the tenant's key, and keeps Seal and Adopt waiting meanwhile. f
// must not use another handle: one that waits would stop both.
func (t *Tenant) use(f func(k *key) error) error {
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	if t.store.page != t.page {
		return ErrSealed
	}
	if _, err := t.erasures(); err != nil {
		return err
	}
	var k key
	defer clear(k[:])
	if err := t.page.unveil(t.veiled, &k); err != nil {
		return err
	}
	return f(&k)
}

// Index is a blind index: equal values of a tenant and label give equal 32
// bytes, which tell nothing of the value without the tenant's key.
func (t *Tenant) Index(label string, value []byte) (index []byte, err error) {
	if err := checkName("label", label); err != nil {
		return nil, err
	}
	err = t.use(func(k *key) error {
		derived, err := hkdf.Key(sha256.New, k[:], nil, "gatehouse/tenant/index/1/"+label, keySize)
		if err != nil {
			return err
		}
		defer clear(derived)
		mac := hmac.New(sha256.New, derived)
		mac.Write(value)
		index = mac.Sum(nil)
		return nil
	})
	return index, err
}

// Seal encrypts a value of the tenant as a whole for its place.
func (t *Tenant) Seal(place Place, plaintext []byte) (sealed []byte, err error) {
	if err := checkSeal(place, plaintext); err != nil {
		return nil, err
	}
	err = t.use(func(k *key) error {
		sealed, err = k.seal(tenantFieldRecipe, tenantKeyVersion, plaintext, t.parts(place)...)
		return err
	})
	return sealed, err
}

// Open gives back what Seal was given, if it was sealed for this very place.
func (t *Tenant) Open(place Place, sealed []byte) (plaintext []byte, err error) {
	if err := checkOpen(place, sealed); err != nil {
		return nil, err
	}
	err = t.use(func(k *key) error {
		plaintext, err = k.open(tenantFieldRecipe, sealed, t.parts(place)...)
		return err
	})
	return plaintext, err
}

func (t *Tenant) parts(p Place) []string { return append([]string{t.id}, p.parts()...) }

func checkSeal(p Place, plaintext []byte) error {
	if len(plaintext) > maxField {
		return fmt.Errorf("value of %d bytes %w of %d: keep it as a blob", len(plaintext), ErrLimit, maxField)
	}
	return p.check()
}

func checkOpen(p Place, sealed []byte) error {
	if len(sealed) > maxField+overhead {
		return fmt.Errorf("record of %d bytes %w of %d", len(sealed), ErrLimit, maxField+overhead)
	}
	return p.check()
}

// Format keeps what is inside out of every print and log.
func (t *Tenant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keys.Tenant") }
