package gallery

import "math"

// probe is a template that is searched for, as the kernels want it.
type probe struct {
	vector []float32
	length float64
	scale  float64
	codes  []int8  // one a dimension, padded with 0
	sum    int     // of the codes
	miss   float64 // how far the vector is from its codes, as a length
}

func newProbe(s shape, v []float32, length float64) *probe {
	p := &probe{vector: v, length: length, codes: make([]int8, s.stride)}
	p.scale = float64(largest(v)) / steps
	var squares float64
	for i, x := range v {
		c := math.Round(float64(x) / p.scale)
		p.codes[i] = int8(c)
		p.sum += int(c)
		d := float64(x) - c*p.scale
		squares += d * d
	}
	p.miss = math.Sqrt(squares)
	return p
}

// slack covers the float32 arithmetic of the bounds: fewer than ten roundings of
// values under 2, 2⁻²⁴ of each.
const slack = 1e-5

// bound is what a kernel decides by: a row may reach the threshold where
// (sum − centre)·step·scale + rough·reach ≥ threshold.
//
// With x = x̂ + r and q = q̂ + p (what quantising lost), ⟨x,q⟩ = ⟨x̂,q̂⟩ + ⟨r,q⟩ +
// ⟨x̂,p⟩ ≤ ⟨x̂,q̂⟩ + |r||q| + (|x|+|r|)|p|: no row that reaches it is left out.
type bound struct{ centre, step, reach, threshold float32 }

func (p *probe) bound(floor float32) bound {
	return bound{
		// A sketch's value is 16·(half + (7.5−128)/16).
		centre:    float32((zero - cellCentre) / 16 * float64(p.sum)),
		step:      float32(16 * p.scale),
		reach:     float32(p.length + p.miss),
		threshold: floor - float32((1+unitTolerance)*p.miss+slack),
	}
}

// between bounds the similarity of a row by its codes' sum.
func (p *probe) between(sum int32, scale, fine float32) (low, high float32) {
	a := float64(scale) * p.scale * float64(int(sum)-zero*p.sum)
	e := float64(fine)*(p.length+p.miss) + (1+unitTolerance)*p.miss + slack
	return float32(a - e), float32(a + e)
}

// lines are the probe's codes in the order of a block's lines, for one probe or
// for four together.
func lines(s shape, probes ...*probe) []int8 {
	out := make([]int8, 0, s.groups*groupSize*len(probes))
	for g := range s.groups {
		for _, p := range probes {
			out = append(out, p.codes[g*groupSize:][:groupSize]...)
		}
	}
	return out
}
