package verify

import (
	"fmt"

	"gatehouse/appliance/decide"
)

// Likeness is whom, of all that a tenant has enrolled, a face is like.
type Likeness struct {
	Subjects  Search `json:"subjects"`
	Blocklist Search `json:"blocklist"`
}

// Search of one list, open set: who is below the threshold is nobody.
type Search struct {
	Compared int `json:"compared"` // templates
	// Others are templates that cannot be compared, of other models or damaged:
	// while there are some nobody is known to be new.
	Others int    `json:"others"`
	Engine string `json:"engine"`
	// Threshold is the similarity that keeps FPIR in a list of this size.
	Threshold    float64 `json:"threshold"`
	ThresholdFMR float64 `json:"threshold_fmr"`
	FPIR         float64 `json:"fpir"`
	// Beyond: the threshold lies above what the calibration measured.
	Beyond     bool        `json:"beyond_calibration"`
	Candidates []Candidate `json:"candidates"` // at or above it, the most similar first
}

// Candidate is another person whose face is like the probe.
type Candidate struct {
	ID         string  `json:"id"` // session or blocklist entry
	Subject    string  `json:"subject"`
	Similarity float64 `json:"similarity"` // cosine, -1 to 1
	FMR        float64 `json:"fmr"`
	FPIR       float64 `json:"fpir"` // in a list of this size
}

// likeness adds the signals of a search: nobody else has the face, and nobody on
// the blocklist.
func (l *list) likeness(found *Likeness, took float64) {
	if found == nil {
		l.missing(decide.Unique, "no face")
		l.missing(decide.NotListed, "no face")
		return
	}
	for _, g := range []struct {
		name string
		of   *Search
	}{{decide.Unique, &found.Subjects}, {decide.NotListed, &found.Blocklist}} {
		note := fmt.Sprintf("compared with %d faces, threshold %.4f (FPIR %g)", g.of.Compared, g.of.Threshold, g.of.FPIR)
		if g.of.Beyond {
			note += ", above what the calibration measured"
		}
		if g.of.Others > 0 && len(g.of.Candidates) == 0 {
			l.missing(g.name, fmt.Sprintf("%s; %d faces could not be compared: of another model, or damaged", note, g.of.Others))
			continue
		}
		persons := map[string]bool{}
		for _, c := range g.of.Candidates {
			persons[c.Subject] = true
		}
		s := l.measured(g.name, float64(len(persons)), "persons", 0, len(persons) == 0, took)
		s.Note = note
		if len(g.of.Candidates) > 0 {
			s.FMR = &g.of.Candidates[0].FMR
		}
	}
}
