package main

import (
	"math"
	"sort"
)

// pair is a comparison with its truth.
type pair struct {
	fold  int
	score float64
	same  bool
}

// tenFold is the protocol of LFW's View 2: for each fold the threshold that is
// most accurate on all others, and the accuracy that it has on the fold.
func tenFold(pairs []pair) []float64 {
	folds := 0
	for _, p := range pairs {
		folds = max(folds, p.fold+1)
	}
	out := make([]float64, folds)
	for fold := range out {
		var training, test []pair
		for _, p := range pairs {
			if p.fold == fold {
				test = append(test, p)
			} else {
				training = append(training, p)
			}
		}
		t := bestThreshold(training)
		right := 0
		for _, p := range test {
			if (p.score >= t) == p.same {
				right++
			}
		}
		out[fold] = float64(right) / float64(len(test))
	}
	return out
}

// bestThreshold lies midway between the two scores that it parts best.
func bestThreshold(pairs []pair) float64 {
	pairs = append([]pair(nil), pairs...)
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].score > pairs[j].score })
	right := 0 // at a threshold above all
	for _, p := range pairs {
		if !p.same {
			right++
		}
	}
	best, at := right, math.Inf(1)
	for i, p := range pairs {
		if p.same {
			right++
		} else {
			right--
		}
		if i+1 < len(pairs) && pairs[i+1].score == p.score || right <= best {
			continue
		}
		best, at = right, p.score
		if i+1 < len(pairs) {
			at = (p.score + pairs[i+1].score) / 2
		}
	}
	return at
}

// areaUnderCurve is the probability that a genuine pair scores above an
// impostor pair; equal scores count half.
func areaUnderCurve(pairs []pair) float64 {
	pairs = append([]pair(nil), pairs...)
	sort.Slice(pairs, func(i, j int) bool { return pairs[i].score < pairs[j].score })
	var above, genuine, impostors float64
	for i := 0; i < len(pairs); {
		j, g, m := i, 0.0, 0.0
		for ; j < len(pairs) && pairs[j].score == pairs[i].score; j++ {
			if pairs[j].same {
				g++
			} else {
				m++
			}
		}
		above += g * (impostors + m/2)
		genuine, impostors, i = genuine+g, impostors+m, j
	}
	return above / (genuine * impostors)
}

// binWidth is the resolution at which impostor scores are kept.
const binWidth = 1e-4

// histogram counts scores from -1 to 1; their number would not fit in memory.
type histogram struct {
	bins  []int64
	total int64
}

func newHistogram() *histogram { return &histogram{bins: make([]int64, int(2/binWidth)+1)} }

func (h *histogram) add(score float32) {
	i := int((float64(score) + 1) / binWidth)
	h.bins[max(0, min(i, len(h.bins)-1))]++
	h.total++
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.bins {
		h.bins[i] += n
	}
	h.total += o.total
}

// threshold is the least edge of a bin at which no more than this share of all
// scores passes.
func (h *histogram) threshold(share float64) float64 {
	allowed := share * float64(h.total)
	passing := int64(0)
	for i := len(h.bins) - 1; i >= 0; i-- {
		if passing += h.bins[i]; float64(passing) > allowed {
			return float64(i+1)*binWidth - 1
		}
	}
	return -1
}

// passing is the share of scores at or above a threshold.
func passing(scores []float32, threshold float64) float64 {
	n := 0
	for _, s := range scores {
		if float64(s) >= threshold {
			n++
		}
	}
	return float64(n) / float64(len(scores))
}

func meanAndDeviation(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, math.Sqrt(deviation)
}

// median of a list that is not empty.
func median(v []float64) float64 {
	v = append([]float64(nil), v...)
	sort.Float64s(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
