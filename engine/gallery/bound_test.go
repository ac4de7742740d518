package gallery

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBoundsHold: what quantising loses is no more than the errors say, a row's
// similarity lies between its bounds, and the sketch leaves out no row that
// reaches the threshold, not even where it reaches it just so.
func TestBoundsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	reached, left := 0, 0
	for _, dimension := range []int{1, 2, 3, 8, 63, 64, 65, 128, 512, 704, 1024} {
		s, err := newSegment(shapeOf(dimension), 64)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 64 {
			s.put(i, uint64(i+1), steep(r, dimension))
			code, v := s.code(i), s.row(i)
			var fine, rough float64
			for j := range v {
				d := float64(v[j]) - float64(int(code[j])-zero)*float64(s.scales[i])
				e := float64(v[j]) - (float64(code[j]&0xf0)+cellCentre-zero)*float64(s.scales[i])
				fine, rough = fine+d*d, rough+e*e
			}
			if float64(s.fine[i]) < math.Sqrt(fine) || float64(s.rough[i]) < math.Sqrt(rough) {
				t.Fatalf("dimension %d: errors %g and %g, said to be %g and %g", dimension, math.Sqrt(fine), math.Sqrt(rough), s.fine[i], s.rough[i])
			}
			if float64(s.fine[i]) > math.Sqrt(fine)*1.01+1e-4 || float64(s.rough[i]) > math.Sqrt(rough)*1.01+1e-4 {
				t.Fatalf("dimension %d: errors %g and %g are said to be as much as %g and %g", dimension, math.Sqrt(fine), math.Sqrt(rough), s.fine[i], s.rough[i])
			}
		}
		for range 200 {
			v := steep(r, dimension)
			p := newProbe(s.shape, v, math.Sqrt(dot(v, v)))
			one := lines(s.shape, p)
			for i := range 64 {
				similarity := dot(s.row(i), v)
				var sum int32
				for j, c := range s.code(i) {
					sum += int32(c) * int32(p.codes[j])
				}
				low, high := p.between(sum, s.scales[i], s.fine[i])
				if float64(low) > max(-1, similarity) || min(1, similarity) > float64(high) {
					t.Fatalf("dimension %d: %g is not between %g and %g", dimension, similarity, low, high)
				}
				for _, floor := range []float32{float32(min(1, similarity)), float32(similarity) + 0.3} {
					b := p.bound(floor)
					reaches := b.reaches(s.sum(i, 0, 1, one), s.scales[i], s.rough[i])
					if float64(floor) <= similarity+1e-7 {
						reached++
						if !reaches {
							t.Fatalf("dimension %d: a row of similarity %g is left out at %g", dimension, similarity, floor)
						}
					} else if !reaches {
						left++
					}
				}
			}
		}
		s.free()
	}
	if left*4 < reached {
		t.Errorf("only %d of %d rows 0.3 below the threshold are left out: the sketch is of no use", left, reached)
	}
}

// TestRowsBeyondTheLengthAreNotFound: neither one that is being enrolled nor what
// the last block has room for.
func TestRowsBeyondTheLengthAreNotFound(t *testing.T) {
	for _, rows := range []int{1, 15, 16, 17, 1000} {
		for _, k := range kernels() {
			g := newFilled(t, 24, rows)
			g.kernel = k
			s := g.view.Load().segments[0]
			v := randomUnit(rand.New(rand.NewPCG(1, 1)), 24)
			s.put(rows, 5000, v) // whole, but its length has not been published
			for _, least := range []float64{-1, 0.9} {
				found, err := g.Search(t.Context(), Template{"m", v}, Query{K: MaxK, Min: least})
				if err != nil {
					t.Fatal(err)
				}
				want := 0
				for i := range rows {
					if dot(s.row(i), v) >= least {
						want++
					}
				}
				if len(found) != want || slices.ContainsFunc(found, func(c Candidate) bool { return c.Number == 5000 }) {
					t.Errorf("kernel %s, %d rows: %d candidates at least %g, want %d", k.name, rows, len(found), least, want)
				}
			}
		}
	}
}

// steep makes a vector of nearly unit length whose values fall off slowly or
// fast: from all alike to a single one.
func steep(r *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	power := r.Float64() * r.Float64() * 30
	for i := range v {
		v[i] = float32(math.Copysign(math.Pow(r.Float64(), power), r.Float64()-0.5))
	}
	v[r.IntN(dimension)] = 1
	f := float32((1 + (r.Float64()-0.5)*1.8*unitTolerance) / math.Sqrt(dot(v, v)))
	for i := range v {
		v[i] *= f
	}
	return v
}
