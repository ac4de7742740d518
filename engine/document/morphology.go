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
func (p plane) dilate(w, h int) plane { return p.extreme(w, h, 0, maxOf) }
func (p plane) erode(w, h int) plane  { return p.extreme(w, h, 255, minOf) }

func (p plane) closed(w, h int) plane { return p.dilate(w, h).erode(w, h) }
func (p plane) opened(w, h int) plane { return p.erode(w, h).dilate(w, h) }

func maxOf(dst, a, b []byte) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
}

func minOf(dst, a, b []byte) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
}

// extreme works along rows, then columns, with windows that double: the extreme
// of n pixels is that of two overlapping windows of the largest power of two.
// The borders are padded with outside, which never wins.
func (p plane) extreme(w, h int, outside byte, pick func(dst, a, b []byte)) plane {
	out := newPlane(p.w, p.h)
	pad := w / 2
	line := make([]byte, p.w+2*pad)
	for y := range p.h {
		for i := range pad {
			line[i], line[pad+p.w+i] = outside, outside
		}
		copy(line[pad:], p.px[y*p.w:][:p.w])
		have := 1
		for ; 2*have <= w; have *= 2 {
			n := len(line) - have
			pick(line[:n], line, line[have:])
		}
		pick(out.px[y*p.w:][:p.w], line, line[w-have:])
	}
	pad = h / 2 * p.w
	all := make([]byte, len(out.px)+2*pad)
	for i := range pad {
		all[i], all[pad+len(out.px)+i] = outside, outside
	}
	copy(all[pad:], out.px)
	have := 1
	for ; 2*have <= h; have *= 2 {
		n := len(all) - have*p.w
		pick(all[:n], all, all[have*p.w:])
	}
	pick(out.px, all, all[(h-have)*p.w:])
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
