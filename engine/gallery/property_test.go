package gallery_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"gatehouse/engine/gallery"
)

// seed of the random tests; GALLERY_SEED tries another.
func seed(t testing.TB) uint64 {
	s := uint64(1)
	if e := os.Getenv("GALLERY_SEED"); e != "" {
		var err error
		if s, err = strconv.ParseUint(e, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("GALLERY_SEED=%d", s)
	return s
}

// TestAnswersAreThoseOfComparingAll does the same to galleries of every kernel,
// with one worker and with two, and to a naive model: enrol, remove, search one
// or many, compact, snapshot and reopen, in random order.
func TestAnswersAreThoseOfComparingAll(t *testing.T) {
	s := seed(t)
	dimensions := []int{1, 2, 7, 8, 9, 63, 64, 65, 128, 192, 512, 704, 1024}
	if testing.Short() {
		dimensions = []int{1, 9, 65, 704}
	}
	for _, dimension := range dimensions {
		t.Run(strconv.Itoa(dimension), func(t *testing.T) {
			r := rand.New(rand.NewPCG(s, uint64(dimension)))
			all := kinds(s, dimension)
			// Three segments at least, whose pieces two workers share.
			rows, steps := min(8000, max(3500, 1_000_000/dimension)), 25
			if testing.Short() {
				rows, steps = 3300, 6
			}
			w := &world{T: t, r: r, dimension: dimension}
			for i, k := range kernels(dimension) {
				w.galleries = append(w.galleries, open(t, gallery.Config{Dimension: dimension, Kernel: k, Workers: 1 + i%2}))
			}
			w.galleries = append(w.galleries, open(t, gallery.Config{Dimension: dimension, Workers: 2}))
			w.vector = func() []float32 { return all[r.IntN(len(all))].make(r) }
			w.enrol(rows * 2 / 3)
			w.search(3)
			for range steps {
				w.step(rows / 60)
			}
			w.search(17)
		})
	}
}

// TestAnswersOfEveryKindOfVector searches galleries of one kind of vector each:
// a mixture would hide a bound that is too tight for one.
func TestAnswersOfEveryKindOfVector(t *testing.T) {
	s := seed(t)
	dimensions := []int{1, 2, 9, 65, 128, 704}
	if testing.Short() {
		dimensions = []int{9, 128}
	}
	for _, dimension := range dimensions {
		for n, k := range kinds(s, dimension) {
			t.Run(fmt.Sprintf("%d/%s", dimension, k.name), func(t *testing.T) {
				r := rand.New(rand.NewPCG(s, uint64(n)))
				w := &world{T: t, r: r, dimension: dimension, vector: func() []float32 { return k.make(r) }}
				for i, kernel := range kernels(dimension) {
					w.galleries = append(w.galleries, open(t, gallery.Config{Dimension: dimension, Kernel: kernel, Workers: 2 - i%2}))
				}
				rows := 2200
				if testing.Short() {
					rows = 1100
				}
				w.enrol(rows)
				w.search(6)
				w.remove(rows / 10)
				w.search(5)
			})
		}
	}
}

// kernels to try. Under the race detector, which looks into none but the portable
// one, that is too slow for many dimensions.
func kernels(dimension int) []string {
	all := gallery.Kernels()
	if testing.Short() && dimension > 128 && len(all) > 1 {
		return all[:len(all)-1]
	}
	return all
}

// world is galleries that must all be equal to one model.
type world struct {
	*testing.T
	r         *rand.Rand
	dimension int
	vector    func() []float32
	model     naive
	galleries []*gallery.Gallery
}

func (w *world) step(few int) {
	w.Helper()
	switch n := w.r.IntN(20); {
	case n < 4:
		w.enrol(1 + w.r.IntN(3*few))
	case n < 7:
		w.remove(1 + w.r.IntN(few))
	case n < 8: // most of a run, so that there are holes to close
		w.removeRun(len(w.model.numbers) / 4)
	case n < 14:
		w.search(1)
	case n < 16:
		w.search(1 + w.r.IntN(40))
	case n < 18:
		w.compact()
	default:
		w.reopen()
	}
	w.count()
}

func (w *world) enrol(n int) {
	w.Helper()
	for range n {
		number := w.model.last + 1 + w.r.Uint64N(3)
		v := w.vector()
		if m := len(w.model.vectors); m > 0 && w.r.IntN(20) == 0 {
			v = w.model.vectors[w.r.IntN(m)] // a tie with an older one
		}
		for _, g := range w.galleries {
			enrol(w, g, number, v)
		}
		w.model.enrol(number, v)
	}
}

func (w *world) remove(n int) {
	w.Helper()
	for range min(n, len(w.model.numbers)) {
		w.removeAt(w.r.IntN(len(w.model.numbers)))
	}
}

func (w *world) removeRun(n int) {
	w.Helper()
	from := w.r.IntN(len(w.model.numbers) - n + 1)
	for range n {
		w.removeAt(from)
	}
}

func (w *world) removeAt(i int) {
	w.Helper()
	for _, g := range w.galleries {
		if err := g.Remove(w.model.numbers[i]); err != nil {
			w.Fatal(err)
		}
	}
	w.model.remove(i)
}

func (w *world) compact() {
	w.Helper()
	for _, g := range w.galleries {
		if err := g.Compact(); err != nil {
			w.Fatal(err)
		}
	}
}

// reopen writes each gallery to a file, closes it and reads the file.
func (w *world) reopen() {
	w.Helper()
	var first []byte
	for i, g := range w.galleries {
		path := filepath.Join(w.TempDir(), "snapshot")
		index := w.model.last + w.r.Uint64N(9)
		f, err := os.Create(path)
		if err != nil {
			w.Fatal(err)
		}
		if err := g.WriteSnapshot(w.Context(), f, index); err != nil {
			w.Fatal(err)
		}
		size, err := f.Seek(0, 2)
		if err != nil {
			w.Fatal(err)
		}
		c := g.Config
		g.Close()
		var read atomic.Int64
		again, gotIndex, err := gallery.ReadSnapshot(w.Context(), c, f, size, func(n int) { read.Add(int64(n)) })
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(again.Close)
		if n := int(read.Load()); gotIndex != index || n != len(w.model.numbers) || again.Newest() != w.model.last {
			w.Fatalf("read back %d templates, index %d, newest %d; want %d, %d, %d", n, gotIndex, again.Newest(), len(w.model.numbers), index, w.model.last)
		}
		w.galleries[i] = again
		if err := f.Close(); err != nil {
			w.Fatal(err)
		}
		b := snapshotOf(w, again, w.model.last+7)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			w.Fatal("the same templates give two snapshots")
		}
	}
}

// search for n probes at once, each of which may be near or far.
func (w *world) search(n int) {
	w.Helper()
	probes := make([]gallery.Template, n)
	all := make([][]gallery.Candidate, n)
	for i := range probes {
		v := w.vector()
		if m := len(w.model.vectors); m > 0 && w.r.IntN(3) == 0 {
			v = w.model.vectors[w.r.IntN(m)]
		}
		probes[i], all[i] = template(v), w.model.all(v)
	}
	for range 3 {
		q := w.query(all[0])
		for i, g := range w.galleries {
			got, err := g.SearchBatch(w.Context(), probes, q)
			if err != nil {
				w.Fatal(err)
			}
			if len(got) != n {
				w.Fatalf("%d answers to %d probes", len(got), n)
			}
			for p := range probes {
				if d := differ(got[p], answer(all[p], q)); d != "" {
					w.Fatalf("gallery %d (kernel %s, %d workers), %d templates, probe %d of %d, query %+v: %s", i, g.Kernel, g.Workers, g.Len(), p, n, q, d)
				}
			}
		}
	}
}

func (w *world) query(all []gallery.Candidate) gallery.Query {
	some := func() gallery.Candidate {
		if len(all) == 0 {
			return gallery.Candidate{}
		}
		return all[w.r.IntN(len(all))]
	}
	q := gallery.Query{Engine: []gallery.Engine{"", gallery.Exact}[w.r.IntN(2)]}
	q.K = []int{1, 2, 10, 1 + w.r.IntN(gallery.MaxK), gallery.MaxK}[w.r.IntN(5)]
	q.Min = []float64{-1, 0, some().Similarity, some().Similarity, 2*w.r.Float64() - 1, 1}[w.r.IntN(6)]
	q.Since = []uint64{0, 0, 0, some().Number, w.r.Uint64N(w.model.last + 2), w.model.last}[w.r.IntN(6)]
	return q
}

// count compares what the galleries say they hold.
func (w *world) count() {
	w.Helper()
	for _, g := range w.galleries {
		var numbers []uint64
		g.Numbers(func(n uint64) bool { numbers = append(numbers, n); return true })
		if !slices.Equal(numbers, w.model.numbers) {
			w.Fatalf("numbers are %d, want %d", numbers, w.model.numbers)
		}
		if g.Len() != len(numbers) || g.Newest() != w.model.last || g.Stats().Templates != len(numbers) {
			w.Fatalf("length %d, newest %d, want %d, %d", g.Len(), g.Newest(), len(numbers), w.model.last)
		}
		for i, n := range numbers {
			if there, same := g.Holds(n, w.model.vectors[i]); !there || !same {
				w.Fatalf("template %d: there %v, same %v", n, there, same)
			}
			if i > 0 && numbers[i-1]+1 < n {
				if there, same := g.Holds(n-1, w.model.vectors[i]); there || same {
					w.Fatalf("template %d, which is not enrolled: there %v, same %v", n-1, there, same)
				}
			}
		}
	}
}

func snapshotOf(t testing.TB, g *gallery.Gallery, index uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := g.WriteSnapshot(t.Context(), &b, index); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
