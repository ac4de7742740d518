package mrz

// Reading is a zone as read.
type Reading struct {
	Format Format          `json:"format"`
	Lines  []string        `json:"lines"`
	Raw    []string        `json:"raw"` // before repairs
	Checks map[string]bool `json:"checks"`
	// Valid: every check digit holds. Trusted: and the recogniser was sure
	// enough of the lines that no check digit covers.
	Valid         bool     `json:"valid"`
	ValidByRepair bool     `json:"valid_by_repair"`
	Trusted       bool     `json:"trusted"`
	Repairs       []Repair `json:"repairs"`
	// Confidence is the mean probability (0..1) of the least certain line;
	// Score compares the grammar's reading with the free one, in nats a
	// character, 0 where both agree.
	Confidence float64 `json:"confidence"`
	Score      float64 `json:"score"`
	// Margin is by how much, in nats, a valid reading beats the nearest other
	// one that the check digits allow; 0 where it is not valid.
	Margin float64 `json:"margin"`
	// Plausible counts the country codes that are known ones, 0 to 2.
	Plausible int    `json:"-"`
	Fields    Fields `json:"fields"`
}

// A reading is trusted from these values on (research "documents", 3.6: with
// them 0 or 1 of 14 blurred photographs gave a "valid" reading with a wrong
// name, without them up to 5).
const (
	trustedConfidence = 0.88
	trustedScore      = -0.2
	// Of the 14 valid photographs 12 of the 13 read rightly have margins from
	// 3.2 on, one 0.8; the one read wrongly has 2.2, and a line image with a
	// number read 25… for ZS… had 2.8.
	trustedMargin = 3.0
)

// Judge mends a raw reading and says what it is worth. score is the grammar's
// score in nats a character.
func Judge(f Format, raw []string, alternatives [][]Probabilities, score float64) Reading {
	r := Reading{Format: f, Raw: raw, Score: score, Confidence: 1}
	r.Lines, r.Repairs = Mend(f, raw, alternatives)
	if r.Repairs == nil {
		r.Repairs = []Repair{} // [] in JSON, as the contract says
	}
	r.Checks = Checks(f, r.Lines)
	r.Valid = allHold(r.Checks)
	r.ValidByRepair = r.Valid && !allHold(Checks(f, raw))
	for i, line := range r.Lines {
		sum := 0.0
		for j := range len(line) {
			sum += float64(alternatives[i][j][Index(line[j])])
		}
		r.Confidence = min(r.Confidence, sum/float64(len(line)))
	}
	l := layouts[f]
	if r.Valid {
		r.Margin = l.margin(f, r.Lines, alternatives)
	}
	r.Trusted = r.Valid && r.Confidence >= trustedConfidence && score > trustedScore && r.Margin >= trustedMargin
	for _, s := range []span{l.issuer, l.nationality} {
		if KnownCountry(s.of(r.Lines)) {
			r.Plausible++
		}
	}
	return r
}

// CheckDigitRepairs counts the repairs that a check digit asked for.
func (r *Reading) CheckDigitRepairs() int {
	n := 0
	for _, p := range r.Repairs {
		if len(p.Why) > len(WhyCheckDigit) && p.Why[:len(WhyCheckDigit)] == WhyCheckDigit {
			n++
		}
	}
	return n
}

// ValidShare is the share (0..1) of check digits that hold.
func (r *Reading) ValidShare() float64 {
	return float64(countHold(r.Checks)) / float64(len(r.Checks))
}
