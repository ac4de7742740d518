package segment

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// bundle is a C2SP entry bundle: each leaf after its length, a big-endian uint16.
type bundle struct {
	b  []byte
	at [width + 1]int // where the length of each leaf is
}

func (u *bundle) leaf(i int) []byte { return u.b[u.at[i]+2 : u.at[i+1] : u.at[i+1]] }

// split finds the leaves in b, which may have zeros after them, up to a block.
func (u *bundle) split(b []byte) error {
	at := 0
	for i := range width {
		u.at[i] = at
		if at+2 > len(b) {
			return fmt.Errorf("leaf %d is missing", i)
		}
		n := int(binary.BigEndian.Uint16(b[at:]))
		if n > audit.MaxLeaf || n > len(b)-at-2 {
			return fmt.Errorf("leaf %d cannot have %d bytes", i, n)
		}
		at += 2 + n
	}
	u.at[width], u.b = at, b
	return nil
}

// hash fills t from the leaves.
func (u *bundle) hash(t *tree) {
	for i := range width {
		t[i] = tlog.RecordHash(u.leaf(i))
	}
	t.grow()
}
