package bundle

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// compact is the compact range of the first size leaves of a log: the roots of
// the perfect subtrees that they fall into, the largest first. It is all that is
// needed to go on with the tree.
type compact struct {
	size   int64
	hashes []tlog.Hash
}

// compactOf reads the compact range of size leaves from a log's stored hashes.
func compactOf(size int64, h audit.Hashes) (compact, error) {
	c := compact{size: size}
	for left := size; left > 0; {
		level := bits.Len64(uint64(left)) - 1
		left -= 1 << level
		hash, err := h.Hash(tlog.StoredHashIndex(level, (size-left)>>level-1))
		if err != nil {
			return compact{}, fmt.Errorf("compact range of %d leaves: %w", size, err)
		}
		c.hashes = append(c.hashes, hash)
	}
	return c, nil
}

func (c *compact) append(leaf []byte) {
	h := tlog.RecordHash(leaf)
	for n := c.size; n&1 == 1; n >>= 1 {
		last := len(c.hashes) - 1
		h = tlog.NodeHash(c.hashes[last], h)
		c.hashes = c.hashes[:last]
	}
	c.hashes = append(c.hashes, h)
	c.size++
}

// root is the hash of the tree (RFC 6962, section 2.1).
func (c *compact) root() tlog.Hash {
	if c.size == 0 {
		return sha256.Sum256(nil)
	}
	last := len(c.hashes) - 1
	r := c.hashes[last]
	for i := last - 1; i >= 0; i-- {
		r = tlog.NodeHash(c.hashes[i], r)
	}
	return r
}
