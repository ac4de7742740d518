package gallery_test

import (
	"math/rand/v2"
	"testing"

	"gatehouse/engine/gallery"
	"gatehouse/engine/specimen"
)

// TestRecallIsOne on faces: people who are enrolled, by another picture, and
// people who are not, against comparing all in float64.
func TestRecallIsOne(t *testing.T) {
	const dimension = 704
	rows, probes := 20000, 200
	if testing.Short() {
		rows, probes = 3000, 40
	}
	faces := specimen.NewTemplates(seed(t), dimension)
	var galleries []*gallery.Gallery
	for _, k := range kernels(dimension) {
		galleries = append(galleries, open(t, gallery.Config{Dimension: dimension, Kernel: k, Workers: 2}))
	}
	var m naive
	for n := range uint64(rows) {
		v := faces.Template(n, 0)
		m.enrol(n+1, v)
		for _, g := range galleries {
			enrol(t, g, n+1, v)
		}
	}
	r := rand.New(rand.NewPCG(seed(t), 0))
	var templates []gallery.Template
	var want [][]gallery.Candidate
	q := gallery.Query{K: 10, Min: -1}
	mated := 0
	for i := range 2 * probes {
		person := r.Uint64N(uint64(rows))
		if i%2 == 1 {
			person += uint64(rows) // unknown
		}
		v := faces.Template(person, 1)
		templates, want = append(templates, template(v)), append(want, m.best(v, q.K))
		if want[i][0].Number == person+1 {
			mated++
		}
	}
	if mated < probes*8/10 {
		t.Errorf("only %d of %d people are the most like themselves: these are no faces", mated, probes)
	}
	for _, g := range galleries {
		first, ten, n := 0, 0, len(templates)
		if g.Kernel == gallery.Portable {
			n /= 4 // it is slow
		}
		all, err := g.SearchBatch(t.Context(), templates[:n], q)
		if err != nil {
			t.Fatal(err)
		}
		for i, found := range all {
			if len(found) > 0 && found[0] == want[i][0] {
				first++
			}
			if d := differ(found, want[i]); d == "" {
				ten++
			} else {
				t.Errorf("kernel %s, probe %d: %s", g.Kernel, i, d)
			}
		}
		t.Logf("kernel %s: recall@1 %d/%d, recall@10 %d/%d", g.Kernel, first, len(all), ten, len(all))
	}
}

// best k candidates, without sorting all.
func (m *naive) best(probe []float32, k int) []gallery.Candidate {
	var best []gallery.Candidate
	for i, v := range m.vectors {
		c := gallery.Candidate{Number: m.numbers[i], Similarity: max(-1, min(1, dot(v, probe)))}
		if len(best) == k && c.Similarity <= best[k-1].Similarity {
			continue
		}
		at := len(best)
		for at > 0 && best[at-1].Similarity < c.Similarity {
			at--
		}
		best = append(best[:at], append([]gallery.Candidate{c}, best[at:]...)...)
		best = best[:min(k, len(best))]
	}
	return best
}

// TestTiesComeInTheOrderOfEnrolment, wherever they lie: in one block, in another
// worker's piece or in another segment.
func TestTiesComeInTheOrderOfEnrolment(t *testing.T) {
	const rows, dimension = 9000, 128
	r := rand.New(rand.NewPCG(seed(t), 0))
	draw := kinds(1, dimension)[1].make
	twin := draw(r)
	for _, k := range gallery.Kernels() {
		g := open(t, gallery.Config{Dimension: dimension, Kernel: k, Workers: 2})
		var want []uint64
		for n := uint64(1); n <= rows; n++ {
			v := twin
			if r.IntN(4) == 0 {
				v = draw(r)
			} else {
				want = append(want, n)
			}
			enrol(t, g, n, v)
		}
		for _, k := range []int{1, 2, 17, gallery.MaxK} {
			for range 5 { // the workers do not go the same ways again
				found := search(t, g, twin, gallery.Query{K: k, Min: 0.9})
				if len(found) != k {
					t.Fatalf("%d candidates, want %d", len(found), k)
				}
				for i, c := range found {
					if c.Number != want[i] {
						t.Fatalf("candidate %d of %d is %d, want %d", i, k, c.Number, want[i])
					}
				}
			}
		}
		g.Close()
	}
}
