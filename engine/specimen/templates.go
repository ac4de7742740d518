package specimen

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

// Templates invents face templates: unit vectors whose similarities are spread
// as those of the default pack's are on real faces. Two persons' have mean 0 and
// a standard deviation of 0.12 (docs/accuracy.md: false match rates of 0.1 at
// 0.153 and of 1e-5 at 0.516), two of one person about 0.7. Real ones may be
// easier or harder to tell apart in other ways.
type Templates struct {
	seed      uint64
	dimension int
	signs     [rounds][]float32
	orders    [rounds][]int
}

const (
	// decay of the variance from one component to the next: e^(-i/33) gives an
	// effective dimension of 2·33 = 66 = 1/0.123².
	decay = 33
	// components beyond hold less than e^(-8) of the variance.
	components = 8 * decay
	// spread of one person's templates: the cosine of two is about 1/(1+0.43).
	spread = 0.656
	// rounds of mixing bring the components into all dimensions, as a rotation.
	rounds = 3
)

// NewTemplates of a dimension; the same seed gives the same.
func NewTemplates(seed uint64, dimension int) *Templates {
	t := &Templates{seed: seed, dimension: dimension}
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range rounds {
		t.orders[i] = r.Perm(dimension)
		t.signs[i] = make([]float32, dimension)
		for j := range t.signs[i] {
			t.signs[i][j] = float32(1 - 2*r.IntN(2))
		}
	}
	return t
}

// Template is picture number picture of a person.
func (t *Templates) Template(person, picture uint64) []float32 {
	v := make([]float32, t.dimension)
	t.add(v, rand.New(rand.NewPCG(t.seed+1, person)), 1)
	t.add(v, rand.New(rand.NewPCG(t.seed+2+picture, person)), spread)
	w := make([]float32, t.dimension)
	for i := range rounds {
		for j, from := range t.orders[i] {
			w[j] = v[from] * t.signs[i][j]
		}
		hadamard(w)
		v, w = w, v
	}
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= scale
	}
	return v
}

func (t *Templates) add(v []float32, r *rand.Rand, scale float64) {
	step := math.Exp(-0.5 / decay)
	for i := range min(components, t.dimension) {
		v[i] += float32(r.NormFloat64() * scale)
		scale *= step
	}
}

// hadamard transforms v in blocks of powers of two, as long as they fit.
func hadamard(v []float32) {
	for len(v) > 1 {
		n := min(64, 1<<(bits.Len(uint(len(v)))-1))
		for h := 1; h < n; h *= 2 {
			for i := 0; i < n; i += 2 * h {
				for j := i; j < i+h; j++ {
					v[j], v[j+h] = v[j]+v[j+h], v[j]-v[j+h]
				}
			}
		}
		scale := float32(1 / math.Sqrt(float64(n)))
		for i := range n {
			v[i] *= scale
		}
		v = v[n:]
	}
}
