package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
)

const (
	headerMagic = "GHSEG"
	sumMagic    = "GHSUM"
	format      = 1

	// Skippable frames begin with one of 16 magic numbers and their length, both
	// little-endian (RFC 8878, section 3.1.2).
	skipHeader = 0x184D2A50
	skipSum    = 0x184D2A51
	skipTable  = 0x184D2A5E // that of the seekable format
	skipStart  = 8          // magic number and length

	frames    = 1 + members + 1 // that the seek table tells of: header, members, sum
	sumFrame  = frames - 1
	sumSize   = skipStart + len(sumMagic) + 1 + sha256.Size
	maxOrigin = 255 // bytes, as C2SP tlog-cosignature has it
	// The longest header: magic, format, segment, root, origin, digest.
	maxHeader = skipStart + len(headerMagic) + 1 + 8 + tlog.HashSize + 1 + maxOrigin + sha256.Size

	// Seek table: for each frame its compressed and its plain size; then their
	// number, a descriptor (0: no checksums), and the magic number.
	tableEntry = 8
	tableEnd   = 9
	tableSize  = skipStart + frames*tableEntry + tableEnd
	tableMagic = 0x8F92EAB1
)

func skippable(magic uint32, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// identity says which segment a file is.
type identity struct {
	origin string
	n      int64
	root   tlog.Hash
}

func (id *identity) check() error {
	if _, _, _, err := audit.ParseOrigin(id.origin); err != nil {
		return fmt.Errorf("%w: %w", ErrSegment, err)
	}
	if id.n < 0 || id.n >= audit.MaxSize>>Height {
		return fmt.Errorf("%w: segment %d of %s", ErrSegment, id.n, id.origin)
	}
	return nil
}

// header is the first frame of a file.
func (id *identity) header() []byte {
	b := append([]byte(headerMagic), format)
	b = binary.BigEndian.AppendUint64(b, uint64(id.n))
	b = append(b, id.root[:]...)
	b = append(b, byte(len(id.origin)))
	b = append(b, id.origin...)
	sum := sha256.Sum256(b)
	return skippable(skipHeader, append(b, sum[:]...))
}

// parseHeader reads a first frame that header wrote.
func parseHeader(b []byte) (id identity, ok bool) {
	const fixed = skipStart + len(headerMagic) + 1 + 8 + tlog.HashSize
	if len(b) <= fixed || len(b) > maxHeader {
		return id, false
	}
	id.n = int64(binary.BigEndian.Uint64(b[fixed-tlog.HashSize-8:]))
	id.root = tlog.Hash(b[fixed-tlog.HashSize : fixed])
	if end := fixed + 1 + int(b[fixed]); end <= len(b) {
		id.origin = string(b[fixed+1 : end])
	}
	return id, id.check() == nil && bytes.Equal(b, id.header())
}

// sum is the frame before the seek table.
func sum(digest []byte) []byte {
	return skippable(skipSum, append(append([]byte(sumMagic), format), digest...))
}

// table is the seek table: where each frame is and what it unpacks to.
type table struct {
	at    [frames + 1]int64 // where a frame begins; the last is where they end
	plain [frames]int
}

func (t *table) encode() []byte {
	var b []byte
	for i := range frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(t.at[i+1]-t.at[i]))
		b = binary.LittleEndian.AppendUint32(b, uint32(t.plain[i]))
	}
	b = binary.LittleEndian.AppendUint32(b, frames)
	b = append(b, 0)
	return skippable(skipTable, binary.LittleEndian.AppendUint32(b, tableMagic))
}

// parse reads the last tableSize bytes of a file of size bytes. Every size that
// it accepts is one that Write can make.
func (t *table) parse(b []byte, size int64) error {
	for i := range frames {
		e := b[skipStart+i*tableEntry:]
		packed, plain := int(binary.LittleEndian.Uint32(e)), int(binary.LittleEndian.Uint32(e[4:]))
		t.at[i+1], t.plain[i] = t.at[i]+int64(packed), plain
		var good bool
		switch m := i - 1; {
		case i == 0:
			good = plain == 0 && packed <= maxHeader
		case i == sumFrame:
			good = plain == 0 && packed == sumSize
		case m < firstTile:
			good = plain >= plainSize(m, minEntries) && plain <= maxPlain && plain%block == 0 && packed <= maxPacked(plain)
		default:
			good = plain == plainSize(m, tileSize) && packed <= maxPacked(plain)
		}
		if !good {
			return fmt.Errorf("frame %d cannot have %d bytes that unpack to %d", i, packed, plain)
		}
	}
	// All else is what encode makes of it.
	if t.at[frames] != size-tableSize || !bytes.Equal(b, t.encode()) {
		return fmt.Errorf("the seek table is not that of %d bytes", size)
	}
	return nil
}

// maxPacked bounds a frame: zstd stores what it cannot compress, with 3 bytes for
// each block of up to 128 KiB, and 22 around it (RFC 8878, section 3.1.1).
func maxPacked(plain int) int { return plain + 3*(plain>>17+1) + 22 }
