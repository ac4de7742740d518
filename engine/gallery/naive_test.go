package gallery_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/engine/gallery"
	"gatehouse/engine/specimen"
)

// naive is what a gallery must be equal to, bit for bit: all similarities, sorted.
type naive struct {
	numbers []uint64
	vectors [][]float32
	last    uint64
}

func (m *naive) enrol(number uint64, v []float32) {
	m.numbers, m.vectors, m.last = append(m.numbers, number), append(m.vectors, v), number
}

func (m *naive) remove(i int) {
	m.numbers, m.vectors = slices.Delete(m.numbers, i, i+1), slices.Delete(m.vectors, i, i+1)
}

// all candidates for a probe, the best first.
func (m *naive) all(probe []float32) []gallery.Candidate {
	all := make([]gallery.Candidate, len(m.numbers))
	for i, v := range m.vectors {
		all[i] = gallery.Candidate{Number: m.numbers[i], Similarity: max(-1, min(1, dot(v, probe)))}
	}
	slices.SortFunc(all, func(a, b gallery.Candidate) int {
		return cmp.Or(cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Number, b.Number))
	})
	return all
}

// answer is what a query leaves of all candidates.
func answer(all []gallery.Candidate, q gallery.Query) []gallery.Candidate {
	var out []gallery.Candidate
	for _, c := range all {
		if c.Number > q.Since && c.Similarity >= q.Min && len(out) < q.K {
			out = append(out, c)
		}
	}
	return out
}

// dot in the order that the answers' format says: eight lanes, then a tree. The
// race detector has nothing to find in it.
//
//go:norace
func dot(a, b []float32) float64 {
	var s [8]float64
	for len(a) >= 8 {
		x, y := (*[8]float32)(a), (*[8]float32)(b)
		for i := range s {
			s[i] += float64(x[i]) * float64(y[i])
		}
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s[i] += float64(a[i]) * float64(b[i])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

// unit brings v to length 1.
func unit(v []float32) []float32 { return scaled(v, 1) }

func scaled(v []float32, length float64) []float32 {
	f := length / math.Sqrt(dot(v, v))
	for i, x := range v {
		v[i] = float32(float64(x) * f)
	}
	return v
}

// kind makes vectors of one sort.
type kind struct {
	name string
	make func(r *rand.Rand) []float32
}

func kinds(seed uint64, dimension int) []kind {
	faces := specimen.NewTemplates(seed, dimension)
	random := func(r *rand.Rand) []float32 {
		v := make([]float32, dimension)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return unit(v)
	}
	// filled has every value but one from f; that one makes the length 1.
	filled := func(r *rand.Rand, f func() float32) []float32 {
		v := make([]float32, dimension)
		for i := range v {
			v[i] = f()
		}
		v[r.IntN(dimension)] = sign(r)
		return v
	}
	first := rand.New(rand.NewPCG(seed, 1))
	var centres, few [][]float32
	for range 20 {
		centres, few = append(centres, random(first)), append(few, random(first))
	}
	return []kind{
		{"faces", func(r *rand.Rand) []float32 { return faces.Template(r.Uint64N(3000), r.Uint64N(3)) }},
		{"random", random},
		{"clusters", func(r *rand.Rand) []float32 {
			v := slices.Clone(centres[r.IntN(len(centres))])
			for i := range v {
				v[i] += float32(r.NormFloat64() * 0.1 / math.Sqrt(float64(dimension)))
			}
			return unit(v)
		}},
		{"duplicates", func(r *rand.Rand) []float32 { return few[r.IntN(len(few))] }},
		{"one hot", func(r *rand.Rand) []float32 { return filled(r, func() float32 { return 0 }) }},
		{"two values", func(r *rand.Rand) []float32 {
			v := make([]float32, dimension)
			for i := range v {
				v[i] = sign(r)
			}
			return unit(v)
		}},
		{"all equal", func(r *rand.Rand) []float32 {
			return unit(slices.Repeat([]float32{sign(r)}, dimension))
		}},
		{"tiny", func(r *rand.Rand) []float32 {
			return filled(r, func() float32 { return float32(r.NormFloat64() * 1e-6) })
		}},
		{"denormal", func(r *rand.Rand) []float32 {
			return filled(r, func() float32 { return sign(r) * math.SmallestNonzeroFloat32 * float32(1+r.IntN(9)) })
		}},
		{"nearly unit", func(r *rand.Rand) []float32 {
			return scaled(slices.Clone(few[r.IntN(len(few))]), 1+(r.Float64()-0.5)*0.0018)
		}},
	}
}

func sign(r *rand.Rand) float32 { return float32(1 - 2*r.IntN(2)) }

// model name that the tests' templates have.
const model = "face-test-1"

func template(v []float32) gallery.Template { return gallery.Template{Model: model, Vector: v} }

func open(t testing.TB, c gallery.Config) *gallery.Gallery {
	t.Helper()
	c.Name, c.Model = "tenant/subjects", model
	g, err := gallery.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func enrol(t testing.TB, g *gallery.Gallery, number uint64, v []float32) {
	t.Helper()
	if err := g.Enrol(number, template(v)); err != nil {
		t.Fatalf("enrol %d: %v", number, err)
	}
}

func search(t testing.TB, g *gallery.Gallery, v []float32, q gallery.Query) []gallery.Candidate {
	t.Helper()
	found, err := g.Search(t.Context(), template(v), q)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return found
}

// differ says where two answers do, bit for bit; empty where they are equal.
func differ(got, want []gallery.Candidate) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("candidate %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d candidates, want %d", len(got), len(want))
	}
	return ""
}
