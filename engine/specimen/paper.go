package specimen

import (
	"image/color"
	"math"
	"math/rand/v2"
)

// paper prints the background: fine waves in two soft inks, and a rosette.
func (c *canvas) paper(l *layout, r *rand.Rand) {
	c.fill(box{0, 0, l.width, l.height}, sheet)
	for i, ink := range l.inks {
		c.waves(l, ink, float64(i), r)
	}
	c.rosette(l, l.inks[1], r)
}

// waves prints curves that differ a little from each to the next, so that
// together they form a moiré.
func (c *canvas) waves(l *layout, ink color.RGBA, half float64, r *rand.Rand) {
	const (
		gap   = 1.1 // between curves, millimetres
		alpha = 0.55
	)
	long, short := 2*math.Pi/(34+12*r.Float64()), 2*math.Pi/(11+5*r.Float64())
	phase, drift := 2*math.Pi*r.Float64(), 0.05+0.07*r.Float64()
	bottom := l.height - zoneHeight
	for k := -8.0; k*gap < bottom+8; k++ {
		for px := range c.img.Rect.Dx() {
			x := float64(px) / scale
			y := (k+half/2)*gap + 2.6*math.Sin(long*x+phase+drift*k) + 1.1*math.Sin(short*x-phase-2*drift*k)
			if y > l.header && y < bottom {
				c.dot(x, y, ink, alpha)
			}
		}
	}
}

// rosette prints a ring of loops at the right of the visual zone.
func (c *canvas) rosette(l *layout, ink color.RGBA, r *rand.Rand) {
	const (
		turns = 14
		alpha = 0.3
	)
	petals := float64(7 + r.IntN(6))
	radius := (l.height - zoneHeight - l.header) * 0.44
	x0, y0 := l.width*0.8, l.header+(l.height-zoneHeight-l.header)/2
	steps := int(2 * math.Pi * radius * scale * 1.5)
	for k := range turns {
		phase := 2 * math.Pi * float64(k) / turns
		for i := range steps {
			a := 2 * math.Pi * float64(i) / float64(steps)
			d := radius * (0.66 + 0.3*math.Sin(petals*a+phase))
			c.dot(x0+d*math.Cos(a), y0+d*math.Sin(a), ink, alpha)
		}
	}
}

// dot leaves ink on the four pixels around a place, most on the nearest.
func (c *canvas) dot(x, y float64, ink color.RGBA, alpha float64) {
	x, y = x*scale, y*scale
	left, top := math.Floor(x), math.Floor(y)
	fx, fy := x-left, y-top
	for i, part := range [4]float64{(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy} {
		px, py := int(left)+i%2, int(top)+i/2
		if part == 0 || px < 0 || py < 0 || px >= c.img.Rect.Dx() || py >= c.img.Rect.Dy() {
			continue
		}
		p := c.img.Pix[c.img.PixOffset(px, py):]
		for ch, v := range [3]uint8{ink.R, ink.G, ink.B} {
			p[ch] = uint8(float64(p[ch]) + (float64(v)-float64(p[ch]))*alpha*part + 0.5)
		}
	}
}
