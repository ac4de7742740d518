package picture_test

import (
	"encoding/binary"
	"errors"
	"image"
	"slices"
	"testing"

	"gatehouse/engine/picture"
)

// oriented are the known picture's files in the three formats, each with an
// EXIF orientation.
func oriented(t testing.TB, o int) map[picture.Format][]byte {
	t.Helper()
	exif := tiff(binary.BigEndian, o)
	app1 := slices.Concat([]byte("Exif\x00\x00"), exif)
	return map[picture.Format][]byte{
		picture.JPEG: jpegWith(jpegOf(t, fill(image.NewNRGBA(bounds()), knownAt)), 0xe1, app1),
		picture.PNG:  pngWith(pngOf(t, fill(image.NewNRGBA(bounds()), knownAt)), "eXIf", exif),
		picture.WebP: webpOf(vp8x(8, knownW, knownH), webpFrame(t, file(t, "lossy.webp")), chunk{"EXIF", exif}),
	}
}

func TestLimits(t *testing.T) {
	const area = knownW * knownH
	for format, data := range oriented(t, 1) {
		size := len(data)
		for _, c := range []struct {
			name string
			lim  picture.Limits
			want error
		}{
			{"exactly", picture.Limits{Bytes: size, Pixels: area}, nil},
			{"a byte less", picture.Limits{Bytes: size - 1, Pixels: area}, picture.ErrTooLarge},
			{"a pixel less", picture.Limits{Bytes: size, Pixels: area - 1}, picture.ErrTooLarge},
			{"a pixel less, reduced", picture.Limits{Bytes: size, Pixels: area - 1, LongSide: 8}, picture.ErrTooLarge},
			{"none", picture.Limits{}, picture.ErrTooLarge},
		} {
			if p, err := decode(data, c.lim); !errors.Is(err, c.want) || (p == nil) != (c.want != nil) {
				t.Errorf("%s, %s: %v; want %v", format, c.name, err, c.want)
			}
		}
	}
}

func TestReduction(t *testing.T) {
	for _, orientation := range []int{1, 6} {
		for format, data := range oriented(t, orientation) {
			for _, c := range []struct{ longSide, reduction int }{
				{0, 1}, {1000, 1}, {67, 1}, {34, 1}, {33, 2}, {17, 2}, {16, 4}, {9, 4}, {8, 8}, {1, 8},
			} {
				lim := picture.DefaultLimits()
				lim.LongSide = c.longSide
				p := mustDecode(t, data, lim)
				want := reduced(c.reduction)
				fullW, fullH := knownW, knownH
				if orientation == 6 {
					want, fullW, fullH = want.Turn(1), knownH, knownW
				}
				if p.FullWidth != fullW || p.FullHeight != fullH {
					t.Errorf("%s, %+v: full size %d×%d; want %d×%d", format, c, p.FullWidth, p.FullHeight, fullW, fullH)
				}
				alike(t, p, want, 5, 20)
			}
		}
	}
}

// reduced is the known picture with r × r pixels made one; the last of a row or
// column may stand for fewer.
func reduced(r int) *picture.Picture {
	p := picture.New((knownW+r-1)/r, (knownH+r-1)/r)
	full := known()
	for y := range p.Height {
		for x := range p.Width {
			w, h := min(r, knownW-x*r), min(r, knownH-y*r)
			for c := range 3 {
				sum := 0
				for j := range h {
					for i := range w {
						sum += int(full.Pix[3*((y*r+j)*knownW+x*r+i)+c])
					}
				}
				p.Pix[3*(y*p.Width+x)+c] = byte(sum / (w * h))
			}
		}
	}
	return p
}
