package pack

import (
	"math"
	"sort"
)

// DefaultFPIR is how often a search may name somebody for a person who is not
// enrolled, unless the tenant sets another (requirement 7.7).
const DefaultFPIR = 0.01

// FPIR is the false positive identification rate of a search among n templates
// of other persons, where each matches with this rate: 1 − (1 − fmr)ⁿ. It takes
// their comparisons for independent, which makes it an upper bound.
func FPIR(fmr float64, n int) float64 {
	if fmr >= 1 {
		return min(1, float64(n))
	}
	return -math.Expm1(float64(n) * math.Log1p(-fmr))
}

// rateFor is the FMR at which a search among n templates has this FPIR.
func rateFor(fpir float64, n int) float64 {
	return -math.Expm1(math.Log1p(-fpir) / float64(max(1, n)))
}

// OpenSet is the FMR of a similarity, also above the table's end: there the
// line through the table's first and last points in probit coordinates goes on
// (similarities of different persons are spread nearly normally), and beyond
// says so. It includes the safety factor.
func (m *MatchCalibration) OpenSet(similarity float64) (fmr float64, beyond bool) {
	last := m.FMR[len(m.FMR)-1]
	if similarity <= last.Score || math.IsNaN(similarity) {
		return m.FalseMatchRate(similarity), false
	}
	rate := math.Erfc((probit(last.Rate)+(similarity-last.Score)*m.slope())/math.Sqrt2) / 2
	return min(1, rate*m.SafetyFactor), true
}

// Threshold is the least similarity at which a search among n templates keeps
// this FPIR, 0 to 1; beyond says that it lies above what was measured.
func (m *MatchCalibration) Threshold(fpir float64, n int) (similarity float64, beyond bool) {
	rate := rateFor(fpir, n) / m.SafetyFactor
	t := m.FMR
	i := sort.Search(len(t), func(i int) bool { return t[i].Rate <= rate })
	switch {
	case i == 0:
		return t[0].Score, false
	case i < len(t):
		a, b := t[i-1], t[i] // log-linear, as FalseMatchRate
		f := (math.Log(rate) - math.Log(a.Rate)) / (math.Log(b.Rate) - math.Log(a.Rate))
		return a.Score + f*(b.Score-a.Score), false
	}
	last := t[len(t)-1]
	return min(1, last.Score+(probit(rate)-probit(last.Rate))/m.slope()), true
}

// slope of the table in probits for each unit of similarity.
func (m *MatchCalibration) slope() float64 {
	a, b := m.FMR[0], m.FMR[len(m.FMR)-1]
	return (probit(b.Rate) - probit(a.Rate)) / (b.Score - a.Score)
}

// probit is how many standard deviations above the mean a rate lies.
// A table that begins at 1 has none there.
func probit(rate float64) float64 { return math.Sqrt2 * math.Erfcinv(2*min(rate, 0.999)) }
