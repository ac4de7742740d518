package picture_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
)

// This file cuts open the three formats and sews them together again, with
// correct lengths and checksums.

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func be32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
func le24(v int) []byte { return le32(v)[:3] }

// jpegWith inserts a segment as the first.
func jpegWith(data []byte, marker byte, body []byte) []byte {
	return slices.Concat(data[:2], []byte{0xff, marker}, be16(len(body)+2), body, data[2:])
}

// jpegFrame is where the frame header (SOF) lies: its precision, height and
// width.
func jpegFrame(t testing.TB, data []byte) []byte {
	t.Helper()
	for i := 2; i+9 < len(data) && data[i] == 0xff; i += 2 + int(binary.BigEndian.Uint16(data[i+2:])) {
		if m := data[i+1]; m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc {
			return data[i+4 : i+9]
		}
	}
	t.Fatal("no SOF")
	return nil
}

// jpegSized makes the file declare another size.
func jpegSized(t testing.TB, data []byte, w, h int) []byte {
	t.Helper()
	data = bytes.Clone(data)
	f := jpegFrame(t, data)
	binary.BigEndian.PutUint16(f[1:], uint16(h))
	binary.BigEndian.PutUint16(f[3:], uint16(w))
	return data
}

func pngChunk(kind string, body []byte) []byte {
	c := slices.Concat(be32(len(body)), []byte(kind), body)
	return append(c, be32(int(crc32.ChecksumIEEE(c[4:])))...)
}

const pngHeaderEnd = 8 + 12 + 13 // signature and IHDR

// pngWith inserts a chunk after IHDR.
func pngWith(data []byte, kind string, body []byte) []byte {
	return slices.Concat(data[:pngHeaderEnd], pngChunk(kind, body), data[pngHeaderEnd:])
}

// pngSized makes the file declare another size.
func pngSized(data []byte, w, h int) []byte {
	header := slices.Concat(be32(w), be32(h), data[24:29])
	return slices.Concat(data[:8], pngChunk("IHDR", header), data[pngHeaderEnd:])
}

type chunk struct {
	kind string
	body []byte
}

// webpChunks takes a file apart.
func webpChunks(data []byte) (list []chunk) {
	for rest := data[12:]; len(rest) >= 8; {
		n := int(binary.LittleEndian.Uint32(rest[4:]))
		list = append(list, chunk{string(rest[:4]), rest[8 : 8+n]})
		rest = rest[8+n+n&1:]
	}
	return list
}

func webpOf(list ...chunk) []byte {
	body := []byte("WEBP")
	for _, c := range list {
		body = slices.Concat(body, []byte(c.kind), le32(len(c.body)), c.body, make([]byte, len(c.body)&1))
	}
	return slices.Concat([]byte("RIFF"), le32(len(body)), body)
}

// vp8x is the extended header; flags: 2 animation, 8 EXIF, 16 alpha.
func vp8x(flags byte, w, h int) chunk {
	return chunk{"VP8X", slices.Concat([]byte{flags, 0, 0, 0}, le24(w-1), le24(h-1))}
}

// webpFrame is the chunk of a simple file.
func webpFrame(t testing.TB, data []byte) chunk {
	t.Helper()
	for _, c := range webpChunks(data) {
		if c.kind == "VP8 " || c.kind == "VP8L" {
			return c
		}
	}
	t.Fatal("no frame")
	return chunk{}
}

// vp8Sized is a VP8 chunk that declares another size.
func vp8Sized(c chunk, w, h int) chunk {
	b := bytes.Clone(c.body)
	binary.LittleEndian.PutUint16(b[6:], uint16(w))
	binary.LittleEndian.PutUint16(b[8:], uint16(h))
	return chunk{c.kind, b}
}

// vp8lSized is a VP8L chunk that declares another size.
func vp8lSized(c chunk, w, h int) chunk {
	b := bytes.Clone(c.body)
	bits := binary.LittleEndian.Uint32(b[1:])
	binary.LittleEndian.PutUint32(b[1:], bits&^(1<<28-1)|uint32(w-1)|uint32(h-1)<<14)
	return chunk{c.kind, b}
}

// tiff is an EXIF body with an orientation as its second entry.
func tiff(order byteOrder, orientation int) []byte {
	mark := "II*\x00"
	if order.Uint16([]byte{0, 1}) == 1 {
		mark = "MM\x00*"
	}
	b := order.AppendUint32([]byte(mark), 8)
	b = order.AppendUint16(b, 2) // entries
	for _, e := range [2][2]int{{0x0100, 1}, {0x0112, orientation}} {
		b = order.AppendUint16(b, uint16(e[0]))
		b = order.AppendUint16(b, 3) // SHORT
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, uint16(e[1]))
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}
