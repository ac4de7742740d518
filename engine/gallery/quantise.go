package gallery

import (
	"fmt"
	"math"
)

// zero is the code of 0. Codes are unsigned because VPDPBUSD multiplies
// unsigned rows with a signed probe.
const zero = 128

// cellCentre is the middle of the sixteen codes that share their upper half.
const cellCentre = 7.5

// unitTolerance is how far a template's length may be from 1: float32 vectors
// of 1,024 dimensions that were brought to unit length are within 1e-5.
const unitTolerance = 1e-3

// MaxDimension of a template.
const MaxDimension = 1024

// checkUnit refuses what is no unit vector: NaN and zero are none either.
func checkUnit(v []float32) (length float64, err error) {
	length = math.Sqrt(dot(v, v))
	if !(math.Abs(length-1) <= unitTolerance) {
		return 0, fmt.Errorf("%w: its length is %g", ErrNotUnit, length)
	}
	return length, nil
}

// steps of a code from 0 to the largest value.
const steps = 127

// quantise writes the codes of v and gives their scale and how far v is from its
// codes (fine) and from the upper four bits of them (rough), as lengths. Both
// are rounded up: bounds are made of them.
func quantise(code []byte, v []float32) (scale, fine, rough float32) {
	scale = largest(v) / steps
	inverse := 1 / scale
	below := [16]float32{-7.5, -6.5, -5.5, -4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5}
	var fs, rs float64
	for len(v) > 0 { // short sums keep float32 exact enough
		n := min(len(v), 64)
		part, out := v[:n], code[:n]
		var f, r float32
		for i, x := range part {
			t := x*inverse + zero
			u := int32(t + 0.5)
			out[i] = byte(u)
			d := t - float32(u)
			e := d + below[u&15]
			f += d * d
			r += e * e
		}
		fs, rs = fs+float64(f), rs+float64(r)
		v, code = v[n:], code[n:]
	}
	return scale, roundUp(fs, scale), roundUp(rs, scale)
}

// largest size of a value. The bits of positive floats sort as they do.
func largest(v []float32) float32 {
	var most uint32
	for _, x := range v {
		most = max(most, math.Float32bits(x)&^(1<<31))
	}
	return math.Float32frombits(most)
}

// roundUp gives at least the root of a sum of squares in units of the scale. What
// float32 has lost of it is less than 1e-5 of the sum, by its sixty-four
// additions, and less than 2⁻¹⁶ in each value, by adding 128 to it.
func roundUp(squares float64, scale float32) float32 {
	return float32((math.Sqrt(squares*(1+1e-5)) + math.Sqrt(MaxDimension)/(1<<16)) * float64(scale) * (1 + 1e-6))
}

// dot is the similarity: the sum of the products in float64, which hold them
// exactly, in eight lanes and then as a tree. The order is part of the format of
// an answer: every processor gives the same bits.
func dot(a, b []float32) float64 {
	var s [8]float64
	b = b[:len(a)]
	i := 0
	for ; i+8 <= len(a); i += 8 {
		x, y := a[i:i+8:i+8], b[i:i+8:i+8]
		s[0] += float64(x[0]) * float64(y[0])
		s[1] += float64(x[1]) * float64(y[1])
		s[2] += float64(x[2]) * float64(y[2])
		s[3] += float64(x[3]) * float64(y[3])
		s[4] += float64(x[4]) * float64(y[4])
		s[5] += float64(x[5]) * float64(y[5])
		s[6] += float64(x[6]) * float64(y[6])
		s[7] += float64(x[7]) * float64(y[7])
	}
	for j := i; j < len(a); j++ {
		s[j-i] += float64(a[j]) * float64(b[j])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}
