package specimen_test

import (
	"math"
	"slices"
	"testing"

	"gatehouse/engine/specimen"
)

func cosine(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestTemplatesAreUnitVectorsOfTheirSeed(t *testing.T) {
	for dimension := 1; dimension <= 1024; dimension += 1 + dimension/16 {
		one, same, other := specimen.NewTemplates(7, dimension), specimen.NewTemplates(7, dimension), specimen.NewTemplates(8, dimension)
		for person := range uint64(3) {
			v := one.Template(person, 1)
			if length := math.Sqrt(cosine(v, v)); len(v) != dimension || !(math.Abs(length-1) < 1e-5) {
				t.Fatalf("dimension %d: %d values of length %g", dimension, len(v), length)
			}
			if !slices.Equal(v, same.Template(person, 1)) {
				t.Fatalf("dimension %d: the same seed gives another template", dimension)
			}
			if dimension < 8 { // few are possible: in one dimension two
				continue
			}
			for name, w := range map[string][]float32{"seed": other.Template(person, 1), "person": one.Template(person+1, 1), "picture": one.Template(person, 2)} {
				if slices.Equal(v, w) {
					t.Errorf("dimension %d: another %s gives the same template", dimension, name)
				}
			}
		}
	}
}

// TestTemplatesAreSpreadAsFaces: two persons' similarities have mean 0 and a
// standard deviation of 0.12, and are beyond the pack's thresholds about as
// often; those of one person are about 0.7.
func TestTemplatesAreSpreadAsFaces(t *testing.T) {
	const persons = 500
	for _, dimension := range []int{512, 704} {
		people := specimen.NewTemplates(3, dimension)
		var first, second [][]float32
		for p := range uint64(persons) {
			first, second = append(first, people.Template(p, 0)), append(second, people.Template(p, 1))
		}
		var impostor, genuine []float64
		above := 0
		for i := range first {
			genuine = append(genuine, cosine(first[i], second[i]))
			for j := range i {
				s := cosine(first[i], second[j])
				impostor = append(impostor, s)
				if s >= 0.153 { // the pack's threshold of a false match rate of 0.1
					above++
				}
			}
		}
		m, sd := moments(impostor)
		gm, gsd := moments(genuine)
		rate := float64(above) / float64(len(impostor))
		t.Logf("dimension %d: impostor mean %.4f sd %.4f, %.3f above 0.153; genuine mean %.4f sd %.4f", dimension, m, sd, rate, gm, gsd)
		if math.Abs(m) > 0.01 || math.Abs(sd-0.12) > 0.01 || math.Abs(rate-0.1) > 0.02 {
			t.Errorf("dimension %d: two persons' have mean %.4f, deviation %.4f and are above 0.153 at a rate of %.3f", dimension, m, sd, rate)
		}
		if math.Abs(gm-0.7) > 0.03 || gsd > 0.1 {
			t.Errorf("dimension %d: one person's have mean %.4f, deviation %.4f", dimension, gm, gsd)
		}
	}
}

func moments(x []float64) (mean, deviation float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(deviation)
}
