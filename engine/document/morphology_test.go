package document

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The windows that double must give what the definition gives.
func TestMorphology(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range [][2]int{{1, 1}, {1, 40}, {40, 1}, {7, 5}, {64, 33}, {3, 90}} {
		p := newPlane(size[0], size[1])
		for i := range p.px {
			p.px[i] = byte(r.IntN(256))
		}
		for _, k := range [][2]int{{1, 1}, {3, 3}, {17, 7}, {21, 3}, {5, 3}} {
			high, low := newPlane(p.w, p.h), newPlane(p.w, p.h)
			for y := range p.h {
				for x := range p.w {
					hi, lo := byte(0), byte(255)
					for v := max(0, y-k[1]/2); v <= min(p.h-1, y+k[1]/2); v++ {
						for u := max(0, x-k[0]/2); u <= min(p.w-1, x+k[0]/2); u++ {
							hi, lo = max(hi, p.px[v*p.w+u]), min(lo, p.px[v*p.w+u])
						}
					}
					high.px[y*p.w+x], low.px[y*p.w+x] = hi, lo
				}
			}
			if !bytes.Equal(p.dilate(k[0], k[1]).px, high.px) || !bytes.Equal(p.erode(k[0], k[1]).px, low.px) {
				t.Errorf("%v over %v", k, size)
			}
		}
	}
}
