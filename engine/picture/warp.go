package picture

import "math"

// Mode says how a warp samples.
type Mode int

const (
	Black     Mode = 0      // outside the source is zero; shrinking averages
	Replicate Mode = 1 << 0 // outside is the nearest pixel
	Point     Mode = 1 << 1 // shrinking takes single bilinear samples
)

// maxSamples bounds the samples averaged for a pixel, along a side: a crop
// that shrinks by more is point-sampled beyond it.
const maxSamples = 16

// Target describes a tensor that Warp fills: channel value v (0..255) becomes
// (v - Mean[c]) / Std[c], channels in the given order.
type Target struct {
	Width, Height int
	Colour        Colour
	Interleaved   bool // NHWC; else NCHW
	Mean, Std     []float32
}

// Colour is a tensor's channels, in order.
type Colour int

const (
	RGB Colour = iota
	BGR
	Grey
)

// Channels is 1 or 3.
func (t *Target) Channels() int {
	if t.Colour == Grey {
		return 1
	}
	return 3
}

// Warp fills dst with the target's pixels, each taken from where m maps it to:
// bilinear, area-averaged where m shrinks, normalised, in one pass. dst holds
// Channels·Width·Height values.
func (p *Picture) Warp(dst []float32, t *Target, m Transform, mode Mode) {
	area := t.Width * t.Height
	p.rows(t.Width, t.Height, m, mode, func(y int, row []float32) {
		switch {
		case t.Colour == Grey:
			out := dst[y*t.Width:][:t.Width]
			for x := range out {
				v := row[3*x:][:3]
				out[x] = (grey(v[0], v[1], v[2]) - t.Mean[0]) / t.Std[0]
			}
		default:
			at, step, plane := y*t.Width, 1, area
			if t.Interleaved {
				at, step, plane = 3*at, 3, 1
			}
			for c := range 3 {
				s := c
				if t.Colour == BGR {
					s = 2 - c
				}
				mean, scale := t.Mean[c], 1/t.Std[c]
				out := dst[at+c*plane:]
				for x := range t.Width {
					out[x*step] = (row[3*x+s] - mean) * scale
				}
			}
		}
	})
}

// grey is the luma of ITU-R BT.601.
func grey(r, g, b float32) float32 { return 0.299*r + 0.587*g + 0.114*b }

// Extract makes a picture with the same sampling as Warp.
func (p *Picture) Extract(width, height int, m Transform, mode Mode) *Picture {
	out := New(width, height)
	p.rows(width, height, m, mode, func(y int, row []float32) {
		d := out.Pix[3*y*width:][:3*width]
		for i := range d {
			d[i] = byte(row[i] + 0.5)
		}
	})
	return out
}

// Resize scales the whole picture.
func (p *Picture) Resize(width, height int) *Picture {
	return p.Extract(width, height, Crop(0, 0, float64(p.Width), float64(p.Height), width, height), Replicate)
}

// Luma is the picture in grey, scaled to width × height.
func (p *Picture) Luma(width, height int) []float32 {
	out := make([]float32, width*height)
	t := Target{Width: width, Height: height, Colour: Grey, Mean: []float32{0}, Std: []float32{1}}
	p.Warp(out, &t, Crop(0, 0, float64(p.Width), float64(p.Height), width, height), Replicate)
	return out
}

// rows computes the destination row by row, three values a pixel.
func (p *Picture) rows(width, height int, m Transform, mode Mode, emit func(y int, row []float32)) {
	kx, ky := 1, 1
	if mode&Point == 0 {
		if m.upright() && (m[0] > 1 || m[4] > 1) {
			p.shrinkRows(width, height, m, mode, emit)
			return
		}
		kx, ky = m.samples(width, height)
	}
	row := make([]float32, 3*width)
	weight := 1 / float32(kx*ky)
	for y := range height {
		clear(row)
		for j := range ky {
			v := float64(y) + (float64(j)+0.5)/float64(ky) - 0.5
			for i := range kx {
				u := (float64(i)+0.5)/float64(kx) - 0.5
				p.sampleRow(row, u, v, m, mode, weight)
			}
		}
		emit(y, row)
	}
}

