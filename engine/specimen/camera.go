package specimen

import (
	"math"
	"math/rand/v2"

	"gatehouse/engine/picture"
)

// table is the ground that a document lies on.
type table struct {
	tint   [3]float64
	grid   [64 * 64]float64 // lattice of a smooth random surface
	grain  float64          // how strong the texture is
	streak float64          // how much longer it is across than down
}

func newTable(r *rand.Rand) *table {
	t := &table{grain: 14 + 16*r.Float64(), streak: 1 + 9*r.Float64()}
	level := 45 + 40*r.Float64()
	if r.IntN(3) == 0 {
		level += 95
	}
	for c, warmth := range [3]float64{1.12, 1, 0.86} {
		t.tint[c] = level * (1 + (warmth-1)*2*r.Float64())
	}
	for i := range t.grid {
		t.grid[i] = r.Float64() - 0.5
	}
	return t
}

// at gives the colour of a pixel so far outside the document, whose shadow
// falls on what is near.
func (t *table) at(x, y int, outside float64) [3]float64 {
	fx, fy := float64(x)/t.streak, float64(y)
	texture := t.grain * (t.surface(fx/40, fy/40) + 0.6*t.surface(fx/11+7, fy/11+3) + 0.4*t.surface(fx/3+5, fy/3+11))
	shade := 1.0
	if outside < 80 {
		shade -= 0.45 * math.Exp(-max(outside, 0)/14)
	}
	var out [3]float64
	for c := range out {
		out[c] = min(max((t.tint[c]+texture)*shade, 0), 255)
	}
	return out
}

// surface reads between the places of the lattice.
func (t *table) surface(x, y float64) float64 {
	left, top := math.Floor(x), math.Floor(y)
	fx, fy := x-left, y-top
	i, j := int(left), int(top)
	node := func(i, j int) float64 { return t.grid[j&63<<6|i&63] }
	a := node(i, j) + fx*(node(i+1, j)-node(i, j))
	b := node(i, j+1) + fx*(node(i+1, j+1)-node(i, j+1))
	return a + fy*(b-a)
}

// light darkens the picture towards one side and puts a reflection on the
// document.
func (v *view) light(p *picture.Picture, r *rand.Rand) {
	depth := 0.05 + 0.2*r.Float64()
	sin, cos := math.Sincos(2 * math.Pi * r.Float64())
	alpha := 0.15 + 0.35*r.Float64()
	x0, y0 := (0.5+0.4*r.Float64())*v.docW, (0.1+0.18*r.Float64())*v.docH
	rx, ry := (0.08+0.1*r.Float64())*v.docW, (0.06+0.05*r.Float64())*v.docH
	for y := range p.Height {
		for x := range p.Width {
			along := cos*(float64(x)/float64(p.Width)-0.5) + sin*(float64(y)/float64(p.Height)-0.5)
			gain := 1 - depth*(along+0.5)
			gloss := 0.0
			dx, dy := v.toDocument.at(float64(x)+0.5, float64(y)+0.5)
			dx, dy = (dx-x0)/rx, (dy-y0)/ry
			if d := dx*dx + dy*dy; d < 9 {
				gloss = alpha * math.Exp(-d)
			}
			px := p.Pix[3*(y*p.Width+x):][:3]
			for c := range px {
				b := float64(px[c]) * gain
				px[c] = uint8(min(max(b+(255-b)*gloss, 0), 255) + 0.5)
			}
		}
	}
}

// blur is a Gaussian of this many pixels, along the rows and then down.
func blur(p *picture.Picture, sigma float64) {
	const whole = 1 << 16
	side := func(d float64) float64 { return math.Exp(-d * d / (2 * sigma * sigma)) }
	sum := 1 + 2*side(1) + 2*side(2)
	one, two := int(side(1)/sum*whole), int(side(2)/sum*whole)
	mid := whole - 2*one - 2*two
	pass := func(out, in []byte, n, step int) { // n places, step apart
		for i := range n {
			a, b := max(i-1, 0)*step, max(i-2, 0)*step
			c, d := min(i+1, n-1)*step, min(i+2, n-1)*step
			at := i * step
			for k := range step {
				v := mid*int(in[at+k]) + one*(int(in[a+k])+int(in[c+k])) + two*(int(in[b+k])+int(in[d+k]))
				out[at+k] = byte((v + whole/2) >> 16)
			}
		}
	}
	row := 3 * p.Width
	across := make([]byte, len(p.Pix))
	for y := range p.Height {
		pass(across[y*row:][:row], p.Pix[y*row:][:row], p.Width, 3)
	}
	pass(p.Pix, across, p.Height, row)
}

// grain adds the noise of a sensor. A value is one of some thousands drawn
// beforehand: a Gaussian for each of ten million would take most of the time.
func grain(p *picture.Picture, sigma float64, r *rand.Rand) {
	const bits = 12
	var noise [1 << bits]float32
	for i := range noise {
		noise[i] = float32(r.NormFloat64() * sigma)
	}
	for i := 0; i < len(p.Pix); i += 3 {
		draw := r.Uint64()
		for c := range 3 {
			v := float32(p.Pix[i+c]) + noise[draw>>(bits*c)&(1<<bits-1)]
			p.Pix[i+c] = uint8(min(max(v, 0), 255) + 0.5)
		}
	}
}
