package pack_test

import (
	"math"
	"testing"

	"gatehouse/engine/pack"
)

// spread is a calibration as the default pack's: strictly falling.
func spread(factor float64) *pack.MatchCalibration {
	return &pack.MatchCalibration{SafetyFactor: factor, FMR: []pack.RatePoint{{Score: 0.15, Rate: 0.1}, {Score: 0.26, Rate: 0.01}, {Score: 0.38, Rate: 1e-3}, {Score: 0.52, Rate: 1e-5}}}
}

func TestFPIR(t *testing.T) {
	for _, c := range []struct {
		fmr  float64
		n    int
		want float64
	}{
		{0, 1_000_000, 0}, {0.01, 0, 0}, {0.01, 1, 0.01}, {0.5, 2, 0.75}, {1, 1, 1}, {1, 5, 1}, {1, 0, 0}, {2, 3, 1},
		{1e-12, 1000, 1e-9}, // where 1 − (1 − fmr)ⁿ would lose its digits
		{1e-6, 1_000_000, 1 - math.Exp(-1)},
		{1e-3, 10_000_000, 1},
	} {
		if got := pack.FPIR(c.fmr, c.n); math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("FPIR of %g among %d is %g, want %g", c.fmr, c.n, got, c.want)
		}
	}
	for _, fmr := range []float64{1e-9, 1e-4, 0.1} {
		last := 0.0
		for n := 1; n <= 10_000_000; n *= 10 {
			got := pack.FPIR(fmr, n)
			if !(got > last || got == 1) || got > min(1, float64(n)*fmr)+1e-12 || got < fmr-1e-15 {
				t.Errorf("FPIR of %g among %d is %g, among %d %g", fmr, n, got, n/10, last)
			}
			last = got
		}
	}
}

// The rate at the threshold of a search is the one that was asked for: in the
// table, above it, and whatever the factor.
func TestThresholdIsOpenSetsInverse(t *testing.T) {
	for _, factor := range []float64{1, 3} {
		m := spread(factor)
		for _, fpir := range []float64{0.001, 0.01, 0.2, 0.9} {
			for _, n := range []int{1, 10, 1000, 100_000, 10_000_000} {
				s, beyond := m.Threshold(fpir, n)
				fmr, above := m.OpenSet(s)
				got := pack.FPIR(fmr, n)
				switch {
				case s == m.FMR[0].Score: // below the table nothing is claimed
					if got > fpir*(1+1e-6) || beyond {
						t.Errorf("FPIR %g of %d: threshold %g (beyond %v) has %g", fpir, n, s, beyond, got)
					}
				case s == 1:
					if got < fpir*(1-1e-6) || !beyond {
						t.Errorf("FPIR %g of %d: threshold 1, FPIR %g", fpir, n, got)
					}
				case math.Abs(got-fpir) > 1e-6*fpir || beyond != above || beyond != (s > m.FMR[3].Score):
					t.Errorf("FPIR %g of %d: threshold %g (beyond %v, %v) has %g", fpir, n, s, beyond, above, got)
				}
			}
		}
		// And the other way, for each similarity.
		for s := 0.165; s < 0.9; s += 0.01 {
			fmr, above := m.OpenSet(s)
			if got, beyond := m.Threshold(fmr, 1); math.Abs(got-s) > 1e-5 || beyond != above || beyond != (s > 0.52) {
				t.Errorf("factor %g: %g has FMR %g, whose threshold is %g (beyond %v, %v)", factor, s, fmr, got, beyond, above)
			}
		}
	}
}

// The larger the list and the rarer a false name may be, the higher the
// threshold; a higher similarity never has a higher rate.
func TestThresholdRises(t *testing.T) {
	for _, m := range []*pack.MatchCalibration{spread(1), spread(3), &small().calibration.Match} {
		for _, fpir := range []float64{1e-6, 0.01, 0.5} {
			last, _ := m.Threshold(fpir, 1)
			for n := 2; n <= 10_000_000; n = n*3/2 + 1 {
				s, _ := m.Threshold(fpir, n)
				if s < last || s > 1 || s < m.FMR[0].Score {
					t.Errorf("FPIR %g of %d: %g after %g", fpir, n, s, last)
				}
				last = s
			}
		}
		for _, n := range []int{1, 1000, 10_000_000} {
			last := 1.0
			for _, fpir := range []float64{1e-9, 1e-6, 0.001, 0.01, 0.1, 0.5, 0.99} {
				s, _ := m.Threshold(fpir, n)
				if s > last {
					t.Errorf("%d: FPIR %g at %g, a rarer one at %g", n, fpir, s, last)
				}
				last = s
			}
		}
		last := 1.0
		for s := -1.0; s <= 1; s += 1.0 / 512 {
			fmr, _ := m.OpenSet(s)
			if fmr > last*(1+1e-12) || fmr < 0 || math.IsNaN(fmr) {
				t.Errorf("FMR of %g is %g, before it %g", s, fmr, last)
			}
			last = fmr
		}
	}
}

// Among nobody, a search is one among one: its threshold is no lower.
func TestThresholdOfNobody(t *testing.T) {
	m := spread(1)
	none, a := m.Threshold(0.01, 0)
	one, b := m.Threshold(0.01, 1)
	if none != one || a || b {
		t.Errorf("%g %v, %g %v", none, a, one, b)
	}
}

// Inside its table OpenSet is FalseMatchRate; above it goes on falling and says
// that nobody measured it; what is no number is nobody.
func TestOpenSetBeyond(t *testing.T) {
	m := spread(2)
	for _, s := range []float64{-1, 0, 0.15, 0.3, 0.5, 0.52} {
		if fmr, beyond := m.OpenSet(s); fmr != m.FalseMatchRate(s) || beyond {
			t.Errorf("%g: %g %v, want %g", s, fmr, beyond, m.FalseMatchRate(s))
		}
	}
	if fmr, beyond := m.OpenSet(math.NaN()); fmr != 1 || beyond {
		t.Errorf("no number: %g %v", fmr, beyond)
	}
	end := m.FalseMatchRate(0.52)
	near, beyond := m.OpenSet(math.Nextafter(0.52, 1))
	if !beyond || math.Abs(near-end) > 1e-6*end {
		t.Errorf("just above the table %g %v, at its end %g", near, beyond, end)
	}
	if far, beyond := m.OpenSet(0.7); !beyond || far >= end/10 {
		t.Errorf("far above %g %v, at the end %g", far, beyond, end)
	}
}
