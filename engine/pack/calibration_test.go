package pack_test

import (
	"math"
	"testing"

	"gatehouse/engine/pack"
)

func TestFalseMatchRate(t *testing.T) {
	m := small().calibration.Match // points at .2, .4, .5, .8; safety factor 3
	for _, c := range []struct {
		name             string
		similarity, want float64
	}{
		{"far below the table nothing is claimed", -1, 1},
		{"just below the table", math.Nextafter(0.2, 0), 1},
		{"no number", math.NaN(), 1},
		{"the first point", 0.2, 3 * 0.1},
		{"halfway, in logarithms", 0.3, 3 * math.Sqrt(0.1*0.01)},
		{"a point inside", 0.4, 3 * 0.01},
		{"between equal rates", 0.45, 3 * 0.01},
		{"a third of the way", 0.6, 3 * math.Cbrt(0.01*0.01*1e-6)},
		{"the last point", 0.8, 3 * 1e-6},
		{"beyond the table no more is claimed", 0.9, 3 * 1e-6},
		{"infinite", math.Inf(1), 3 * 1e-6},
	} {
		if got := m.FalseMatchRate(c.similarity); math.Abs(got-c.want) > 1e-12*c.want {
			t.Errorf("%s: FMR(%v) = %v, want %v", c.name, c.similarity, got, c.want)
		}
	}
}

func TestFalseMatchRateNeverExceedsOne(t *testing.T) {
	m := small().calibration.Match
	m.SafetyFactor = 50
	if got := m.FalseMatchRate(0.2); got != 1 {
		t.Errorf("FMR %v", got)
	}
}

// A higher similarity never means more false matches.
func TestFalseMatchRateFalls(t *testing.T) {
	m := small().calibration.Match
	m.FMR = append([]pack.RatePoint{{Score: -0.3, Rate: 0.9}, {Score: 0.1, Rate: 0.9}}, m.FMR...)
	last := 1.0
	for s := -1.0; s <= 1; s += 1.0 / 4096 {
		got := m.FalseMatchRate(s)
		if !(got <= last*(1+1e-12)) || got <= 0 {
			t.Fatalf("FMR(%v) = %v, after %v", s, got, last)
		}
		last = got
	}
}
