package picture_test

import (
	"bytes"
	"math"
	"testing"

	"gatehouse/engine/picture"
)

// maps fails unless m takes x, y to u, v.
func maps(t *testing.T, what string, m picture.Transform, x, y, u, v float64) {
	t.Helper()
	if gx, gy := m.Apply(x, y); !(math.Hypot(gx-u, gy-v) < 1e-9) {
		t.Errorf("%s: %v,%v goes to %v,%v; want %v,%v", what, x, y, gx, gy, u, v)
	}
}

func TestTransforms(t *testing.T) {
	maps(t, "identity", picture.Identity(), 3, 4, 3, 4)
	maps(t, "affine", picture.Affine(2, 3, 4, 5, 6, 7), 1, 10, 36, 72)
	// Pixel edges: the crop's first pixel covers 10..12, its centre is 10.5.
	maps(t, "crop", picture.Crop(10, 20, 8, 12, 4, 4), 0, 0, 10.5, 21)
	maps(t, "crop, far edge", picture.Crop(10, 20, 8, 12, 4, 4), 3.5, 3.5, 17.5, 31.5)
	maps(t, "rotation's centre", picture.Rotation(1, 5, 6), 5, 6, 5, 6)
	maps(t, "rotation", picture.Rotation(math.Pi/2, 5, 6), 7, 6, 5, 8) // right becomes down
	maps(t, "perspective", picture.Transform{1, 2, 3, 4, 5, 6, 0.5, 0, 2}, 2, 1, 7.0/3, 19.0/3)
	turn, shift := picture.Rotation(math.Pi/2, 0, 0), picture.Affine(1, 0, 10, 0, 1, 0)
	maps(t, "turn, then shift", turn.Then(shift), 1, 0, 10, 1)
	maps(t, "shift, then turn", shift.Then(turn), 1, 0, 0, 11)
}

func TestTurn(t *testing.T) {
	p := noise(5, 3)
	p.FullWidth, p.FullHeight, p.Format = 50, 30, picture.PNG
	right := p.Turn(1)
	if right.Width != 3 || right.Height != 5 || right.FullWidth != 30 || right.FullHeight != 50 || right.Format != picture.PNG {
		t.Errorf("%d×%d of %d×%d, %s", right.Width, right.Height, right.FullWidth, right.FullHeight, right.Format)
	}
	for y := range p.Height {
		for x := range p.Width {
			near(t, "clockwise: the top row becomes the right column", at(right, p.Height-1-y, x, 0), at(p, x, y, 0), 0)
		}
	}
	alike(t, right.Turn(1), p.Turn(2), 0, 0)
	alike(t, p.Turn(2).Turn(1), p.Turn(3), 0, 0)
	alike(t, p.Turn(-1), p.Turn(3), 0, 0)
	alike(t, p.Turn(3).Turn(1), p, 0, 0)
	alike(t, p.Turn(4), p, 0, 0)
}

// Sampling along axes turned clockwise shows the picture turned the other way.
func TestRotationIsTurn(t *testing.T) {
	p := noise(7, 7)
	for quarters := range 4 {
		for _, mode := range []picture.Mode{picture.Replicate, picture.Replicate | picture.Point} {
			m := picture.Rotation(-float64(quarters)*math.Pi/2, 3, 3)
			alike(t, p.Extract(7, 7, m, mode), p.Turn(quarters), 0, 0)
		}
	}
	wide := noise(9, 5) // turned within a frame of the other shape
	alike(t, wide.Extract(5, 9, picture.Affine(0, 1, 0, -1, 0, 4), picture.Black), wide.Turn(1), 0, 0)
}

