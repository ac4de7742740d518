package raftlog

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

const (
	batchMagic = 0x47485242 // GHRB
	// Magic, sum of the head, length, count, first index, sum of the body, zero.
	batchHead = 32
	// Sum, lengths of data and extensions, type, index, term, seconds and
	// nanoseconds of AppendedAt.
	entryHead = 44
	// Batches begin at multiples of 8, so that a search for them is short (ours).
	align = 8

	// MaxData bytes of an entry (ours: what a command may have).
	MaxData = 1 << 20
	// MaxExtensions bytes of an entry (ours: Raft itself sets none).
	MaxExtensions = 64 << 10
	// maxBatch bounds the memory of the writer and what a crash can tear (ours:
	// 64 entries, which Raft sends together, of 64 KiB).
	maxBatch = 4 << 20
)

// sum is CRC-32C of the place and of b: bytes of another file, or of another
// place in this one, do not verify. Who does not know the salt cannot make any
// that do.
func sum(salt uint64, at int64, b []byte) uint32 {
	var place [16]byte
	binary.BigEndian.PutUint64(place[:], salt)
	binary.BigEndian.PutUint64(place[8:], uint64(at))
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(place[:], table), table, b)
}

// appendBatch makes one batch of the first logs, as many as it has room for, to
// stand at byte at of a file. It gives the offsets of their entries.
func appendBatch(b []byte, salt uint64, at int64, logs []*raft.Log) ([]byte, []uint32) {
	start := len(b)
	b = append(b, make([]byte, batchHead)...)
	var offsets []uint32
	for _, e := range logs {
		size := len(b) - start
		if len(offsets) > 0 && size+entryHead+len(e.Data)+len(e.Extensions)+align > maxBatch {
			break
		}
		offset := at + int64(size)
		offsets = append(offsets, uint32(offset))
		b = appendEntry(b, salt, offset, e)
	}
	b = append(b, make([]byte, -(len(b)-start)&(align-1))...)
	head := b[start : start+batchHead]
	binary.BigEndian.PutUint32(head, batchMagic)
	binary.BigEndian.PutUint32(head[8:], uint32(len(b)-start))
	binary.BigEndian.PutUint32(head[12:], uint32(len(offsets)))
	binary.BigEndian.PutUint64(head[16:], logs[0].Index)
	binary.BigEndian.PutUint32(head[24:], sum(salt, at, b[start+batchHead:]))
	binary.BigEndian.PutUint32(head[4:], sum(salt, at, head[8:]))
	return b, offsets
}

func appendEntry(b []byte, salt uint64, at int64, e *raft.Log) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.Extensions)))
	b = binary.BigEndian.AppendUint32(b, uint32(e.Type))
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = binary.BigEndian.AppendUint64(b, e.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(e.AppendedAt.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(e.AppendedAt.Nanosecond()))
	b = append(append(b, e.Data...), e.Extensions...)
	binary.BigEndian.PutUint32(b[start:], sum(salt, at, b[start+4:]))
	return b
}

// head of a batch.
type head struct {
	length, count int
	first         uint64
	body          uint32
}

// parseHead reads the head of a batch that stands at byte at, with room bytes to
// the end of the file. Nothing else in a file verifies as one.
func parseHead(b []byte, salt uint64, at, room int64) (h head, ok bool) {
	if len(b) < batchHead || binary.BigEndian.Uint32(b) != batchMagic || binary.BigEndian.Uint32(b[4:]) != sum(salt, at, b[8:batchHead]) {
		return h, false
	}
	length, count := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	h = head{int(length), int(count), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint32(b[24:])}
	return h, length <= maxBatch && int64(length) <= room && length%align == 0 &&
		count > 0 && batchHead+uint64(count)*entryHead <= uint64(length)
}

// whole says whether the body in b, a batch at byte at, is the one of h.
func (h *head) whole(b []byte, salt uint64, at int64) bool {
	return sum(salt, at, b[batchHead:]) == h.body
}

// split finds the entries of a whole batch and gives their offsets in the file. If
// not ok, whoever wrote it did not keep to the format.
func (h *head) split(b []byte, salt uint64, at int64, offsets []uint32) (all []uint32, ok bool) {
	next := batchHead
	for i := range h.count {
		n, ok := entrySize(b[next:])
		var e raft.Log
		if !ok || n > len(b)-next || !parseEntry(b[next:next+n], salt, at+int64(next), &e) || e.Index != h.first+uint64(i) {
			return nil, false
		}
		offsets = append(offsets, uint32(at+int64(next)))
		next += n
	}
	return offsets, len(b)-next < align && zeros(b[next:])
}

// entrySize is the length of the entry that b begins with.
func entrySize(b []byte) (n int, ok bool) {
	if len(b) < entryHead {
		return 0, false
	}
	data, extensions := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	return entryHead + int(data) + int(extensions), data <= MaxData && extensions <= MaxExtensions
}

// parseEntry reads an entry of all of b, which entrySize has measured and which
// stands at byte at. Data and extensions stay in b.
func parseEntry(b []byte, salt uint64, at int64, e *raft.Log) bool {
	kind, nano := binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[40:])
	if binary.BigEndian.Uint32(b) != sum(salt, at, b[4:]) || kind > 255 || nano >= 1e9 {
		return false
	}
	*e = raft.Log{Type: raft.LogType(kind), Index: binary.BigEndian.Uint64(b[16:]), Term: binary.BigEndian.Uint64(b[24:]),
		AppendedAt: time.Unix(int64(binary.BigEndian.Uint64(b[32:])), int64(nano)).UTC()}
	end := entryHead + int(binary.BigEndian.Uint32(b[4:]))
	if end > entryHead {
		e.Data = b[entryHead:end:end]
	}
	if end < len(b) {
		e.Extensions = b[end:]
	}
	return true
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
