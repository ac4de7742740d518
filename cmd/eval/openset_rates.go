package main

import (
	"math"
	"slices"
)

// attempt is what a search came to: how like the most similar face is, and
// whether it is the person's.
type attempt struct {
	score float64
	right bool
}

// among others too, of whom the most similar is so like.
func (a attempt) among(others float64) attempt {
	if others > a.score {
		return attempt{score: others}
	}
	return a
}

// missed is the share of searches for people who are enrolled that did not put
// them first, at or above the threshold: the FNIR at rank 1.
func missed(mated []attempt, threshold float64) float64 {
	n := 0
	for _, a := range mated {
		if !a.right || a.score < threshold {
			n++
		}
	}
	return float64(n) / float64(len(mated))
}

// named is the share of searches for people who are not enrolled that gave
// somebody: the FPIR.
func named(strangers []attempt, threshold float64) float64 {
	n := 0
	for _, a := range strangers {
		if a.score >= threshold {
			n++
		}
	}
	return float64(n) / float64(len(strangers))
}

// keeping is the least threshold at which no more than this share of searches
// for strangers, below 1, gives somebody.
func keeping(strangers []attempt, share float64) float64 {
	scores := make([]float64, len(strangers))
	for i, a := range strangers {
		scores[i] = a.score
	}
	slices.Sort(scores)
	most := int(share * float64(len(scores)))
	return math.Nextafter(scores[len(scores)-1-most], 2)
}

// rates of one split in a gallery of one size.
type rates struct {
	at1, fnir1   float64 // the threshold that keeps an FPIR of 1 %, and the FNIR there
	at01, fnir01 float64 // of 0.1 %
	fpir, fnir   float64 // at the default threshold
}

func rated(mated, strangers []attempt, threshold float64) rates {
	r := rates{at1: keeping(strangers, 0.01), at01: keeping(strangers, 0.001), fpir: named(strangers, threshold), fnir: missed(mated, threshold)}
	r.fnir1, r.fnir01 = missed(mated, r.at1), missed(mated, r.at01)
	return r
}

// spread of a rate over the splits.
func spread(all []rates, of func(*rates) float64) (mean, deviation float64) {
	v := make([]float64, len(all))
	for i := range all {
		v[i] = of(&all[i])
	}
	return meanAndDeviation(v)
}

func meanOf(all []rates, of func(*rates) float64) float64 {
	mean, _ := spread(all, of)
	return mean
}
