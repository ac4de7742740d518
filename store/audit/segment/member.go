package segment

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

// Height of the subtree that a segment is, and its number of Leaves: the leaves
// of two levels of C2SP tiles, which have 8 levels of the tree each.
const (
	Height = 16
	Leaves = 1 << Height
)

const (
	tileHeight = 8
	width      = 1 << tileHeight // hashes in a tile, leaves in a bundle

	tileSize   = width * tlog.HashSize
	minEntries = width * 2 // a bundle of empty leaves
	maxEntries = width * (2 + audit.MaxLeaf)

	block    = 512       // of a tar
	tarEnd   = 2 * block // a tar ends in two blocks of zeros
	maxPlain = block + (maxEntries+block-1)/block*block
)

// The files of a segment's tar, in their order.
const (
	firstEntries = 0                    // 256 bundles
	firstTile    = firstEntries + width // 256 tiles of level 0
	topTile      = firstTile + width    // the tile of level 1
	members      = topTile + 1
)

// memberName is the path that C2SP tlog-tiles gives to a file of segment n.
func memberName(n int64, member int) string {
	switch {
	case member < firstTile:
		return "tile/entries/" + tileIndex(n*width+int64(member-firstEntries))
	case member < topTile:
		return "tile/0/" + tileIndex(n*width+int64(member-firstTile))
	}
	return "tile/1/" + tileIndex(n)
}

// tileIndex writes 1234067 as x001/x234/067.
func tileIndex(i int64) string {
	s := fmt.Sprintf("%03d", i%1000)
	for i /= 1000; i > 0; i /= 1000 {
		s = fmt.Sprintf("x%03d/%s", i%1000, s)
	}
	return s
}

// plainSize of a member's frame: tar header, content, zeros to a whole block,
// and after the last member the end of the tar.
func plainSize(member, content int) int {
	size := block + (content+block-1)/block*block
	if member == topTile {
		size += tarEnd
	}
	return size
}

// tarHeader is the POSIX ustar header of a member: a plain file that all may
// read, of nobody and of no time, so that a segment has one tar only.
func tarHeader(name string, size int) [block]byte {
	var h [block]byte
	copy(h[:100], name)
	copy(h[100:], "0000644\x00")                  // mode
	copy(h[108:], "0000000\x00")                  // uid
	copy(h[116:], "0000000\x00")                  // gid
	copy(h[124:], fmt.Sprintf("%011o\x00", size)) // size
	copy(h[136:], "00000000000\x00")              // mtime
	copy(h[148:], "        ")                     // checksum, counted as spaces
	h[156] = '0'                                  // a plain file
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}