func TestInvert(t *testing.T) {
	for name, m := range map[string]picture.Transform{
		"identity": picture.Identity(), "rotation": picture.Rotation(0.7, 100, 50), "crop": picture.Crop(3, 4, 50, 60, 7, 9),
		"perspective": {1.2, 0.1, 5, -0.2, 0.9, 7, 0.001, -0.002, 1}, "scaled": {2, 0, 0, 0, 2, 0, 0, 0, 4},
	} {
		inv, ok := m.Invert()
		if !ok {
			t.Errorf("%s has no inverse", name)
		}
		for _, q := range [][2]float64{{0, 0}, {10, 3}, {-5, 20}} {
			maps(t, name+" and back", m.Then(inv), q[0], q[1], q[0], q[1])
			maps(t, name+", undone first", inv.Then(m), q[0], q[1], q[0], q[1])
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, m := range []picture.Transform{{}, picture.Affine(1, 1, 0, 1, 1, 0), picture.Affine(nan, 0, 0, 0, 1, 0), picture.Affine(inf, 0, 0, 0, 1, 0)} {
		if _, ok := m.Invert(); ok {
			t.Errorf("%v has an inverse", m)
		}
	}
}

func TestSimilarity(t *testing.T) {
	from := [][2]float64{{38, 51}, {73, 51}, {56, 71}, {41, 92}, {70, 92}}
	known := picture.Affine(1.5*math.Cos(0.3), -1.5*math.Sin(0.3), 20, 1.5*math.Sin(0.3), 1.5*math.Cos(0.3), -7)
	var to [][2]float64
	for _, p := range from {
		x, y := known.Apply(p[0], p[1])
		to = append(to, [2]float64{x, y})
	}
	got, ok := picture.Similarity(from, to)
	if !ok {
		t.Fatal("none found")
	}
	for i := range known {
		near(t, "coefficient", got[i], known[i], 1e-9)
	}

	// Pulled apart evenly, the best fit stays; a mirror image is not followed.
	to[0][0], to[1][0] = to[0][0]-1, to[1][0]+1
	to[0][1], to[1][1] = to[0][1]-1, to[1][1]+1
	if got, ok = picture.Similarity(from, to); !ok || got[0] != got[4] || got[1] != -got[3] {
		t.Errorf("not a similarity: %v", got)
	}
	if _, ok := picture.Similarity([][2]float64{{5, 5}, {5, 5}}, [][2]float64{{1, 2}, {3, 4}}); ok {
		t.Error("coinciding points have a similarity")
	}
	if _, ok := picture.Similarity(nil, nil); ok {
		t.Error("no points have a similarity")
	}
	if _, ok := picture.Similarity([][2]float64{{0, 0}, {math.NaN(), 1}}, [][2]float64{{0, 0}, {1, 1}}); ok {
		t.Error("NaN has a similarity")
	}
}

// Transforms that make no sense give pixels that make none, and nothing else.
func TestDegenerateWarps(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, p := range []*picture.Picture{even(1, 1, 9, 9, 9), even(1, 6, 9, 9, 9), even(6, 1, 9, 9, 9), noise(6, 5)} {
		before := bytes.Clone(p.Pix)
		for _, m := range []picture.Transform{
			picture.Identity(), picture.Crop(0, 0, 1, 1, 4, 4), picture.Crop(0, 0, 1e-9, 1e-9, 4, 4), picture.Crop(0, 0, 0, 0, 4, 4),
			picture.Crop(-1e9, -1e9, 2e9, 2e9, 4, 4), picture.Crop(0, 0, 1e300, 1e300, 4, 4), picture.Crop(-1e300, 1e300, 8, 8, 4, 4),
			picture.Affine(1e300, 1e300, 1e300, 1e300, -1e300, 1e300), picture.Affine(nan, nan, nan, nan, nan, nan),
			picture.Affine(2, 0, nan, 0, 2, 0), picture.Affine(2, 0, 0, 0, nan, nan), picture.Affine(inf, 0, 0, 0, inf, 0),
			picture.Affine(2, 0, -inf, 0, 2, inf), picture.Affine(0.5, 0, inf, 0, 0.5, -inf), picture.Affine(1, 0, inf, 0, 1, nan),
			{}, {1, 0, 0, 0, 1, 0, 1, 1, -3}, {1, 0, 0, 0, 1, 0, 1e300, 1e300, 0}, {nan, 1, 1, 1, 1, 1, 1, 1, 1},
		} {
			for mode := range picture.Mode(4) {
				out := make([]float32, 3*4*4+2)
				out[0], out[len(out)-1] = 42, 43
				target := picture.Target{Width: 4, Height: 4, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}
				p.Warp(out[1:len(out)-1:len(out)-1], &target, m, mode)
				if out[0] != 42 || out[len(out)-1] != 43 {
					t.Fatalf("%v, mode %d: written beyond the tensor", m, mode)
				}
				for _, v := range out[1 : len(out)-1] {
					if v < -0.01 || v > 255.01 { // NaN may be
						t.Errorf("%v, mode %d: value %v", m, mode, v)
						break
					}
				}
				if q := p.Extract(4, 4, m, mode); len(q.Pix) != 48 {
					t.Errorf("%v, mode %d: %d bytes", m, mode, len(q.Pix))
				}
			}
		}
		if !bytes.Equal(p.Pix, before) {
			t.Error("a warp wrote to its source")
		}
	}
}
