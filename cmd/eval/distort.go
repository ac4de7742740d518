package main

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"

	"gatehouse/engine"
	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

// distortion spoils a picture in one way, the same way each time.
type distortion struct {
	name  string
	apply func(ctx context.Context, p *picture.Picture) (*picture.Picture, error)
}

func distortions() []distortion {
	plain := func(name string, f func(p *picture.Picture) *picture.Picture) distortion {
		return distortion{name, func(_ context.Context, p *picture.Picture) (*picture.Picture, error) { return f(p), nil }}
	}
	turned := func(name string, quarters int) distortion {
		return plain(name, func(p *picture.Picture) *picture.Picture { return p.Turn(quarters) })
	}
	tilted := func(name string, degrees float64) distortion {
		return plain(name, func(p *picture.Picture) *picture.Picture { return tilt(p, degrees) })
	}
	return []distortion{
		turned("turned 90°", 1), turned("turned 180°", 2), turned("turned 270°", 3),
		tilted("tilted 5°", 5), tilted("tilted -12°", -12), tilted("tilted 25°", 25), tilted("tilted 45°", 45),
		plain("perspective", perspective),
		plain("dark × 0.3", func(p *picture.Picture) *picture.Picture { return dim(p, 0.3) }),
		plain("noise σ 20", func(p *picture.Picture) *picture.Picture { return noisy(p, 20) }),
		{"JPEG quality 20", recompressed},
		plain("blur σ 1.5", func(p *picture.Picture) *picture.Picture { return blurred(p, 1.5) }),
		plain("half size", func(p *picture.Picture) *picture.Picture { return p.Resize((p.Width+1)/2, (p.Height+1)/2) }),
	}
}

// tilt turns a picture clockwise on a black ground that holds all of it.
func tilt(p *picture.Picture, degrees float64) *picture.Picture {
	angle := degrees * math.Pi / 180
	s, c := math.Abs(math.Sin(angle)), math.Abs(math.Cos(angle))
	w, h := float64(p.Width), float64(p.Height)
	width, height := int(math.Ceil(w*c+h*s)), int(math.Ceil(w*s+h*c))
	shift := picture.Affine(1, 0, (w-float64(width))/2, 0, 1, (h-float64(height))/2)
	return p.Extract(width, height, shift.Then(picture.Rotation(-angle, (w-1)/2, (h-1)/2)), picture.Black)
}

// perspective is the view of a camera that is held askew: the corners move in
// by up to an eighth of the sides.
func perspective(p *picture.Picture) *picture.Picture {
	w, h := float64(p.Width), float64(p.Height)
	seen := fromSquare([4][2]float64{{.08 * w, .05 * h}, {.97 * w, 0}, {w, h}, {0, .9 * h}})
	back, ok := seen.Invert()
	if !ok {
		return p
	}
	return p.Extract(p.Width, p.Height, back.Then(picture.Affine(w, 0, 0, 0, h, 0)), picture.Black)
}

// fromSquare maps the unit square to four corners, clockwise from the upper
// left (Heckbert, Fundamentals of Texture Mapping, 1989, 2.2.3).
func fromSquare(q [4][2]float64) picture.Transform {
	x1, y1 := q[1][0]-q[2][0], q[1][1]-q[2][1]
	x2, y2 := q[3][0]-q[2][0], q[3][1]-q[2][1]
	sx, sy := q[0][0]-q[1][0]+q[2][0]-q[3][0], q[0][1]-q[1][1]+q[2][1]-q[3][1]
	det := x1*y2 - x2*y1
	g, h := (sx*y2-x2*sy)/det, (x1*sy-sx*y1)/det
	return picture.Transform{
		q[1][0] - q[0][0] + g*q[1][0], q[3][0] - q[0][0] + h*q[3][0], q[0][0],
		q[1][1] - q[0][1] + g*q[1][1], q[3][1] - q[0][1] + h*q[3][1], q[0][1],
		g, h, 1,
	}
}

// changed gives a copy with every value mapped.
func changed(p *picture.Picture, to func(v float64) float64) *picture.Picture {
	out := picture.New(p.Width, p.Height)
	for i, v := range p.Pix {
		out.Pix[i] = byte(max(0, min(to(float64(v)), 255)) + 0.5)
	}
	return out
}

func dim(p *picture.Picture, k float64) *picture.Picture {
	return changed(p, func(v float64) float64 { return k * v })
}

// noisy adds what a sensor does in poor light, the same to the same picture.
func noisy(p *picture.Picture, sigma float64) *picture.Picture {
	r := rand.New(rand.NewPCG(uint64(p.Width), uint64(p.Height)))
	return changed(p, func(v float64) float64 { return v + sigma*r.NormFloat64() })
}

func recompressed(ctx context.Context, p *picture.Picture) (*picture.Picture, error) {
	var b bytes.Buffer
	if err := specimen.WriteJPEG(&b, p, 20); err != nil {
		return nil, err
	}
	return engine.Decode(ctx, b.Bytes())
}

// blurred is a Gaussian, along the rows and then down.
func blurred(p *picture.Picture, sigma float64) *picture.Picture {
	r := int(math.Ceil(3 * sigma))
	kernel := make([]float32, 2*r+1)
	var sum float32
	for i := range kernel {
		d := float64(i - r)
		kernel[i] = float32(math.Exp(-d * d / (2 * sigma * sigma)))
		sum += kernel[i]
	}
	across, out := picture.New(p.Width, p.Height), picture.New(p.Width, p.Height)
	pass := func(dst, src []byte, n, step int) { // n places, step apart
		for i := range n {
			for c := range step {
				var v float32
				for k, weight := range kernel {
					v += weight * float32(src[max(0, min(i+k-r, n-1))*step+c])
				}
				dst[i*step+c] = byte(v/sum + 0.5)
			}
		}
	}
	row := 3 * p.Width
	for y := range p.Height {
		pass(across.Pix[y*row:][:row], p.Pix[y*row:][:row], p.Width, 3)
	}
	pass(out.Pix, across.Pix, p.Height, row)
	return out
}
