package picture_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gatehouse/engine/picture"
)

// noise is a picture whose every value differs from its neighbours'.
func noise(w, h int) *picture.Picture {
	p := picture.New(w, h)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range p.Pix {
		p.Pix[i] = byte(r.UintN(256))
	}
	return p
}

// even is a picture of one colour.
func even(w, h int, r, g, b byte) *picture.Picture {
	p := picture.New(w, h)
	for i := 0; i < len(p.Pix); i += 3 {
		p.Pix[i], p.Pix[i+1], p.Pix[i+2] = r, g, b
	}
	return p
}

func at(p *picture.Picture, x, y, c int) float64 { return float64(p.Pix[3*(y*p.Width+x)+c]) }

// warp gives the raw values of a warp, RGB, interleaved.
func warp(p *picture.Picture, w, h int, m picture.Transform, mode picture.Mode) []float32 {
	t := picture.Target{Width: w, Height: h, Interleaved: true, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}
	out := make([]float32, 3*w*h)
	p.Warp(out, &t, m, mode)
	return out
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %v; want %v ± %v", what, got, want, tolerance)
	}
}

// The identity gives each value its place in the tensor, normalised.
func TestWarpLayout(t *testing.T) {
	p := noise(5, 4)
	mean, std := []float32{10, 20, 30}, []float32{2, 4, 8}
	for _, c := range []struct {
		name        string
		colour      picture.Colour
		interleaved bool
		source      [3]int // of each channel
	}{
		{"RGB NCHW", picture.RGB, false, [3]int{0, 1, 2}}, {"RGB NHWC", picture.RGB, true, [3]int{0, 1, 2}},
		{"BGR NCHW", picture.BGR, false, [3]int{2, 1, 0}}, {"BGR NHWC", picture.BGR, true, [3]int{2, 1, 0}},
	} {
		target := picture.Target{Width: p.Width, Height: p.Height, Colour: c.colour, Interleaved: c.interleaved, Mean: mean, Std: std}
		if target.Channels() != 3 {
			t.Errorf("%s: %d channels", c.name, target.Channels())
		}
		out := make([]float32, 3*p.Width*p.Height)
		for _, mode := range []picture.Mode{picture.Black, picture.Replicate, picture.Point, picture.Replicate | picture.Point} {
			p.Warp(out, &target, picture.Identity(), mode)
			for y := range p.Height {
				for x := range p.Width {
					for ch, s := range c.source {
						i := (ch*p.Height+y)*p.Width + x
						if c.interleaved {
							i = (y*p.Width+x)*3 + ch
						}
						near(t, c.name, float64(out[i]), (at(p, x, y, s)-float64(mean[ch]))/float64(std[ch]), 1e-4)
					}
				}
			}
		}
	}
}

func TestWarpGrey(t *testing.T) {
	p := noise(5, 4)
	for _, interleaved := range []bool{false, true} {
		target := picture.Target{Width: 5, Height: 4, Colour: picture.Grey, Interleaved: interleaved, Mean: []float32{100}, Std: []float32{50}}
		if target.Channels() != 1 {
			t.Errorf("%d channels", target.Channels())
		}
		out := make([]float32, 20)
		p.Warp(out, &target, picture.Identity(), picture.Black)
		luma := p.Luma(5, 4)
		for i := range out {
			v := 0.299*at(p, i%5, i/5, 0) + 0.587*at(p, i%5, i/5, 1) + 0.114*at(p, i%5, i/5, 2)
			near(t, "grey", float64(out[i]), (v-100)/50, 1e-4)
			near(t, "luma", float64(luma[i]), v, 1e-2)
		}
	}
}

