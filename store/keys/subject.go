package keys

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

const subjectKeyVersion = 1

// Subject seals what belongs to one person and derives the keys of that
// person's blobs. It is safe for concurrent use, until the store is sealed or
// the person erased.
type Subject struct {
	tenant *Tenant
	id     string
	shard  byte
	epoch  uint32
	veiled []byte // the subject key
}

// shardOf spreads subjects over the erasure keys: the fewer share one, the
// fewer are wrapped again when it is destroyed.
func shardOf(subject string) byte {
	return sha256.Sum256([]byte(subject))[0]
}

// NewSubject makes a subject's key, also wrapped by the erasure key of its
// shard, for the caller to keep.
func (t *Tenant) NewSubject(subject string) (u *Subject, wrapped []byte, err error) {
	if err := checkName("subject", subject); err != nil {
		return nil, nil, err
	}
	err = t.use(func(k *key) error {
		u = &Subject{tenant: t, id: subject, shard: shardOf(subject)}
		e, err := t.erasures()
		if err != nil {
			return err
		}
		current, err := e.active(u.shard)
		if err != nil {
			return err
		}
		u.epoch = current.epoch
		var erasure, own key
		defer clear(erasure[:])
		defer clear(own[:])
		if err := t.openErasure(&erasure, k, current, u.shard); err != nil {
			return err
		}
		if err := t.store.random(own[:]); err != nil {
			return err
		}
		wrapped, err = erasure.seal(subjectRecipe, u.epoch, own[:], u.wrapParts()...)
		if err != nil {
			return err
		}
		u.veiled, err = t.page.veil(&own)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return u, wrapped, nil
}

// Subject opens a subject's wrapped key. ErrErased: the erasure key of its
// epoch was destroyed.
func (t *Tenant) Subject(subject string, wrapped []byte) (*Subject, error) {
	if err := checkName("subject", subject); err != nil {
		return nil, err
	}
	h, err := parseHeader(wrapped)
	if err != nil {
		return nil, err
	}
	u := &Subject{tenant: t, id: subject, shard: shardOf(subject), epoch: h.version}
	err = t.use(func(k *key) error {
		e, err := t.erasures()
		if err != nil {
			return err
		}
		found, err := e.find(u.shard, u.epoch)
		if err != nil {
			return err
		}
		var erasure, own key
		defer clear(erasure[:])
		defer clear(own[:])
		if err := t.openErasure(&erasure, k, found, u.shard); err != nil {
			return err
		}
		if err := erasure.openKey(&own, subjectRecipe, wrapped, u.wrapParts()...); err != nil {
			return err
		}
		u.veiled, err = t.page.veil(&own)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("subject %s: %w", subject, err)
	}
	return u, nil
}

// erasures are the tenant's in the current ring; the store is in use.
func (t *Tenant) erasures() (*erasures, error) {
	if e := t.store.ring.Load().tenants[t.id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("tenant %s: %w", t.id, ErrUnknownKey)
}

func (t *Tenant) openErasure(into, tenantKey *key, e *erasureKey, shard byte) error {
	return tenantKey.openKey(into, erasureRecipe, e.record, erasureParts(t.id, shard, e.epoch)...)
}

func (u *Subject) wrapParts() []string {
	return []string{u.tenant.id, u.id, string([]byte{u.shard})}
}

// use is Tenant.use for the subject's key. A handle does not outlive the
// erasure key that it came from.
func (u *Subject) use(f func(k *key) error) error {
	t := u.tenant
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	if t.store.page != t.page {
		return ErrSealed
	}
	e, err := t.erasures()
	if err != nil {
		return err
	}
	if _, err := e.find(u.shard, u.epoch); err != nil {
		return err
	}
	var k key
	defer clear(k[:])
	if err := t.page.unveil(u.veiled, &k); err != nil {
		return err
	}
	return f(&k)
}

// Seal encrypts a value of the subject for its place.
func (u *Subject) Seal(place Place, plaintext []byte) (sealed []byte, err error) {
	if err := checkSeal(place, plaintext); err != nil {
		return nil, err
	}
	err = u.use(func(k *key) error {
		sealed, err = k.seal(subjectFieldRecipe, subjectKeyVersion, plaintext, u.parts(place)...)
		return err
	})
	return sealed, err
}

// Open gives back what Seal was given, if it was sealed for this very place.
func (u *Subject) Open(place Place, sealed []byte) (plaintext []byte, err error) {
	if err := checkOpen(place, sealed); err != nil {
		return nil, err
	}
	err = u.use(func(k *key) error {
		plaintext, err = k.open(subjectFieldRecipe, sealed, u.parts(place)...)
		return err
	})
	return plaintext, err
}

func (u *Subject) parts(p Place) []string {
	return append([]string{u.tenant.id, u.id}, p.parts()...)
}

// Object is the key of one blob: another salt or header gives another key.
func (u *Subject) Object(salt [32]byte, header []byte) (object [32]byte, err error) {
	err = u.use(func(k *key) error {
		sum := sha256.Sum256(header)
		derived, err := hkdf.Key(sha256.New, k[:], salt[:], "gatehouse/blob/1"+string(sum[:]), keySize)
		if err != nil {
			return err
		}
		defer clear(derived)
		object = [32]byte(derived)
		return nil
	})
	return object, err
}

// Format keeps what is inside out of every print and log.
func (u *Subject) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keys.Subject") }
