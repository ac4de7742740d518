package main

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"gatehouse/engine/pack"
)

func TestTenFold(t *testing.T) {
	// Nine folds part at 0.5; the tenth has a pair on the wrong side of it.
	var pairs []pair
	for fold := range 10 {
		pairs = append(pairs, pair{fold, 0.9, true}, pair{fold, 0.6, true}, pair{fold, 0.4, false}, pair{fold, 0.1, false})
	}
	pairs[37].score = 0.45 // genuine, of the last fold
	got := tenFold(pairs)
	for fold, accuracy := range got {
		want := 1.0
		if fold == 9 {
			want = 0.75
		}
		if accuracy != want {
			t.Errorf("fold %d: %g, want %g", fold, accuracy, want)
		}
	}
	if mean, deviation := meanAndDeviation(got); math.Abs(mean-0.975) > 1e-12 || math.Abs(deviation-0.075) > 1e-12 {
		t.Errorf("mean %g ± %g", mean, deviation)
	}
}

func TestBestThreshold(t *testing.T) {
	for _, k := range []struct {
		name  string
		pairs []pair
		want  float64
	}{
		{"between", []pair{{0, 0.8, true}, {0, 0.2, false}}, 0.5},
		{"all impostors", []pair{{0, 0.8, false}, {0, 0.2, false}}, math.Inf(1)},
		{"all genuine", []pair{{0, 0.8, true}, {0, 0.2, true}}, 0.2},
		{"equal scores stay together", []pair{{0, 0.8, true}, {0, 0.5, true}, {0, 0.5, false}, {0, 0.5, false}}, 0.65},
	} {
		if got := bestThreshold(k.pairs); math.Abs(got-k.want) > 1e-12 && got != k.want {
			t.Errorf("%s: %g, want %g", k.name, got, k.want)
		}
	}
}

func TestAreaUnderCurve(t *testing.T) {
	for _, k := range []struct {
		pairs []pair
		want  float64
	}{
		{[]pair{{0, 0.9, true}, {0, 0.1, false}}, 1},
		{[]pair{{0, 0.1, true}, {0, 0.9, false}}, 0},
		{[]pair{{0, 0.5, true}, {0, 0.5, false}}, 0.5},
		{[]pair{{0, 0.9, true}, {0, 0.3, true}, {0, 0.5, false}, {0, 0.3, false}}, 0.625},
	} {
		if got := areaUnderCurve(k.pairs); got != k.want {
			t.Errorf("%v: %g, want %g", k.pairs, got, k.want)
		}
	}
}

func TestThreshold(t *testing.T) {
	h := newHistogram()
	for i := range 1000 {
		h.add(float32(i)/1000 + 0.00005) // the middle of a bin
	}
	h.add(-2) // beyond either end
	h.add(2)
	genuine := []float32{0.1, 0.9895, 0.995, 1}
	for _, k := range []struct{ share, want, tar float64 }{{0.011, 0.9891, 0.75}, {0, 1.0001, 0}, {1, -1, 1}} {
		at := h.threshold(k.share)
		if math.Abs(at-k.want) > binWidth {
			t.Errorf("at share %g: %g, want %g", k.share, at, k.want)
		}
		if got := passing(genuine, at); got != k.tar {
			t.Errorf("TAR at %g: %g, want %g", at, got, k.tar)
		}
	}
}

func TestScoreAt(t *testing.T) {
	curve := []pack.RatePoint{{Score: 0.2, Rate: 1e-1}, {Score: 0.4, Rate: 1e-3}, {Score: 0.5, Rate: 1e-4}}
	for _, k := range []struct{ rate, want float64 }{{1, 0.2}, {1e-1, 0.2}, {1e-2, 0.3}, {1e-3, 0.4}, {1e-4, 0.5}, {1e-6, 0.5}} {
		if got := scoreAt(curve, k.rate); math.Abs(got-k.want) > 1e-9 {
			t.Errorf("rate %g: %g, want %g", k.rate, got, k.want)
		}
	}
}

func TestAllPairs(t *testing.T) {
	const n, dim = 301, 8 // three blocks, the last one short
	r := rand.New(rand.NewPCG(1, 2))
	vectors := make([]float32, n*dim)
	person := make([]int, n)
	for i := range n {
		person[i] = i / 2
		var sum float64
		row := vectors[i*dim:][:dim]
		for k := range row {
			row[k] = float32(r.NormFloat64())
			sum += float64(row[k]) * float64(row[k])
		}
		for k := range row {
			row[k] /= float32(math.Sqrt(sum))
		}
	}
	want := newHistogram()
	var same float64
	for i := range n {
		for j := i + 1; j < n; j++ {
			var dot float32
			for k := range dim {
				dot += vectors[i*dim+k] * vectors[j*dim+k]
			}
			if person[i] == person[j] {
				same += float64(dot)
			} else {
				want.add(dot)
			}
		}
	}
	got, genuine, err := allPairs(context.Background(), io.Discard, vectors, dim, person, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got.total != want.total || len(genuine) != n/2 {
		t.Fatalf("%d and %d pairs, want %d and %d", got.total, len(genuine), want.total, n/2)
	}
	for _, s := range genuine {
		same -= float64(s)
	}
	if math.Abs(same) > 1e-4 {
		t.Errorf("genuine scores differ by %g in sum", same)
	}
	for i := range want.bins {
		if got.bins[i] != want.bins[i] {
			t.Fatalf("bin %d: %d, want %d", i, got.bins[i], want.bins[i])
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("odd: %g", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("even: %g", got)
	}
}