// Shrinking by a whole number averages exactly the pixels that become one,
// black or repeated beyond the border.
func TestShrinkIsBoxAverage(t *testing.T) {
	p := noise(24, 20)
	for _, c := range []struct{ x, y, kx, ky, w, h int }{
		{0, 0, 2, 2, 12, 10}, {0, 0, 3, 5, 8, 4}, {4, 6, 2, 7, 10, 2}, {1, 1, 1, 3, 20, 6}, {3, 2, 20, 1, 1, 18}, {0, 0, 24, 20, 1, 1},
		{-5, -9, 4, 3, 10, 12}, {-40, 3, 9, 2, 12, 30}, {17, -30, 5, 50, 6, 2}, {-100, -100, 200, 200, 2, 2},
	} {
		m := picture.Crop(float64(c.x), float64(c.y), float64(c.w*c.kx), float64(c.h*c.ky), c.w, c.h)
		for _, mode := range []picture.Mode{picture.Black, picture.Replicate} {
			for i, v := range warp(p, c.w, c.h, m, mode) {
				x, y := c.x+i/3%c.w*c.kx, c.y+i/3/c.w*c.ky
				sum := 0.0
				for dy := range c.ky {
					for dx := range c.kx {
						sum += bilinear(p, float64(x+dx), float64(y+dy), i%3, mode == picture.Replicate)
					}
				}
				near(t, "box", float64(v), sum/float64(c.kx*c.ky), 2e-2)
			}
		}
	}
}

// Shrinking by any number keeps the mean: every source pixel counts the same.
func TestShrinkKeepsTheMean(t *testing.T) {
	p := noise(61, 47)
	for _, size := range [][2]int{{60, 46}, {40, 47}, {61, 31}, {23, 17}, {7, 5}, {2, 1}} {
		for _, mode := range []picture.Mode{picture.Black, picture.Replicate} {
			out := warp(p, size[0], size[1], picture.Crop(0, 0, 61, 47, size[0], size[1]), mode)
			var got, want [3]float64
			for i, v := range out {
				got[i%3] += float64(v) / float64(len(out)/3)
			}
			for i, v := range p.Pix {
				want[i%3] += float64(v) / float64(len(p.Pix)/3)
			}
			for c := range 3 {
				near(t, "mean", got[c], want[c], 1e-2)
			}
		}
	}
}

// Enlarging is bilinear between pixel centres: by two, at quarters.
func TestEnlargeIsBilinear(t *testing.T) {
	p := noise(6, 5)
	out := warp(p, 12, 10, picture.Crop(0, 0, 6, 5, 12, 10), picture.Replicate)
	for i, v := range out {
		x, y, c := i/3%12, i/3/12, i%3
		near(t, "value", float64(v), bilinear(p, (float64(x)+0.5)/2-0.5, (float64(y)+0.5)/2-0.5, c, true), 1e-2)
	}
}

// bilinear is the reference: pixel by pixel.
func bilinear(p *picture.Picture, sx, sy float64, c int, replicate bool) (v float64) {
	x0, y0 := math.Floor(sx), math.Floor(sy)
	for j := range 2 {
		for i := range 2 {
			x, y := int(x0)+i, int(y0)+j
			w := (1 - math.Abs(sx-float64(x))) * (1 - math.Abs(sy-float64(y)))
			switch {
			case replicate:
				v += w * at(p, max(0, min(x, p.Width-1)), max(0, min(y, p.Height-1)), c)
			case x >= 0 && y >= 0 && x < p.Width && y < p.Height:
				v += w * at(p, x, y, c)
			}
		}
	}
	return v
}

// Rotated, sheared and shifted beyond every border, both modes follow the
// reference.
func TestWarpFollowsReference(t *testing.T) {
	p := noise(9, 7)
	for name, m := range map[string]picture.Transform{
		"shift":       picture.Affine(1, 0, -1.25, 0, 1, 2.5),
		"enlarged":    picture.Affine(0.5, 0, -2, 0, 0.7, -1.5),
		"mirror":      picture.Affine(-1, 0, 8, 0, 1, 0),
		"rotation":    picture.Rotation(0.4, 4, 3),
		"shear":       picture.Affine(0.8, 0.3, -1, -0.2, 0.9, 0.5),
		"perspective": {0.9, 0.05, -0.5, 0.02, 0.8, 0.3, 0.01, 0.02, 1},
	} {
		for _, mode := range []picture.Mode{picture.Black, picture.Replicate} {
			out := warp(p, 12, 11, m, mode|picture.Point)
			for i, v := range out {
				sx, sy := m.Apply(float64(i/3%12), float64(i/3/12))
				near(t, name, float64(v), bilinear(p, sx, sy, i%3, mode == picture.Replicate), 2e-2)
			}
		}
	}
}

