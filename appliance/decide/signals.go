package decide

import (
	"slices"

	"gatehouse/engine/document"
	"gatehouse/engine/face"
)

// Names of the signals that rules look at.
const (
	Zone         = "document.zone"
	ZoneValid    = "document.zone.valid"
	ZoneTrusted  = "document.zone.trusted"
	Dates        = "document.dates"
	Unexpired    = "document.unexpired"
	Portrait     = "document.portrait"
	SelfieFace   = "selfie.face"
	SingleFace   = "selfie.single_face"
	EyeDistance  = "selfie.inter_eye_distance"
	NoAttack     = "selfie.no_attack"
	Liveness     = "selfie.liveness"
	SamePerson   = "selfie.frames_same_person"
	PossibleFace = "face.possible_match"
	Match        = "face.match"
	Unique       = "face.unique"
	NotListed    = "face.not_listed"
)

// documentQuality are the measures of a document's picture.
func documentQuality() []string {
	return []string{
		"document.quality." + document.Resolution, "document.quality." + document.Sharpness, "document.quality." + document.Brightness,
	}
}

// known are the signals that a rule may name.
func known() []string {
	names := append([]string{
		Zone, ZoneValid, ZoneTrusted, Dates, Unexpired, Portrait, SelfieFace, SingleFace, EyeDistance, NoAttack, Liveness,
		SamePerson, PossibleFace, Match, Unique, NotListed,
	}, documentQuality()...)
	for _, n := range face.QualityNames() {
		names = append(names, "selfie.quality."+n)
	}
	return names
}

// nearest is the name that the fewest edits lead to.
func nearest(name string, names []string) string {
	best, fewest := "", int(^uint(0)>>1)
	for _, n := range names {
		if d := edits(name, n); d < fewest {
			best, fewest = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func isKnown(name string) bool { return slices.Contains(known(), name) }
