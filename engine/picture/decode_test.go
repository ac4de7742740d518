package picture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"slices"
	"strings"
	"testing"

	"gatehouse/engine/picture"
)

func TestDecode(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			p := mustDecode(t, s.data, picture.DefaultLimits())
			if p.Format != s.format || p.FullWidth != p.Width || p.FullHeight != p.Height || p.Reduction() != 1 {
				t.Errorf("format %s, full size %d×%d", p.Format, p.FullWidth, p.FullHeight)
			}
			alike(t, p, s.want, s.mean, s.worst)
		})
	}
}

// What comes after a picture's end belongs to someone else: a second picture of
// a phone's burst, a mail client's newline.
func TestTrailingGarbage(t *testing.T) {
	for _, s := range samples(t) {
		for _, tail := range [][]byte{{0}, []byte("\r\n"), bytes.Repeat([]byte("garbage\xff"), 1000), s.data} {
			p, err := decode(slices.Concat(s.data, tail), picture.DefaultLimits())
			if err != nil {
				t.Errorf("%s and %d bytes: %v", s.name, len(tail), err)
				continue
			}
			alike(t, p, s.want, s.mean, s.worst)
		}
	}
}

// cuts are the places to cut n bytes at: all along, and close at both ends.
func cuts(n int) (list []int) {
	for i := range 32 {
		list = append(list, i*n/32)
	}
	for i := range 16 {
		list = append(list, i, n-1-i)
	}
	return list
}

// A picture cut anywhere is refused, unless what is missing is no pixel's.
func TestTruncated(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			whole := mustDecode(t, s.data, picture.DefaultLimits())
			for _, n := range cuts(len(s.data)) {
				p, err := decode(s.data[:n], picture.DefaultLimits())
				switch {
				case err == nil:
					if !bytes.Equal(p.Pix, whole.Pix) {
						t.Errorf("cut to %d of %d bytes: half a picture", n, len(s.data))
					}
				case errors.Is(err, picture.ErrUnsupported) && n >= 12:
					t.Errorf("cut to %d of %d bytes, the format is still plain: %v", n, len(s.data), err)
				case !isOne(err, picture.ErrTruncated, picture.ErrCorrupt, picture.ErrEmpty, picture.ErrUnsupported):
					t.Errorf("cut to %d of %d bytes: %v", n, len(s.data), err)
				}
			}
		})
	}
}

// A WebP frame cut short inside a container that is whole.
func TestTruncatedFrame(t *testing.T) {
	for _, name := range []string{"lossy.webp", "lossless.webp"} {
		whole := mustDecode(t, file(t, name), picture.DefaultLimits())
		c := webpFrame(t, file(t, name))
		for _, n := range cuts(len(c.body)) {
			p, err := decode(webpOf(chunk{c.kind, c.body[:n]}), picture.DefaultLimits())
			if err == nil && !bytes.Equal(p.Pix, whole.Pix) {
				t.Errorf("%s cut to %d of %d bytes: half a picture", name, n, len(c.body))
			}
			if err != nil && !isOne(err, picture.ErrTruncated, picture.ErrCorrupt) {
				t.Errorf("%s cut to %d of %d bytes: %v", name, n, len(c.body), err)
			}
		}
	}
}

func isOne(err error, list ...error) bool {
	return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
}

func TestRefused(t *testing.T) {
	baseline := jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	flat := pngOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	precise := bytes.Clone(baseline)
	jpegFrame(t, precise)[0] = 12
	flipped := bytes.Clone(flat)
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		name, data string
		want       error
		say        string
	}{
		{"nothing", "", picture.ErrEmpty, "empty"},
		{"text", "Dear all,\nplease find attached.\n", picture.ErrUnsupported, "text"},
		{"PDF", "%PDF-1.7\n%\xe2\xe3", picture.ErrUnsupported, "PDF"},
		{"GIF", "GIF89a\x01\x00\x01\x00", picture.ErrUnsupported, "GIF"},
		{"HEIC", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", picture.ErrUnsupported, "HEIC"},
		{"HEIF", "\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00", picture.ErrUnsupported, "HEIF"},
		{"AVIF", "\x00\x00\x00\x18ftypavif\x00\x00\x00\x00", picture.ErrUnsupported, "AVIF"},
		{"BMP", "BM\x00\x00\x00\x00", picture.ErrUnsupported, "BMP"},
		{"TIFF", "II*\x00\x08\x00\x00\x00", picture.ErrUnsupported, "TIFF"},
		{"zip", "PK\x03\x04\x14\x00", picture.ErrUnsupported, "zip"},
		{"zeros", strings.Repeat("\x00", 100), picture.ErrUnsupported, "not a JPEG"},
		{"other RIFF", "RIFF\x04\x00\x00\x00WAVE", picture.ErrUnsupported, "not a JPEG"},
		{"jpeg 12-bit", string(file(t, "twelve.jpg")), picture.ErrUnsupported, "jpeg"},
		{"jpeg 12-bit by its header only", string(precise), picture.ErrUnsupported, "jpeg"},
		{"jpeg lossless", string(file(t, "lossless.jpg")), picture.ErrUnsupported, "jpeg"},
		{"png animated", string(pngWith(flat, "acTL", slices.Concat(be32(2), be32(0)))), picture.ErrAnimated, "single picture"},
		{"png with a bad checksum", string(flipped), picture.ErrCorrupt, "png"},
		{"png without IHDR", string(slices.Concat(flat[:8], flat[pngHeaderEnd:])), picture.ErrCorrupt, "IHDR"},
		{"webp animated", string(file(t, "animated.webp")), picture.ErrAnimated, "single picture"},
		{"webp without a frame", string(webpOf(vp8x(0, 8, 8))), picture.ErrCorrupt, "no frame"},
	} {
		p, err := decode([]byte(c.data), picture.DefaultLimits())
		if p != nil || !errors.Is(err, c.want) || !picture.Refused(err) {
			t.Errorf("%s: %v", c.name, err)
		} else if !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %q does not say %q", c.name, err, c.say)
		}
	}
}

