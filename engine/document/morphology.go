package document

// plane is a grey picture, 8 bits.
type plane struct {
	w, h int
	px   []byte
}

func newPlane(w, h int) plane { return plane{w, h, make([]byte, w*h)} }

// reflect mirrors an index at the borders without repeating them.
func reflect(i, n int) int {
	if n == 1 {
		return 0
	}
	if i < 0 {
		return -i
	}
	if i >= n {
		return 2*n - 2 - i
	}
	return i
}

// blur is a 3×3 binomial filter.
func (p plane) blur() plane {
	tmp, out := make([]uint16, len(p.px)), newPlane(p.w, p.h)
	for y := range p.h {
		row, o := p.px[y*p.w:][:p.w], tmp[y*p.w:]
		for x := range row {
			o[x] = uint16(row[reflect(x-1, p.w)]) + 2*uint16(row[x]) + uint16(row[reflect(x+1, p.w)])
		}
	}
	for y := range p.h {
		a, b, c := tmp[reflect(y-1, p.h)*p.w:], tmp[y*p.w:], tmp[reflect(y+1, p.h)*p.w:]
		o := out.px[y*p.w:][:p.w]
		for x := range o {
			o[x] = byte((a[x] + 2*b[x] + c[x] + 8) / 16)
		}
	}
	return out
}

// dilate and erode take the maximum and minimum over w × h pixels (odd); what
// lies outside does not count.
func (p plane) dilate(w, h int) plane {
	return p.slide(w, h, func(a, b byte) byte { return max(a, b) })
}
func (p plane) erode(w, h int) plane { return p.slide(w, h, func(a, b byte) byte { return min(a, b) }) }

func (p plane) closed(w, h int) plane { return p.dilate(w, h).erode(w, h) }
func (p plane) opened(w, h int) plane { return p.erode(w, h).dilate(w, h) }

// slide works along rows, then columns, with windows that double: the extreme
// over n pixels is that of two overlapping windows of the largest power of two.
func (p plane) slide(w, h int, pick func(a, b byte) byte) plane {
	return p.along(w, 1, p.w, pick).along(h, p.w, p.h, pick)
}

// along slides over n pixels that lie step apart, in lines of length size.
func (p plane) along(n, step, size int, pick func(a, b byte) byte) plane {
	if n == 1 {
		return p
	}
	out := newPlane(p.w, p.h)
	r := n / 2
	line := make([]byte, size)
	lines, next := p.h, p.w
	if step != 1 {
		lines, next = p.w, 1
	}
	for l := range lines {
		at := l * next
		for i := range line {
			line[i] = p.px[at+i*step]
		}
		have := 1
		for have*2 <= min(n, size) {
			for i := 0; i+have < size; i++ {
				line[i] = pick(line[i], line[i+have])
			}
			have *= 2
		}
		// line[i] now covers i … i+have-1, fewer at the end.
		for i := range size {
			from, to := max(0, i-r), min(size-1, i+r)
			if to-from+1 < have {
				// Near the border of a short line.
				v := p.px[at+from*step]
				for j := from + 1; j <= to; j++ {
					v = pick(v, p.px[at+j*step])
				}
				out.px[at+i*step] = v
				continue
			}
			out.px[at+i*step] = pick(line[from], line[to-have+1])
		}
	}
	return out
}

// blackHat is what closing fills: dark marks narrower than w × h.
func (p plane) blackHat(w, h int) plane {
	out := p.closed(w, h)
	for i := range out.px {
		out.px[i] -= p.px[i]
	}
	return out
}

// edges is the magnitude of the horizontal Scharr derivative, spread over
// 0..255.
func (p plane) edges() plane {
	g := make([]int32, len(p.px))
	lo, hi := int32(1<<30), int32(0)
	for y := range p.h {
		a, b, c := p.px[reflect(y-1, p.h)*p.w:], p.px[y*p.w:], p.px[reflect(y+1, p.h)*p.w:]
		for x := range p.w {
			l, r := reflect(x-1, p.w), reflect(x+1, p.w)
			v := 3*(int32(a[r])-int32(a[l])) + 10*(int32(b[r])-int32(b[l])) + 3*(int32(c[r])-int32(c[l]))
			if v < 0 {
				v = -v
			}
			g[y*p.w+x] = v
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	out := newPlane(p.w, p.h)
	if hi > lo {
		for i, v := range g {
			out.px[i] = byte(255 * (v - lo) / (hi - lo))
		}
	}
	return out
}

// otsu is the threshold that parts the histogram best (Otsu 1979): pixels
// above it are foreground.
func (p plane) otsu() byte {
	var hist [256]float64
	for _, v := range p.px {
		hist[v]++
	}
	n, sum := float64(len(p.px)), 0.0
	for v, c := range hist {
		sum += float64(v) * c
	}
	var best, below, belowSum float64
	threshold := 0
	for v, c := range hist {
		below += c
		belowSum += float64(v) * c
		if below == 0 || below == n {
			continue
		}
		d := belowSum/below - (sum-belowSum)/(n-below)
		if between := below * (n - below) * d * d; between > best {
			best, threshold = between, v
		}
	}
	return byte(threshold)
}

// above is 255 where the pixel exceeds the threshold.
func (p plane) above(threshold byte) plane {
	out := newPlane(p.w, p.h)
	for i, v := range p.px {
		if v > threshold {
			out.px[i] = 255
		}
	}
	return out
}

func (p plane) mask() []bool {
	m := make([]bool, len(p.px))
	for i, v := range p.px {
		m[i] = v != 0
	}
	return m
}
