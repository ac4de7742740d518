package main

import "math"

// reached is what a graph finds with an effort.
type reached struct {
	effort    int
	at1, at10 float64
}

// highest recall of a curve.
func highest(curve []reached) float64 {
	most := 0.0
	for _, p := range curve {
		most = max(most, p.at10)
	}
	return most
}

// bracket gives the efforts on both sides of a recall; one twice where it is
// reached exactly, or with the least effort already.
func bracket(curve []reached, recall float64) (below, above reached, ok bool) {
	for i, p := range curve {
		switch {
		case p.at10 < recall:
			continue
		case i == 0 || p.at10 == recall:
			return p, p, true
		}
		return curve[i-1], p, true
	}
	return below, above, false
}

// between gives the rate at a recall from those at two others. What is missed,
// 1−recall, and the rate both shrink by factors as the effort grows, so the
// points are joined by a line in their logarithms.
func between(below, above reached, recall, rateBelow, rateAbove float64) float64 {
	const none = 1e-4 // a recall of 1 misses less than can be measured
	missed := func(r float64) float64 { return math.Log(max(none, 1-r)) }
	span := missed(below.at10) - missed(above.at10)
	if span == 0 {
		return rateAbove
	}
	share := (missed(below.at10) - missed(recall)) / span
	return math.Exp((1-share)*math.Log(rateBelow) + share*math.Log(rateAbove))
}
