package keys

import (
	"maps"
	"slices"
)

// What rotation and erasure will write, for the tests that read it.

// writeRing makes r durable, then current, without looking at its serial.
func (s *Store) writeRing(r *ring) error {
	c, err := s.prepare(r)
	if err != nil {
		return err
	}
	if err := s.keep(c.File, c.Sum); err != nil {
		return err
	}
	s.ring.Store(r)
	return nil
}

// NextEpoch gives a subject's shard one more epoch, or with destroy makes the
// epochs before the newest go.
func (s *Store) NextEpoch(tenant string, wrapped []byte, subject string, destroy bool) error {
	return s.nextEpoch(tenant, wrapped, subject, destroy, s.writeRing)
}

// PrepareEpoch is NextEpoch as a change.
func (s *Store) PrepareEpoch(tenant string, wrapped []byte, subject string, destroy bool) (c *Change, err error) {
	err = s.nextEpoch(tenant, wrapped, subject, destroy, func(r *ring) error {
		c, err = s.prepare(r)
		return err
	})
	return c, err
}

func (s *Store) nextEpoch(tenant string, wrapped []byte, subject string, destroy bool, then func(*ring) error) error {
	t, err := s.Tenant(tenant, wrapped)
	if err != nil {
		return err
	}
	return t.use(func(k *key) error {
		r := s.ring.Load()
		e := *r.tenants[tenant]
		shard := shardOf(subject)
		keys := slices.Clone(e[shard])
		last := &keys[len(keys)-1]
		if destroy {
			for i := range keys[:len(keys)-1] {
				keys[i].state, keys[i].record = destroyed, nil
			}
		} else {
			last.state = decryptOnly
			var fresh key
			if err := s.random(fresh[:]); err != nil {
				return err
			}
			record, err := k.seal(erasureRecipe, 1, fresh[:], erasureParts(tenant, shard, last.epoch+1)...)
			if err != nil {
				return err
			}
			keys = append(keys, erasureKey{epoch: last.epoch + 1, state: active, record: record})
		}
		e[shard] = keys
		return then(r.with(tenant, &e))
	})
}

// NextRingKey adds a version of the ring key.
func (s *Store) NextRingKey() error {
	r := *s.ring.Load()
	r.tenants = maps.Clone(r.tenants)
	r.keys = slices.Clone(r.keys)
	r.keys[len(r.keys)-1].state = decryptOnly
	if err := s.random(s.page.key(ringAt + len(r.keys))[:]); err != nil {
		return err
	}
	r.keys = append(r.keys, ringKey{version: uint32(len(r.keys)) + 1, state: active, created: 1})
	return s.writeRing(&r)
}

// Page is a copy of the memory that holds the keys.
func (s *Store) Page() []byte { return slices.Clone(s.page.mem()) }
