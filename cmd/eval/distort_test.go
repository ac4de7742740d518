package main

import (
	"bytes"
	"context"
	"math"
	"testing"

	"gatehouse/engine/picture"
)

// dot is a white picture with one dark block.
func dot(width, height, x, y int) *picture.Picture {
	p := picture.New(width, height)
	for i := range p.Pix {
		p.Pix[i] = 255
	}
	for j := range 6 {
		for i := range 6 {
			for c := range 3 {
				p.Pix[3*((y+j)*width+x+i)+c] = 100
			}
		}
	}
	return p
}

// centre finds the block.
func centre(p *picture.Picture) (x, y float64) {
	var n float64
	for j := range p.Height {
		for i := range p.Width {
			if v := p.Pix[3*(j*p.Width+i)]; v > 80 && v < 120 {
				x, y, n = x+float64(i), y+float64(j), n+1
			}
		}
	}
	return x / n, y / n
}

func TestTilt(t *testing.T) {
	// The block lies right of the centre; turned clockwise it goes down.
	p := dot(201, 101, 160, 48)
	got := tilt(p, 90)
	if got.Width < 101 || got.Width > 102 || got.Height < 201 || got.Height > 202 {
		t.Fatalf("%d×%d", got.Width, got.Height)
	}
	if x, y := centre(got); math.Abs(x-50) > 1.5 || math.Abs(y-162.5) > 1.5 {
		t.Errorf("the block is at %.1f, %.1f", x, y)
	}
	if got := tilt(p, 45); got.Width != got.Height || got.Width < 213 || got.Width > 215 {
		t.Errorf("45°: %d×%d", got.Width, got.Height)
	}
}

func TestFromSquare(t *testing.T) {
	want := [4][2]float64{{8, 5}, {97, 0}, {100, 60}, {0, 54}}
	m := fromSquare(want)
	for i, corner := range [4][2]float64{{0, 0}, {1, 0}, {1, 1}, {0, 1}} {
		if x, y := m.Apply(corner[0], corner[1]); math.Abs(x-want[i][0]) > 1e-9 || math.Abs(y-want[i][1]) > 1e-9 {
			t.Errorf("corner %d is at %g, %g", i, x, y)
		}
	}
	// Black lies beyond the corner that moved in, the picture within.
	got := perspective(dot(200, 100, 90, 40))
	if got.Pix[0] != 0 || got.Pix[3*(20*200+40)] != 255 {
		t.Error("the picture does not lie where it should")
	}
}

// The same picture is spoilt the same way, and never the picture itself.
func TestDistortionsRepeat(t *testing.T) {
	p := dot(90, 60, 40, 30)
	before := bytes.Clone(p.Pix)
	for _, d := range distortions() {
		a, err := d.apply(context.Background(), p)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		b, err := d.apply(context.Background(), p)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if !bytes.Equal(a.Pix, b.Pix) {
			t.Errorf("%s differs the second time", d.name)
		}
		if !bytes.Equal(p.Pix, before) {
			t.Fatalf("%s changed its source", d.name)
		}
	}
}

func TestBlurKeepsLight(t *testing.T) {
	p := dot(60, 60, 27, 27)
	sum := func(p *picture.Picture) (s float64) {
		for _, v := range p.Pix {
			s += float64(v)
		}
		return s / float64(len(p.Pix))
	}
	if a, b := sum(p), sum(blurred(p, 1.5)); math.Abs(a-b) > 0.5 {
		t.Errorf("mean %g became %g", a, b)
	}
}
