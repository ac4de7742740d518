package raftlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	fileMagic = "GHRAFTLG"
	// Format of the files.
	Format = 1

	// The header has a sector to itself: no later write touches it.
	headerSize = 512
	headerSum  = headerSize - 4
	maxCluster = 64 // bytes

	suffix = ".log"
	temp   = ".new" // after the name of a file that is not whole yet

	// No Raft log grows so long; so no index overflows.
	maxIndex = 1 << 62
)

// fileName of the segment whose first entry is base.
func fileName(base uint64) string { return fmt.Sprintf("%020d%s", base, suffix) }

// parseName says which segment a file is; ours is false for other files.
func parseName(name string) (base uint64, ours bool) {
	digits, ours := strings.CutSuffix(name, suffix)
	base, err := strconv.ParseUint(digits, 10, 64)
	return base, ours && err == nil && fileName(base) == name && base > 0 && base <= maxIndex
}

// header of a segment: magic, format, zero, base, salt, cluster after its length,
// zeros, sum.
func header(base, salt uint64, cluster string) []byte {
	b := append(make([]byte, 0, headerSize), fileMagic...)
	b = binary.BigEndian.AppendUint32(b, Format)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint64(b, base)
	b = binary.BigEndian.AppendUint64(b, salt)
	b = append(append(b, byte(len(cluster))), cluster...)
	b = append(b, make([]byte, headerSum-len(b))...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// parseHeader gives the salt of the segment base of a cluster.
func parseHeader(b []byte, base uint64, cluster string) (salt uint64, err error) {
	if string(b[:len(fileMagic)]) != fileMagic || binary.BigEndian.Uint32(b[headerSum:]) != crc32.Checksum(b[:headerSum], crc32.MakeTable(crc32.Castagnoli)) {
		return 0, fmt.Errorf("%w: the header", ErrDamaged)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != Format { // every format keeps magic, format and sum where they are
		return 0, fmt.Errorf("%w: format %d", ErrFormat, v)
	}
	salt = binary.BigEndian.Uint64(b[24:])
	n := min(int(b[32]), maxCluster)
	is := string(b[33 : 33+n])
	switch {
	case !bytes.Equal(b, header(base, salt, is)):
		return 0, fmt.Errorf("%w: the header is that of segment %d", ErrDamaged, binary.BigEndian.Uint64(b[16:]))
	case is != cluster:
		return 0, fmt.Errorf("%w: %q, not %q", ErrCluster, is, cluster)
	}
	return salt, nil
}
