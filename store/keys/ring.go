package keys

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

const (
	keyringName = "keyring"
	// The file: a head in the clear, then one record that holds the rest.
	keyringMagic  = "GHKEYRNG"
	keyringFormat = 1
	// maxKeyring bounds what is read and written, always whole: about 3,000
	// tenants of 256 erasure keys (21 KiB each).
	maxKeyring = 64 << 20

	shardCount = 256
	// maxSigning keys: one a year is usual. Of more, the oldest that was
	// destroyed is forgotten.
	maxSigning = 64
)

// state of a key, as in SP 800-57 part 1, section 7.
type state uint8

const (
	active      state = 1
	decryptOnly state = 2 // of a signing key: it signs beside the active one
	destroyed   state = 3 // only the fact is left
)

// ring is the content of the key-ring. It is never changed: a change makes
// another one.
type ring struct {
	serial  uint64 // rises with every write: tells copies apart
	keys    []ringKey
	signing []signingKey
	tenants map[string]*erasures
}

// ringKey describes the i-th ring key; the key itself is in the page.
type ringKey struct {
	version uint32
	state   state
	created int64 // Unix seconds
}

type signingKey struct {
	id      uint32
	state   state
	created int64
	public  [32]byte
	record  []byte // the seed, wrapped by a ring key; none where destroyed
	at      int    // the seed's place in the page; not in the file
}

// erasures are one tenant's erasure keys by shard, epochs rising.
type erasures [shardCount][]erasureKey

type erasureKey struct {
	epoch  uint32
	state  state
	record []byte // wrapped by the tenant key; none where destroyed
}

// activeKey is the place in the page and the version of the key that wraps.
func (r *ring) activeKey() (at int, version uint32) {
	for i, k := range r.keys {
		if k.state == active {
			at, version = ringAt+i, k.version
		}
	}
	return at, version
}

func (r *ring) find(version uint32) (at int, err error) {
	for i, k := range r.keys {
		if k.version == version && k.state != destroyed {
			return ringAt + i, nil
		}
	}
	return 0, fmt.Errorf("version %d of the ring key: %w", version, ErrUnknownKey)
}

// signers are the keys that sign: the active one, then the one beside it.
func (r *ring) signers() []signingKey {
	var all []signingKey
	for _, want := range []state{active, decryptOnly} {
		for _, k := range r.signing {
			if k.state == want {
				all = append(all, k)
			}
		}
	}
	return all
}

// withSigning is a copy with other signing keys.
func (r *ring) withSigning(signing []signingKey) *ring {
	next := *r
	next.serial++
	next.signing = signing
	return &next
}

// find gives the erasure key of an epoch. Epochs are issued in order, so one
// below the newest that is not here is gone.
func (e *erasures) find(shard byte, epoch uint32) (*erasureKey, error) {
	all := e[shard]
	for i := range all {
		if all[i].epoch == epoch && all[i].state != destroyed {
			return &all[i], nil
		}
	}
	if epoch == 0 || len(all) == 0 || epoch > all[len(all)-1].epoch {
		return nil, fmt.Errorf("shard %d, epoch %d: %w", shard, epoch, ErrUnknownKey)
	}
	return nil, ErrErased
}

func (e *erasures) active(shard byte) (*erasureKey, error) {
	for i := range e[shard] {
		if e[shard][i].state == active {
			return &e[shard][i], nil
		}
	}
	return nil, fmt.Errorf("shard %d has no active erasure key: %w", shard, ErrUnknownKey)
}

// with is a copy that also has a tenant.
func (r *ring) with(tenant string, e *erasures) *ring {
	next := *r
	next.serial++
	next.tenants = maps.Clone(r.tenants)
	next.tenants[tenant] = e
	return &next
}

// sealed is the file's bytes.
func (r *ring) sealed(p *page, rootVersion uint32, cluster string) ([]byte, error) {
	head := head(keyringMagic, keyringFormat, cluster)
	size := len(head) + overhead + r.size()
	if size > maxKeyring {
		return nil, fmt.Errorf("key-ring of %d bytes %w of %d: move tenants to another cluster", size, ErrLimit, maxKeyring)
	}
	plaintext := r.encode(p)
	defer clear(plaintext)
	record, err := p.key(rootAt).seal(keyringRecipe, rootVersion, plaintext, cluster)
	if err != nil {
		return nil, err
	}
	return append(head, record...), nil
}

// parseKeyring checks the part of the file that is in the clear.
func parseKeyring(data []byte, cluster string) (record []byte, err error) {
	return cutHead(keyringName, keyringMagic, keyringFormat, data, cluster)
}

// size of encode's result, so that it is never moved in memory while it grows.
func (r *ring) size() int {
	n := 8 + 2 + len(r.keys)*(4+1+8+keySize) + 2 + 4
	for _, s := range r.signing {
		n += 4 + 1 + 8 + 32 + 1 + len(s.record)
	}
	for name, e := range r.tenants {
		n += 1 + len(name)
		for shard := range e {
			n += 2
			for _, k := range e[shard] {
				n += 4 + 1 + 1 + len(k.record)
			}
		}
	}
	return n
}

func (r *ring) encode(p *page) []byte {
	be := binary.BigEndian
	b := be.AppendUint64(make([]byte, 0, r.size()), r.serial)
	b = be.AppendUint16(b, uint16(len(r.keys)))
	for i, k := range r.keys {
		b = append(be.AppendUint32(b, k.version), byte(k.state))
		b = be.AppendUint64(b, uint64(k.created))
		b = append(b, p.key(ringAt + i)[:]...)
	}
	b = be.AppendUint16(b, uint16(len(r.signing)))
	for _, s := range r.signing {
		b = append(be.AppendUint32(b, s.id), byte(s.state))
		b = be.AppendUint64(b, uint64(s.created))
		b = append(b, s.public[:]...)
		b = appendRecord(b, s.record)
	}
	b = be.AppendUint32(b, uint32(len(r.tenants)))
	for _, name := range slices.Sorted(maps.Keys(r.tenants)) {
		b = append(append(b, byte(len(name))), name...)
		for _, keys := range r.tenants[name] {
			b = be.AppendUint16(b, uint16(len(keys)))
			for _, k := range keys {
				b = append(be.AppendUint32(b, k.epoch), byte(k.state))
				b = appendRecord(b, k.record)
			}
		}
	}
	return b
}

// appendRecord writes a wrapped key, which is below 256 bytes, or none.
func appendRecord(b, record []byte) []byte {
	return append(append(b, byte(len(record))), record...)
}
