package segment

import (
	"golang.org/x/mod/sumdb/tlog"
)

// tree holds all hashes of a tile: its 256, and under them (that is, after them)
// the 128 of the next level, to the one that stands in the tile above.
type tree [2*width - 1]tlog.Hash

const treeRoot = len(tree{}) - 1

// grow computes all hashes above the first 256.
func (t *tree) grow() {
	for from, to := 0, width; to < len(t); from, to = from+2, to+1 {
		t[to] = tlog.NodeHash(t[from], t[from+1])
	}
}

// at gives hash i of a level, 0 to 8.
func (t *tree) at(level int, i int64) tlog.Hash {
	return t[2*width-2*width>>level+int(i)]
}

// load fills the tree from the bytes of a tile.
func (t *tree) load(tile []byte) {
	for i := range width {
		t[i] = tlog.Hash(tile[i*tlog.HashSize:])
	}
	t.grow()
}

func (t *tree) appendTile(b []byte) []byte {
	for i := range width {
		b = append(b, t[i][:]...)
	}
	return b
}
