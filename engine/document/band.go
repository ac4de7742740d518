package document

import (
	"math"

	"gatehouse/engine/picture"
)

// Constants of the band finder (research "documents", 3.2): it reads all 16
// specimen photographs alone, in 2–8 ms, without a network.
const (
	bandSide      = 700 // long side, pixels; all sizes below are at this scale
	bandMinRatio  = 6
	bandMinLong   = 150
	bandMinShort  = 4
	bandGrowLong  = 8
	bandGrowShort = 6
)

// bands finds dark, densely set lines of text, as an MRZ is, in the picture
// turned clockwise by quarters. Boxes are in the picture's own pixels.
func bands(p *picture.Picture, quarters int) []box {
	scale := float64(bandSide) / float64(max(p.Width, p.Height))
	w, h := max(1, int(float64(p.Width)*scale)), max(1, int(float64(p.Height)*scale))
	g := newPlane(w, h)
	for i, v := range p.Luma(w, h) {
		g.px[i] = byte(v + 0.5)
	}
	if quarters == 1 {
		g = g.turned()
	}
	marks := g.blur().blackHat(17, 7).edges().closed(21, 3)
	marks = marks.above(marks.otsu()).opened(5, 3)
	sx, sy := float64(p.Width)/float64(w), float64(p.Height)/float64(h)
	var found []box
	for _, c := range components(marks.mask(), marks.w, marks.h) {
		b := minimumBox(c.ends)
		if b.short < bandMinShort || b.long < bandMinLong || b.ratio() < bandMinRatio {
			continue
		}
		b.long += bandGrowLong
		b.short += bandGrowShort
		b.score = 1
		found = append(found, b.mapped(func(q vec) vec {
			if quarters == 1 {
				q = vec{q.y, float64(h-1) - q.x}
			}
			return vec{(q.x+0.5)*sx - 0.5, (q.y+0.5)*sy - 0.5}
		}))
	}
	return found
}

// turned is the plane turned clockwise by a quarter.
func (p plane) turned() plane {
	out := newPlane(p.h, p.w)
	for y := range p.h {
		for x := range p.w {
			out.px[x*p.h+p.h-1-y] = p.px[y*p.w+x]
		}
	}
	return out
}

// bounds are the pixels that a box can touch in a w × h picture.
func (b box) bounds(w, h int) (x0, y0, x1, y1 int) {
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, c := range b.corners() {
		minX, minY, maxX, maxY = min(minX, c.x), min(minY, c.y), max(maxX, c.x), max(maxY, c.y)
	}
	return max(0, int(math.Floor(minX))), max(0, int(math.Floor(minY))), min(w-1, int(math.Ceil(maxX))), min(h-1, int(math.Ceil(maxY)))
}
