package picture

import "math"

// tap is a source column or row and its share in a destination pixel.
type tap struct {
	at     int
	weight float32
}

// taps gives, for each of n destination pixels, the sources of one axis: exact
// area shares where the axis shrinks (scale > 1), else the two neighbours.
func taps(n, size int, scale, offset float64, mode Mode) [][]tap {
	out := make([][]tap, n)
	add := func(list []tap, at int, w float64) []tap {
		if w <= 0 {
			return list
		}
		if at < 0 || at >= size {
			if mode&Replicate == 0 {
				return list
			}
			at = max(0, min(at, size-1))
			if k := len(list) - 1; k >= 0 && list[k].at == at {
				list[k].weight += float32(w)
				return list
			}
		}
		return append(list, tap{at, float32(w)})
	}
	for i := range n {
		c := float64(i)*scale + offset
		if scale <= 1 {
			f := math.Floor(c)
			out[i] = add(add(nil, int(f), 1-(c-f)), int(f)+1, c-f)
			continue
		}
		from, to := c+0.5-scale/2, c+0.5+scale/2 // in pixel edges
		// Beyond one pixel outside everything is the same pixel or black.
		lo, hi := max(math.Floor(from), -1), min(math.Ceil(to), float64(size+1))
		if lo >= hi { // wholly outside
			out[i] = add(nil, int(max(-1, min(lo, float64(size)))), 1)
		}
		for j := lo; j < hi; j++ {
			left, right := max(from, j), min(to, j+1)
			if j == lo {
				left = from
			}
			if j == hi-1 {
				right = to
			}
			out[i] = add(out[i], int(j), (right-left)/scale)
		}
	}
	return out
}

// shrinkRows is rows for an upright transform that shrinks: every source pixel
// is read once, horizontally then vertically.
func (p *Picture) shrinkRows(width, height int, m Transform, mode Mode, emit func(y int, row []float32)) {
	xs := taps(width, p.Width, m[0], m[2], mode)
	ys := taps(height, p.Height, m[4], m[5], mode)
	// A ring of the last two narrowed rows: neighbours share their border row.
	var cache [2]struct {
		at  int
		row []float32
	}
	for i := range cache {
		cache[i].at, cache[i].row = -1, make([]float32, 3*width)
	}
	row := make([]float32, 3*width)
	for y := range height {
		clear(row)
		for _, t := range ys[y] {
			c := &cache[t.at&1]
			if c.at != t.at {
				c.at = t.at
				p.narrow(c.row, t.at, xs)
			}
			for i, v := range c.row {
				row[i] += t.weight * v
			}
		}
		emit(y, row)
	}
}

func (p *Picture) narrow(out []float32, y int, xs [][]tap) {
	line := p.Pix[3*y*p.Width:][:3*p.Width]
	for x, list := range xs {
		var r, g, b float32
		for _, t := range list {
			s := line[3*t.at : 3*t.at+3 : 3*t.at+3]
			r += t.weight * float32(s[0])
			g += t.weight * float32(s[1])
			b += t.weight * float32(s[2])
		}
		o := out[3*x : 3*x+3 : 3*x+3]
		o[0], o[1], o[2] = r, g, b
	}
}
