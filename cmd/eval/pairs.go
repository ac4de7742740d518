package main

import (
	"context"
	"io"
	"sync"
)

// block is the number of templates compared with as many at a time: two blocks
// of 704 values lie in a core's second cache.
const block = 128

// allPairs compares every template with every other, those of two persons into
// the histogram, those of one into the list. vectors holds dim values for each
// person.
func allPairs(ctx context.Context, w io.Writer, vectors []float32, dim int, person []int, workers int) (impostors *histogram, genuine []float32, err error) {
	n := len(person)
	type job struct{ i, j int }
	var jobs []job
	for i := 0; i < n; i += block {
		for j := i; j < n; j += block {
			jobs = append(jobs, job{i, j})
		}
	}
	impostors = newHistogram()
	var mu sync.Mutex
	pool := sync.Pool{New: func() any { return newHistogram() }}
	err = each(ctx, w, "comparing all pairs, blocks", len(jobs), workers, func(_ context.Context, k int) error {
		h := pool.Get().(*histogram)
		defer pool.Put(h)
		clear(h.bins)
		h.total = 0
		var same []float32
		compareBlocks(vectors, dim, jobs[k].i, min(n, jobs[k].i+block), jobs[k].j, min(n, jobs[k].j+block), func(i, j int, score float32) {
			if person[i] == person[j] {
				same = append(same, score)
			} else {
				h.add(score)
			}
		})
		mu.Lock()
		defer mu.Unlock()
		impostors.merge(h)
		genuine = append(genuine, same...)
		return nil
	})
	return impostors, genuine, err
}

// compareBlocks emits each pair i < j of the rows [i0,i1) and [j0,j1) once.
func compareBlocks(v []float32, dim, i0, i1, j0, j1 int, emit func(i, j int, score float32)) {
	row := func(i int) []float32 { return v[i*dim : (i+1)*dim : (i+1)*dim] }
	for i := i0; i < i1; i++ {
		a := row(i)
		j := max(j0, i+1)
		for ; j+4 <= j1; j += 4 {
			s := dot4(a, row(j), row(j+1), row(j+2), row(j+3))
			for k, score := range s {
				emit(i, j+k, score)
			}
		}
		for ; j < j1; j++ {
			emit(i, j, dot4(a, row(j), a, a, a)[0])
		}
	}
}

// dot4 keeps four sums apart, so that additions need not wait for each other.
func dot4(a, b0, b1, b2, b3 []float32) (s [4]float32) {
	b0, b1, b2, b3 = b0[:len(a)], b1[:len(a)], b2[:len(a)], b3[:len(a)]
	var s0, s1, s2, s3 float32
	for i, x := range a {
		s0 += x * b0[i]
		s1 += x * b1[i]
		s2 += x * b2[i]
		s3 += x * b3[i]
	}
	return [4]float32{s0, s1, s2, s3}
}