// samples is how many samples a pixel needs along its sides, by the
// transform's scale at the picture's centre.
func (m Transform) samples(width, height int) (kx, ky int) {
	cx, cy := float64(width)/2, float64(height)/2
	x0, y0 := m.Apply(cx, cy)
	x1, y1 := m.Apply(cx+1, cy)
	x2, y2 := m.Apply(cx, cy+1)
	count := func(d float64) int {
		if !(d > 1) { // also NaN
			return 1
		}
		return int(min(math.Round(d), maxSamples))
	}
	return count(math.Hypot(x1-x0, y1-y0)), count(math.Hypot(x2-x0, y2-y0))
}

// sampleRow adds weight × the bilinear sample of each pixel of a row, whose
// first sample lies at u, v of the destination.
func (p *Picture) sampleRow(row []float32, u, v float64, m Transform, mode Mode, weight float32) {
	affine := m.affine()
	x, y := m[0]*u+m[1]*v+m[2], m[3]*u+m[4]*v+m[5]
	w := m[6]*u + m[7]*v + m[8]
	maxX, maxY := float64(p.Width-1), float64(p.Height-1)
	stride := 3 * p.Width
	for i := 0; i+2 < len(row); i += 3 {
		sx, sy := x, y
		if !affine {
			sx, sy = x/w, y/w
			w += m[6]
		}
		x, y = x+m[0], y+m[3]
		if !(sx >= 0 && sy >= 0 && sx < maxX && sy < maxY) {
			if mode&Replicate == 0 {
				p.addBlack(row[i:i+3], sx, sy, weight)
				continue
			}
			sx, sy = clamp(sx, maxX), clamp(sy, maxY)
		}
		ix, iy := int(sx), int(sy)
		fx, fy := float32(sx-float64(ix)), float32(sy-float64(iy))
		o := iy*stride + 3*ix
		right, down := 3, stride
		if ix == p.Width-1 {
			right = 0
		}
		if iy == p.Height-1 {
			down = 0
		}
		a, b := p.Pix[o:o+3:o+3], p.Pix[o+right:o+right+3:o+right+3]
		c, d := p.Pix[o+down:o+down+3:o+down+3], p.Pix[o+down+right:o+down+right+3:o+down+right+3]
		w11 := fx * fy * weight
		w10, w01 := fy*weight-w11, fx*weight-w11
		w00 := weight - w01 - w10 - w11
		r := row[i : i+3 : i+3]
		r[0] += w00*float32(a[0]) + w01*float32(b[0]) + w10*float32(c[0]) + w11*float32(d[0])
		r[1] += w00*float32(a[1]) + w01*float32(b[1]) + w10*float32(c[1]) + w11*float32(d[1])
		r[2] += w00*float32(a[2]) + w01*float32(b[2]) + w10*float32(c[2]) + w11*float32(d[2])
	}
}

// addBlack samples near or beyond the border, where what is outside is black.
func (p *Picture) addBlack(r []float32, sx, sy float64, weight float32) {
	if !(sx > -1 && sy > -1 && sx < float64(p.Width) && sy < float64(p.Height)) {
		return
	}
	ix, iy := int(math.Floor(sx)), int(math.Floor(sy))
	fx, fy := float32(sx-float64(ix)), float32(sy-float64(iy))
	for j := range 2 {
		for i := range 2 {
			x, y := ix+i, iy+j
			if x < 0 || y < 0 || x >= p.Width || y >= p.Height {
				continue
			}
			f := weight
			if i == 0 {
				f *= 1 - fx
			} else {
				f *= fx
			}
			if j == 0 {
				f *= 1 - fy
			} else {
				f *= fy
			}
			s := p.Pix[3*(y*p.Width+x):][:3]
			r[0] += f * float32(s[0])
			r[1] += f * float32(s[1])
			r[2] += f * float32(s[2])
		}
	}
}

func clamp(v, limit float64) float64 {
	if !(v > 0) { // also NaN
		return 0
	}
	return min(v, limit)
}
