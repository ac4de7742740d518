package keys

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// decodeRing reads what encode wrote and puts the ring keys into the page. All
// of it was authenticated; it is checked nevertheless, so that a mistake of a
// writer ends in an error and not in a wrong key.
func decodeRing(b []byte, p *page) (*ring, error) {
	c := &cursor{rest: b}
	r := &ring{serial: c.u64(), tenants: map[string]*erasures{}}
	n := int(c.u16())
	c.require(1 <= n && n <= maxRing, "number of ring keys")
	for i := 0; i < n && c.err == nil; i++ {
		k := ringKey{version: c.u32(), state: c.state(), created: int64(c.u64())}
		copy(p.key(ringAt + i)[:], c.take(keySize))
		c.require(k.version > 0 && (i == 0 || k.version > r.keys[i-1].version), "version of a ring key")
		r.keys = append(r.keys, k)
	}
	n = int(c.u16())
	c.require(1 <= n && n <= maxSigning, "number of signing keys")
	for i := 0; i < n && c.err == nil; i++ {
		s := signingKey{id: c.u32(), state: c.state(), created: int64(c.u64())}
		copy(s.public[:], c.take(32))
		s.record = c.record(s.state)
		c.require(s.id > 0 && (i == 0 || s.id > r.signing[i-1].id), "id of a signing key")
		r.signing = append(r.signing, s)
	}
	before := ""
	for range c.u32() {
		name := string(c.take(int(c.u8())))
		c.require(name > before, "order of tenants")
		e := new(erasures)
		c.erasures(e)
		if c.err != nil {
			break
		}
		r.tenants[name], before = e, name
	}
	c.require(len(c.rest) == 0, "end")
	if c.err == nil {
		at, _ := r.activeKey()
		c.require(at != 0, "active key")
		c.require(signable(r.signers()), "number of keys that sign")
	}
	if c.err != nil {
		return nil, c.err
	}
	return r, nil
}

// signable: one key is active, and one at most signs beside it.
func signable(signers []signingKey) bool {
	switch len(signers) {
	case 1:
		return signers[0].state == active
	case 2:
		return signers[0].state == active && signers[1].state == decryptOnly
	}
	return false
}

func (c *cursor) erasures(e *erasures) {
	for shard := range e {
		n := int(c.u16())
		for i := 0; i < n && c.err == nil; i++ {
			k := erasureKey{epoch: c.u32(), state: c.state()}
			k.record = c.record(k.state)
			c.require(k.epoch > 0 && (i == 0 || k.epoch > e[shard][i-1].epoch), "epoch of an erasure key")
			e[shard] = append(e[shard], k)
		}
	}
}

// cursor reads numbers from bytes; after the first failure it reads zeroes.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) require(ok bool, what string) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%s %w: its %s is wrong", keyringName, ErrFormat, what)
	}
}

func (c *cursor) take(n int) []byte {
	c.require(n <= len(c.rest), "length")
	if c.err != nil {
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) state() state {
	s := state(c.u8())
	c.require(active <= s && s <= destroyed, "state of a key")
	return s
}

// record reads a wrapped key: a whole one, or none where it was destroyed. It
// is copied, as the plaintext around it is wiped.
func (c *cursor) record(s state) []byte {
	b := c.take(int(c.u8()))
	c.require(len(b) == wrappedSize && s != destroyed || len(b) == 0 && s == destroyed, "wrapped key")
	return bytes.Clone(b)
}
