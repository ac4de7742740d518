package picture_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/color/palette"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/engine/picture"
)

// The known picture: 67×45, four corner colours blended between. Odd sides, so
// that blocks and subsampled chroma end in the middle of something.
const knownW, knownH = 67, 45

var cornerColours = [4][3]int{{220, 40, 40}, {40, 200, 60}, {40, 60, 220}, {230, 220, 50}}

func knownAt(x, y int) (c color.NRGBA) {
	r, b, all := x, y, (knownW-1)*(knownH-1)
	l, t := knownW-1-r, knownH-1-b
	var v [3]uint8
	for i := range v {
		sum := l*t*cornerColours[0][i] + r*t*cornerColours[1][i] + l*b*cornerColours[2][i] + r*b*cornerColours[3][i]
		v[i] = uint8((2*sum + all) / (2 * all))
	}
	return color.NRGBA{v[0], v[1], v[2], 255}
}

// fadingAt is the known picture, opaque at the left, clear at the right.
func fadingAt(x, y int) color.NRGBA {
	c := knownAt(x, y)
	c.A = uint8(255 * (knownW - 1 - x) / (knownW - 1))
	return c
}

// fill paints the known picture into any kind of image.
func fill(m interface {
	image.Image
	Set(x, y int, c color.Color)
}, at func(x, y int) color.NRGBA) image.Image {
	for y := range knownH {
		for x := range knownW {
			m.Set(x, y, at(x, y))
		}
	}
	return m
}

func bounds() image.Rectangle { return image.Rect(0, 0, knownW, knownH) }

// shown is what a picture must look like: at, over white, through a filter.
func shown(at func(x, y int) color.NRGBA, filter func(color.NRGBA) color.NRGBA) *picture.Picture {
	p := picture.New(knownW, knownH)
	for y := range knownH {
		for x := range knownW {
			c := at(x, y)
			if filter != nil {
				c = filter(c)
			}
			for i, v := range [3]uint8{c.R, c.G, c.B} {
				p.Pix[3*(y*knownW+x)+i] = uint8((int(v)*int(c.A) + 255*(255-int(c.A)) + 127) / 255)
			}
		}
	}
	return p
}

func known() *picture.Picture { return shown(knownAt, nil) }

func toGrey(c color.NRGBA) color.NRGBA {
	g := color.GrayModel.Convert(color.NRGBA{c.R, c.G, c.B, 255}).(color.Gray).Y
	return color.NRGBA{g, g, g, c.A}
}

func toPalette(c color.NRGBA) color.NRGBA {
	return color.NRGBAModel.Convert(color.Palette(palette.Plan9).Convert(c)).(color.NRGBA)
}

// sample is a good file and what it shows.
type sample struct {
	name        string
	format      picture.Format
	data        []byte
	want        *picture.Picture
	mean, worst float64 // tolerances, of 255
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// samples are the good files of every kind.
func samples(t testing.TB) []sample {
	t.Helper()
	colour, grey := known(), shown(knownAt, toGrey)
	fading, fadingGrey := shown(fadingAt, nil), shown(fadingAt, toGrey)
	r := bounds()
	opaque := fill(image.NewNRGBA(r), knownAt)
	return []sample{
		{"jpeg baseline", picture.JPEG, jpegOf(t, opaque), colour, 2.5, 14},
		{"jpeg grey", picture.JPEG, jpegOf(t, fill(image.NewGray(r), knownAt)), grey, 1, 5},
		{"jpeg progressive", picture.JPEG, file(t, "progressive.jpg"), colour, 2.5, 14},
		{"jpeg spectral selection only", picture.JPEG, file(t, "spectral.jpg"), colour, 2.5, 14},
		{"jpeg 4:4:4, own tables", picture.JPEG, file(t, "optimised444.jpg"), colour, 2.5, 14},
		{"jpeg arithmetic", picture.JPEG, file(t, "arithmetic.jpg"), colour, 2.5, 14},
		{"jpeg CMYK, Adobe", picture.JPEG, file(t, "cmyk.jpg"), colour, 1.5, 8},
		{"jpeg CMYK, plain", picture.JPEG, file(t, "cmyk_plain.jpg"), colour, 1.5, 8},
		{"jpeg YCCK", picture.JPEG, file(t, "ycck.jpg"), colour, 2.5, 14},
		{"png 8-bit", picture.PNG, pngOf(t, opaque), colour, 0, 0},
		{"png 16-bit", picture.PNG, pngOf(t, fill(image.NewRGBA64(r), knownAt)), colour, 0, 0},
		{"png grey", picture.PNG, pngOf(t, fill(image.NewGray(r), knownAt)), grey, 0, 0},
		{"png grey 16-bit", picture.PNG, pngOf(t, fill(image.NewGray16(r), knownAt)), grey, 1, 1},
		{"png palette", picture.PNG, pngOf(t, fill(image.NewPaletted(r, palette.Plan9), knownAt)), shown(knownAt, toPalette), 0, 0},
		{"png alpha", picture.PNG, pngOf(t, fill(image.NewNRGBA(r), fadingAt)), fading, 0, 0},
		{"png alpha 16-bit", picture.PNG, pngOf(t, fill(image.NewNRGBA64(r), fadingAt)), fading, 1, 1},
		{"png grey alpha", picture.PNG, file(t, "grey_alpha.png"), fadingGrey, 1, 1},
		{"png interlaced", picture.PNG, file(t, "interlaced.png"), colour, 0, 0},
		{"webp lossy", picture.WebP, file(t, "lossy.webp"), colour, 2.5, 14},
		{"webp lossless", picture.WebP, file(t, "lossless.webp"), colour, 0, 0},
		{"webp lossy alpha", picture.WebP, file(t, "lossy_alpha.webp"), fading, 2.5, 14},
		{"webp lossless alpha", picture.WebP, file(t, "lossless_alpha.webp"), fading, 0, 0},
		{"webp EXIF 6", picture.WebP, file(t, "exif6.webp"), colour.Turn(1), 2.5, 14},
	}
}

func decode(data []byte, lim picture.Limits) (*picture.Picture, error) {
	return picture.Decode(context.Background(), data, lim)
}

// mustDecode decodes a file that has to be good.
func mustDecode(t testing.TB, data []byte, lim picture.Limits) *picture.Picture {
	t.Helper()
	p, err := decode(data, lim)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// alike fails unless got has want's size and its pixels, within the tolerances
// on their mean and on their worst difference.
func alike(t testing.TB, got, want *picture.Picture, mean, worst float64) {
	t.Helper()
	if got.Width != want.Width || got.Height != want.Height || len(got.Pix) != 3*got.Width*got.Height {
		t.Fatalf("size %d×%d, %d bytes; want %d×%d", got.Width, got.Height, len(got.Pix), want.Width, want.Height)
	}
	sum, most, at := 0.0, 0.0, 0
	for i, v := range got.Pix {
		d := float64(max(v, want.Pix[i]) - min(v, want.Pix[i]))
		sum += d
		if d > most {
			most, at = d, i
		}
	}
	if m := sum / float64(len(got.Pix)); m > mean || most > worst {
		x, y := at/3%got.Width, at/3/got.Width
		t.Errorf("differs by %.2f on average (at most %v), by %v at %d,%d channel %d (at most %v)", m, mean, most, x, y, at%3, worst)
	}
}
