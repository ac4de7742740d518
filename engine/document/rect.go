package document

import (
	"math"
	"sort"
)

type vec struct{ x, y float64 }

func (a vec) add(b vec) vec          { return vec{a.x + b.x, a.y + b.y} }
func (a vec) sub(b vec) vec          { return vec{a.x - b.x, a.y - b.y} }
func (a vec) times(k float64) vec    { return vec{a.x * k, a.y * k} }
func (a vec) dot(b vec) float64      { return a.x*b.x + a.y*b.y }
func (a vec) cross(b vec) float64    { return a.x*b.y - a.y*b.x }
func (a vec) length() float64        { return math.Hypot(a.x, a.y) }
func (a vec) normal() vec            { return vec{-a.y, a.x} }
func centre(a, b, c, d vec) vec      { return a.add(b).add(c).add(d).times(0.25) }
func (a vec) scale(x, y float64) vec { return vec{a.x * x, a.y * y} }

// hull is the convex hull of points, without collinear ones (Andrew 1979).
func hull(pts []vec) []vec {
	sort.Slice(pts, func(i, j int) bool { return pts[i].x < pts[j].x || pts[i].x == pts[j].x && pts[i].y < pts[j].y })
	if len(pts) < 3 {
		return pts
	}
	var h []vec
	grow := func(p vec, floor int) {
		for len(h) >= floor+2 && h[len(h)-1].sub(h[len(h)-2]).cross(p.sub(h[len(h)-1])) <= 0 {
			h = h[:len(h)-1]
		}
		h = append(h, p)
	}
	for _, p := range pts {
		grow(p, 0)
	}
	floor := len(h) - 1
	for i := len(pts) - 2; i >= 0; i-- {
		grow(pts[i], floor)
	}
	return h[:len(h)-1]
}

// box is a rotated rectangle: a line of text, or a part of one. u is the unit
// vector along its longer side, pointing right (down where it is vertical).
type box struct {
	c     vec
	u     vec
	long  float64
	short float64
	score float64
	// snapped: the extents are a neighbour's, not its own.
	snapped bool
}

func (b box) v() vec         { return b.u.normal() }
func (b box) ratio() float64 { return b.long / b.short }

// corners in order: along u, then along v.
func (b box) corners() [4]vec {
	l, s := b.u.times(b.long/2), b.v().times(b.short/2)
	return [4]vec{b.c.sub(l).sub(s), b.c.add(l).sub(s), b.c.add(l).add(s), b.c.sub(l).add(s)}
}

// boxOf makes a box from four corners in order.
func boxOf(p [4]vec) box {
	a, b := p[1].sub(p[0]), p[2].sub(p[1])
	if a.length() < b.length() {
		a, b = b, a
	}
	out := box{c: centre(p[0], p[1], p[2], p[3]), long: a.length(), short: b.length(), u: vec{1, 0}}
	if out.long > 0 {
		out.u = a.times(1 / out.long)
	}
	if out.u.x < -1e-6 || math.Abs(out.u.x) <= 1e-6 && out.u.y < 0 {
		out.u = out.u.times(-1)
	}
	return out
}

// minimumBox is the rectangle of least area around points: one side lies on an
// edge of their hull (Freeman and Shapira 1975).
func minimumBox(pts []vec) box {
	h := hull(pts)
	if len(h) == 1 {
		return box{c: h[0], u: vec{1, 0}}
	}
	best, bestArea := box{}, math.Inf(1)
	for i, p := range h {
		u := h[(i+1)%len(h)].sub(p)
		if u.length() == 0 {
			continue
		}
		u = u.times(1 / u.length())
		v := u.normal()
		minU, maxU, minV, maxV := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		for _, q := range h {
			a, b := q.dot(u), q.dot(v)
			minU, maxU, minV, maxV = min(minU, a), max(maxU, a), min(minV, b), max(maxV, b)
		}
		if area := (maxU - minU) * (maxV - minV); area < bestArea {
			bestArea = area
			at := func(a, b float64) vec { return u.times(a).add(v.times(b)) }
			best = boxOf([4]vec{at(minU, minV), at(maxU, minV), at(maxU, maxV), at(minU, maxV)})
		}
	}
	return best
}

// mapped is the box where to maps its corners.
func (b box) mapped(to func(vec) vec) box {
	p := b.corners()
	for i := range p {
		p[i] = to(p[i])
	}
	out := boxOf(p)
	out.score, out.snapped = b.score, b.snapped
	return out
}

// component is a connected set of pixels: the ends of each of its rows hold its
// whole hull.
type component struct{ ends []vec }

// components finds the 8-connected sets of true pixels.
func components(mask []bool, w, h int) []component {
	seen := make([]bool, len(mask))
	// The ends of the rows of the set at hand; it touches every row between
	// its first and last.
	left, right := make([]int, h), make([]int, h)
	var found []component
	var stack []int
	for start, on := range mask {
		if !on || seen[start] {
			continue
		}
		seen[start] = true
		stack = append(stack[:0], start)
		top, bottom := start/w, start/w-1
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x, y := i%w, i/w
			for ; bottom < y; bottom++ {
				left[bottom+1], right[bottom+1] = w, -1
			}
			// The scan meets a set first at its top row, so top holds.
			left[y], right[y] = min(left[y], x), max(right[y], x)
			for ny := max(y-1, 0); ny <= min(y+1, h-1); ny++ {
				for nx := max(x-1, 0); nx <= min(x+1, w-1); nx++ {
					if j := ny*w + nx; mask[j] && !seen[j] {
						seen[j] = true
						stack = append(stack, j)
					}
				}
			}
		}
		var c component
		for y := top; y <= bottom; y++ {
			c.ends = append(c.ends, vec{float64(left[y]), float64(y)}, vec{float64(right[y]), float64(y)})
		}
		found = append(found, c)
	}
	return found
}
