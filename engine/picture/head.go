package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// sniff names the format by the first bytes; what else people send is named in
// the error.
func sniff(data []byte) (Format, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return JPEG, nil
	case bytes.HasPrefix(data, []byte(pngSignature)):
		return PNG, nil
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return WebP, nil
	}
	for _, other := range []struct {
		at         int
		magic, say string
	}{
		{0, "GIF8", "a GIF picture"}, {0, "BM", "a BMP picture"}, {0, "II*\x00", "a TIFF picture"}, {0, "MM\x00*", "a TIFF picture"},
		{0, "%PDF", "a PDF document; send its page as a picture"}, {4, "ftypheic", "a HEIC picture; set the phone's camera to \"most compatible\""},
		{4, "ftypheix", "a HEIC picture; set the phone's camera to \"most compatible\""}, {4, "ftypmif1", "a HEIF picture"},
		{4, "ftypavif", "an AVIF picture"}, {0, "\x00\x00\x00\x0cJXL ", "a JPEG XL picture"}, {0, "PK\x03\x04", "a zip archive"},
		{0, "\xff\xd8", "cut off after two bytes of a JPEG picture"},
	} {
		if len(data) >= other.at+len(other.magic) && string(data[other.at:other.at+len(other.magic)]) == other.magic {
			return "", fmt.Errorf("%w: it is %s", ErrUnsupported, other.say)
		}
	}
	for _, b := range data[:min(len(data), 512)] {
		if b < 9 || b > 13 && b < 32 {
			return "", ErrUnsupported
		}
	}
	return "", fmt.Errorf("%w: it looks like text", ErrUnsupported)
}

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngHead walks the chunks (PNG 3rd edition, section 5.3).
func pngHead(data []byte) (head, error) {
	var h head
	rest := data[len(pngSignature):]
	for first := true; ; first = false {
		if len(rest) < 12 {
			if first {
				return h, fmt.Errorf("%w in its header", ErrTruncated)
			}
			return h, nil // the decoder judges the end
		}
		n, kind := binary.BigEndian.Uint32(rest), string(rest[4:8])
		if uint64(n) > uint64(len(rest)-12) {
			if first {
				return h, fmt.Errorf("%w in its header", ErrTruncated)
			}
			return h, nil
		}
		body := rest[8 : 8+n]
		switch {
		case first && (kind != "IHDR" || n != 13):
			return h, fmt.Errorf("%w: no IHDR", ErrCorrupt)
		case first:
			w, ht := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
			if w > 1<<31-1 || ht > 1<<31-1 {
				return h, fmt.Errorf("%w: it declares %d×%d pixels", ErrCorrupt, w, ht)
			}
			h.width, h.height = int(w), int(ht)
		case kind == "acTL":
			h.frames = true
		case kind == "eXIf":
			h.orientation = exifOrientation(body)
		case kind == "IEND":
			return h, nil
		}
		rest = rest[12+n:]
	}
}

// webpHead walks the RIFF chunks (RFC 9649). Canvas and frame must agree: the
// decoder allocates by the frame, the limits must have seen it.
func webpHead(data []byte) (head, error) {
	var h head
	size := int64(binary.LittleEndian.Uint32(data[4:]))
	if size+8 > int64(len(data)) {
		return h, fmt.Errorf("%w: %d of %d bytes are there", ErrTruncated, len(data), size+8)
	}
	if size < 4 {
		return h, fmt.Errorf("%w: its size ends before its name", ErrCorrupt)
	}
	rest := data[12 : size+8]
	canvas := [2]int{}
	found := false
	for len(rest) >= 8 {
		kind, n := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		if n > int64(len(rest)-8) {
			return h, fmt.Errorf("%w in chunk %q", ErrTruncated, kind)
		}
		body := rest[8 : 8+n]
		frame := [2]int{}
		switch kind {
		case "VP8X":
			if n < 10 {
				return h, fmt.Errorf("%w: short VP8X", ErrCorrupt)
			}
			if canvas != [2]int{} { // the decoder would take memory by the first
				return h, fmt.Errorf("%w: two canvases", ErrCorrupt)
			}
			canvas = [2]int{1 + int24(body[4:]), 1 + int24(body[7:])}
			h.frames = h.frames || body[0]&2 != 0
		case "ANIM", "ANMF":
			h.frames = true
		case "EXIF":
			h.orientation = exifOrientation(bytes.TrimPrefix(body, []byte("Exif\x00\x00")))
		case "VP8 ":
			if n < 10 {
				return h, fmt.Errorf("%w: short VP8 frame", ErrTruncated)
			}
			frame = [2]int{int(binary.LittleEndian.Uint16(body[6:])) & 0x3fff, int(binary.LittleEndian.Uint16(body[8:])) & 0x3fff}
			found = true
		case "VP8L":
			if n < 5 || body[0] != 0x2f {
				return h, fmt.Errorf("%w: bad VP8L header", ErrCorrupt)
			}
			b := binary.LittleEndian.Uint32(body[1:])
			frame = [2]int{1 + int(b&0x3fff), 1 + int(b>>14&0x3fff)}
			found = true
		}
		if frame != [2]int{} {
			if h.width != 0 && frame != [2]int{h.width, h.height} {
				return h, fmt.Errorf("%w: two frames of different size", ErrCorrupt)
			}
			h.width, h.height = frame[0], frame[1]
		}
		n += n & 1
		rest = rest[8+min(n, int64(len(rest)-8)):]
	}
	if h.frames {
		h.width, h.height = max(h.width, canvas[0]), max(h.height, canvas[1])
		return h, nil
	}
	if !found {
		return h, fmt.Errorf("%w: it holds no frame", ErrCorrupt)
	}
	if canvas != [2]int{} && canvas != [2]int{h.width, h.height} {
		return h, fmt.Errorf("%w: canvas %v, frame %d×%d", ErrCorrupt, canvas, h.width, h.height)
	}
	return h, nil
}

func int24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// jpegOrientation finds the EXIF segment before the first scan.
func jpegOrientation(data []byte) int {
	for rest := data[2:]; len(rest) >= 4 && rest[0] == 0xff; {
		marker := rest[1]
		if marker == 0xff { // fill byte
			rest = rest[1:]
			continue
		}
		if marker == 0xda || marker == 0xd9 {
			return 0
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < 2 || n+2 > len(rest) {
			return 0
		}
		if body := rest[4 : 2+n]; marker == 0xe1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")) {
			return exifOrientation(body[6:])
		}
		rest = rest[2+n:]
	}
	return 0
}

// exifOrientation reads tag 0x0112 of IFD 0 (Exif 2.32, 4.6.4); 0 where there
// is none or it makes no sense.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	if string(tiff[:2]) == "MM" {
		order = binary.BigEndian
	} else if string(tiff[:2]) != "II" {
		return 0
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 0
		}
		if order.Uint16(entries) == 0x0112 {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return 0
		}
		entries = entries[12:]
	}
	return 0
}