func TestBorders(t *testing.T) {
	p := even(8, 8, 200, 100, 50)
	for _, c := range []struct {
		name             string
		m                picture.Transform
		black, replicate float64 // first pixel, red
	}{
		{"inside", picture.Identity(), 200, 200},
		{"half a pixel out", picture.Affine(1, 0, -0.5, 0, 1, 0), 100, 200},
		{"half out at a corner", picture.Affine(1, 0, -0.5, 0, 1, -0.5), 50, 200},
		{"half out at the far corner", picture.Affine(1, 0, 7.5, 0, 1, 7.5), 50, 200},
		{"a pixel out", picture.Affine(1, 0, 0, 0, 1, -1), 0, 200},
		{"far out", picture.Affine(1, 0, 1e6, 0, 1, -1e6), 0, 200},
		{"shrunk by 2, half out", picture.Crop(-1, 0, 8, 8, 4, 4), 100, 200},
		{"shrunk by 2, half out at a corner", picture.Crop(-1, -1, 8, 8, 4, 4), 50, 200},
		{"shrunk by 4, three quarters out", picture.Crop(7, 0, 16, 16, 4, 4), 50, 200},
		{"shrunk by 2, out", picture.Crop(-4, -4, 8, 8, 4, 4), 0, 200},
		{"shrunk by 3, far out", picture.Crop(1e6, 0, 12, 12, 4, 4), 0, 200},
		{"shrunk and turned, far out", picture.Rotation(1, 0, 0).Then(picture.Affine(3, 0, 1e5, 0, 3, 0)), 0, 200},
	} {
		near(t, c.name+", black", float64(warp(p, 4, 4, c.m, picture.Black)[0]), c.black, 0.05)
		near(t, c.name+", replicate", float64(warp(p, 4, 4, c.m, picture.Replicate)[0]), c.replicate, 0.05)
	}
}

// A shrinking warp that is not upright averages, unless told to take points.
func TestShrinkTurned(t *testing.T) {
	p := picture.New(30, 30) // stripes of one pixel, black and white
	for i := range p.Pix {
		p.Pix[i] = byte(255 * (i / 3 % 2))
	}
	m := picture.Crop(0, 0, 30, 30, 6, 6).Then(picture.Rotation(math.Pi/2, 14.5, 14.5))
	for _, v := range warp(p, 6, 6, m, picture.Replicate) {
		near(t, "two or three of five stripes", math.Abs(float64(v)-127.5), 25.5, 0.5)
	}
	for _, v := range warp(p, 6, 6, m, picture.Replicate|picture.Point) {
		near(t, "one stripe", math.Abs(float64(v)-127.5), 127.5, 0.5)
	}
}

func TestExtractAndResize(t *testing.T) {
	p := noise(10, 8)
	alike(t, p.Extract(10, 8, picture.Identity(), picture.Black), p, 0, 0)
	alike(t, p.Resize(10, 8), p, 0, 0)
	part := p.Extract(4, 3, picture.Crop(5, 2, 4, 3, 4, 3), picture.Black)
	want := picture.New(4, 3)
	for y := range 3 {
		copy(want.Pix[12*y:12*y+12], p.Pix[3*((y+2)*10+5):])
	}
	alike(t, part, want, 0, 0)
	alike(t, even(9, 9, 7, 8, 9).Resize(100, 3), even(100, 3, 7, 8, 9), 0, 0)
}
