package main

import (
	"fmt"
	"slices"
	"strconv"

	"gatehouse/engine/pack"
)

// size of a gallery, and the rates of all splits in it.
type size struct {
	real, invented int
	promise        // the default
	others         []promise
	crowdAt1       float64 // the threshold for FPIR 1 % among the invented alone
}

// promise of an FPIR, the threshold that the calibration gives for it, and the
// rates of each split.
type promise struct {
	target    float64
	threshold float64
	beyond    bool // what the calibration measured
	rates     []rates
}

// otherTargets of a search; the API takes no more than the last.
func otherTargets() []float64 { return []float64{0.05, 0.1, 0.5} }

func (z *size) enrolled() int { return z.real + z.invented }

func (z *size) name() string {
	if z.invented == 0 {
		return fmt.Sprintf("%d, all real", z.real)
	}
	return fmt.Sprintf("%d, of whom %d invented", z.enrolled(), z.invented)
}

// sized rates all splits with so many invented faces beside the real ones; tops
// says how like the most similar of them is to each picture.
func (o *openSet) sized(invented int, tops []float64) *size {
	z := &size{real: len(o.splits[0].enrolled), invented: invented}
	all := make([][]attempt, len(o.splits))
	for n, s := range o.splits {
		all[n] = slices.Clone(s.exact)
		if tops == nil {
			continue
		}
		crowd := make([]attempt, len(all[n]))
		for i, p := range s.probes() {
			all[n][i], crowd[i].score = all[n][i].among(tops[p]), tops[p]
		}
		z.crowdAt1 += keeping(crowd[s.mates():], 0.01) / float64(len(o.splits))
	}
	keep := func(target float64) promise {
		p := promise{target: target}
		p.threshold, p.beyond = o.match.Threshold(target, z.enrolled())
		for n, s := range o.splits {
			p.rates = append(p.rates, rated(all[n][:s.mates()], all[n][s.mates():], p.threshold))
		}
		return p
	}
	z.promise = keep(pack.DefaultFPIR)
	for _, target := range otherTargets() {
		z.others = append(z.others, keep(target))
	}
	return z
}

func thresholdAt1(r *rates) float64  { return r.at1 }
func thresholdAt01(r *rates) float64 { return r.at01 }
func fnirAt1(r *rates) float64       { return r.fnir1 }
func fnirAt01(r *rates) float64      { return r.fnir01 }
func promisedFPIR(r *rates) float64  { return r.fpir }
func promisedFNIR(r *rates) float64  { return r.fnir }

func (p *promise) at() string {
	return strconv.FormatFloat(p.threshold, 'f', 4, 64) + yes(p.beyond, ", extrapolated", "")
}
