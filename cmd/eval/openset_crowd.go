package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
)

// crowd invents faces that are spread as real ones are: each is drawn from a
// normal distribution with the mean and the covariance of the faces most like
// one of them, and each recogniser's part is brought to its length. With all
// faces in sight it is one normal distribution, whose similarities have too thin
// a tail: real people are more alike within a group.
type crowd struct {
	seed  uint64
	faces [][]float32
	near  [][]int32   // of each face: those most like it, itself too
	mean  [][]float32 // of them
	parts []int       // dimensions of each recogniser
}

// newCrowd keeps so many in sight.
func newCrowd(seed uint64, faces [][]float32, sight int, parts []int) *crowd {
	c := &crowd{seed: seed, faces: faces, near: make([][]int32, len(faces)), mean: make([][]float32, len(faces)), parts: parts}
	share(len(faces), func(i int) { c.look(i, min(sight, len(faces))) })
	return c
}

// look for the faces most like one.
func (c *crowd) look(i, sight int) {
	all := make([]int32, len(c.faces))
	like := make([]float32, len(c.faces))
	for j := range all {
		all[j], like[j] = int32(j), dot4(c.faces[i], c.faces[j], c.faces[j], c.faces[j], c.faces[j])[0]
	}
	slices.SortFunc(all, func(a, b int32) int { return cmp.Or(cmp.Compare(like[b], like[a]), cmp.Compare(a, b)) })
	c.near[i] = slices.Clone(all[:sight])
	c.mean[i] = make([]float32, len(c.faces[i]))
	for _, j := range c.near[i] {
		for k, x := range c.faces[j] {
			c.mean[i][k] += x / float32(sight)
		}
	}
}

// face writes face number n, always the same.
func (c *crowd) face(n uint64, v []float32) {
	r := rand.New(rand.NewPCG(c.seed, n))
	at := r.IntN(len(c.faces))
	near := c.near[at]
	// mean + Σ g·(face − mean)/√(n−1), with normal g, has their covariance.
	scale, rest := 1/math.Sqrt(float64(max(1, len(near)-1))), 1.0
	for k := range v {
		v[k] = 0
	}
	for four := range slices.Chunk(near, 4) {
		var w [4]float32
		f := [4][]float32{c.mean[at], c.mean[at], c.mean[at], c.mean[at]}
		for j, from := range four {
			g := r.NormFloat64() * scale
			w[j], f[j] = float32(g), c.faces[from]
			rest -= g
		}
		add4(v, w, f)
	}
	add4(v, [4]float32{float32(rest)}, [4][]float32{c.mean[at], c.mean[at], c.mean[at], c.mean[at]})
	length := 1 / math.Sqrt(float64(len(c.parts)))
	for _, d := range c.parts {
		var squares float64
		for _, x := range v[:d] {
			squares += float64(x) * float64(x)
		}
		times := float32(length / math.Sqrt(squares))
		for k := range v[:d] {
			v[k] *= times
		}
		v = v[d:]
	}
}

// add4 adds four multiples in one pass over v.
func add4(v []float32, w [4]float32, f [4][]float32) {
	a, b, c, d := f[0][:len(v)], f[1][:len(v)], f[2][:len(v)], f[3][:len(v)]
	for k := range v {
		v[k] += w[0]*a[k] + w[1]*b[k] + (w[2]*c[k] + w[3]*d[k])
	}
}

// invent faces first, first+1 … into the rows.
func (c *crowd) invent(first int, rows [][]float32) {
	share(len(rows), func(i int) { c.face(uint64(first+i), rows[i]) })
}

// share the work for 0 … n-1 among the cores.
func share(n int, do func(i int)) {
	var group sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		group.Go(func() {
			for i := core; i < n; i += cores {
				do(i)
			}
		})
	}
	group.Wait()
}

// newRows of so many vectors, in one piece of memory.
func newRows(n, dimension int) [][]float32 {
	all, rows := make([]float32, n*dimension), make([][]float32, n)
	for i := range rows {
		rows[i] = all[i*dimension : (i+1)*dimension : (i+1)*dimension]
	}
	return rows
}

// likeness is how the similarities of the ones with the others are spread.
func likeness(some, others [][]float32) *histogram {
	const few = 32 // they and four others lie in a core's caches
	all := newHistogram()
	var mu sync.Mutex
	blocks := slices.Collect(slices.Chunk(some, few))
	share(len(blocks), func(i int) {
		h := newHistogram()
		j := 0
		for ; j+4 <= len(others); j += 4 {
			for _, a := range blocks[i] {
				for _, s := range dot4(a, others[j], others[j+1], others[j+2], others[j+3]) {
					h.add(s)
				}
			}
		}
		for ; j < len(others); j++ {
			for _, a := range blocks[i] {
				h.add(dot4(a, others[j], a, a, a)[0])
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all.merge(h)
	})
	return all
}