func TestRefusedIsNotCancelled(t *testing.T) {
	for _, err := range []error{nil, context.Canceled, context.DeadlineExceeded, errors.New("no disk")} {
		if picture.Refused(err) {
			t.Errorf("%v is taken for the input's fault", err)
		}
	}
}

// Every orientation, in each format and byte order.
func TestOrientation(t *testing.T) {
	baseline := jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	flat := pngOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	frame := webpFrame(t, file(t, "lossless.webp"))
	for o := 1; o <= 8; o++ {
		for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
			exif := tiff(order, o)
			app1 := slices.Concat([]byte("Exif\x00\x00"), exif)
			for name, data := range map[string][]byte{
				"jpeg":               jpegWith(baseline, 0xe1, app1),
				"jpeg, XMP first":    jpegWith(jpegWith(baseline, 0xe1, app1), 0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00")),
				"png":                pngWith(flat, "eXIf", exif),
				"webp":               webpOf(vp8x(8, knownW, knownH), frame, chunk{"EXIF", exif}),
				"webp, with preface": webpOf(vp8x(8, knownW, knownH), frame, chunk{"EXIF", app1}),
			} {
				p := mustDecode(t, data, picture.DefaultLimits())
				if p.FullWidth != p.Width || p.FullHeight != p.Height {
					t.Errorf("%s, %d: full size %d×%d", name, o, p.FullWidth, p.FullHeight)
				}
				alike(t, p, upright(o), 2.5, 14)
			}
		}
	}
}

// upright is the known picture as orientation o shows it: EXIF names where the
// stored first row and first column lie.
func upright(o int) *picture.Picture {
	stored := known()
	w, h := knownW, knownH
	if o >= 5 {
		w, h = h, w
	}
	p := picture.New(w, h)
	for y := range h {
		for x := range w {
			row, column := y, x // rows from the top, columns from the left
			switch o {
			case 2:
				column = w - 1 - x
			case 3:
				row, column = h-1-y, w-1-x
			case 4:
				row = h - 1 - y
			case 5: // first row is the left side, first column the top
				row, column = x, y
			case 6: // right side, top
				row, column = w-1-x, y
			case 7: // right side, bottom
				row, column = w-1-x, h-1-y
			case 8: // left side, bottom
				row, column = x, h-1-y
			}
			copy(p.Pix[3*(y*w+x):][:3], stored.Pix[3*(row*knownW+column):])
		}
	}
	return p
}

func TestMalformedEXIFIsIgnored(t *testing.T) {
	baseline := jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt))
	good := tiff(binary.LittleEndian, 6)
	at := func(i int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[i:], v)
		return b
	}
	for name, exif := range map[string][]byte{
		"empty": {}, "short": good[:7], "no such order": at(0, 'X', 'X'), "entries beyond the end": good[:20],
		"orientation 0": tiff(binary.BigEndian, 0), "orientation 9": tiff(binary.BigEndian, 9),
		"directory beyond the end": at(4, 0xff, 0xff, 0xff, 0xff), "directory at the end": at(4, byte(len(good)-1)),
		"more entries than bytes": at(8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			data := jpegWith(baseline, 0xe1, slices.Concat([]byte("Exif\x00\x00"), exif))
			alike(t, mustDecode(t, data, picture.DefaultLimits()), known(), 2.5, 14)
		})
	}
}
