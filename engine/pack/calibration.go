package pack

import (
	"fmt"
	"math"
	"sort"
)

// Calibration turns scores into error rates. It belongs to the models of its
// pack and to nothing else.
type Calibration struct {
	Match    MatchCalibration    `json:"match"`
	Liveness LivenessCalibration `json:"liveness"`
}

// MatchCalibration is the measured false match rate of the pack's templates.
type MatchCalibration struct {
	// EmbeddingID names the template space; templates of another are refused.
	EmbeddingID string `json:"embedding_id"`
	DataSet     string `json:"data_set"`
	// Pairs compared to measure the table.
	GenuinePairs  int `json:"genuine_pairs"`
	ImpostorPairs int `json:"impostor_pairs"`
	// SafetyFactor multiplies each measured FMR before it is reported:
	// pictures other than the data set's gave a higher rate than nominal.
	SafetyFactor float64 `json:"safety_factor"`
	// FMR is sorted by rising score and falling rate.
	FMR []RatePoint `json:"fmr"`
	// TAR at named thresholds, for the reader.
	TAR []RatePoint `json:"tar"`
	// Match, Review, Duplicate are default thresholds on the similarity.
	Match     float64 `json:"threshold_match"`
	Review    float64 `json:"threshold_review"`
	Duplicate float64 `json:"threshold_duplicate"`
}

// RatePoint is a rate (0..1) measured at a score.
type RatePoint struct {
	Score float64 `json:"score"`
	Rate  float64 `json:"rate"`
}

// LivenessCalibration gives the default thresholds on P(live) and what is
// known of their errors.
type LivenessCalibration struct {
	DataSet string `json:"data_set"`
	Note    string `json:"note"`
	// Live and Attack are thresholds: at or above Live passes, below Attack
	// is an attack, between asks for another picture.
	Live   float64 `json:"threshold_live"`
	Attack float64 `json:"threshold_attack"`
	// MinContext is the least share of surroundings (picture over face box)
	// that makes a picture assessable.
	MinContext float64 `json:"min_context_ratio"`
	// APCER and BPCER are nil where they were not measured.
	APCER *float64 `json:"apcer"`
	BPCER *float64 `json:"bpcer"`
}

// FalseMatchRate is the published FMR (0..1) of a similarity: log-linear
// between the table's points, times the safety factor. Below the table nothing
// is claimed, above it no more than at its end: the data says nothing there.
func (m *MatchCalibration) FalseMatchRate(similarity float64) float64 {
	t := m.FMR
	if !(similarity >= t[0].Score) { // also NaN
		return 1
	}
	i := sort.Search(len(t), func(i int) bool { return t[i].Score >= similarity })
	var rate float64
	switch {
	case i == len(t):
		rate = t[len(t)-1].Rate
	case similarity == t[i].Score:
		rate = t[i].Rate
	default:
		a, b := t[i-1], t[i]
		f := (similarity - a.Score) / (b.Score - a.Score)
		rate = math.Exp(math.Log(a.Rate) + f*(math.Log(b.Rate)-math.Log(a.Rate)))
	}
	return min(1, rate*m.SafetyFactor)
}

func (c *Calibration) check() error {
	m := &c.Match
	switch {
	case m.EmbeddingID == "", m.DataSet == "":
		return fmt.Errorf("%w: match.embedding_id and match.data_set are needed", ErrCalibration)
	case m.SafetyFactor < 1, len(m.FMR) < 2:
		return fmt.Errorf("%w: match.safety_factor ≥ 1 and two points of match.fmr are needed", ErrCalibration)
	case !(m.FMR[len(m.FMR)-1].Rate < m.FMR[0].Rate):
		return fmt.Errorf("%w: match.fmr must fall from its first point to its last", ErrCalibration)
	case !(m.Review <= m.Match && m.Match <= m.Duplicate):
		return fmt.Errorf("%w: thresholds must be review ≤ match ≤ duplicate", ErrCalibration)
	case !(0 < c.Liveness.Attack && c.Liveness.Attack <= c.Liveness.Live && c.Liveness.Live < 1):
		return fmt.Errorf("%w: liveness thresholds must be 0 < attack ≤ live < 1", ErrCalibration)
	}
	for i, p := range m.FMR {
		if p.Rate <= 0 || p.Rate > 1 || i > 0 && (p.Score <= m.FMR[i-1].Score || p.Rate > m.FMR[i-1].Rate) {
			return fmt.Errorf("%w: match.fmr must rise in score and fall in rate", ErrCalibration)
		}
	}
	return nil
}
