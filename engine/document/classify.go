package document

import (
	"strings"

	"gatehouse/engine/document/mrz"
)

// Kinds of document.
const (
	Passport        = "passport"
	Visa            = "visa"
	IdentityCard    = "identity_card"
	CrewCard        = "crew_card"
	DrivingLicence  = "driving_licence"
	ResidencePermit = "residence_permit"
	Unknown         = "unknown"
)

// typeOf follows the document codes of Doc 9303 parts 4 to 7.
func typeOf(f mrz.Format, code string) string {
	switch {
	case f == mrz.MRVA || f == mrz.MRVB:
		return Visa
	case strings.HasPrefix(code, "P"), code == "IP": // IP: passport card
		return Passport
	case code == "AC":
		return CrewCard
	}
	return IdentityCard
}

// keywords name a kind on documents without a zone, folded.
var keywords = []struct{ word, kind string }{
	{"PASSPORT", Passport}, {"PASSEPORT", Passport}, {"REISEPASS", Passport}, {"PASAPORTE", Passport}, {"PASZPORT", Passport},
	{"VISA", Visa}, {"WIZA", Visa},
	{"RESIDENCE PERMIT", ResidencePermit}, {"AUFENTHALTSTITEL", ResidencePermit}, {"TITRE DE SEJOUR", ResidencePermit},
	{"IDENTITY CARD", IdentityCard}, {"CARTE NATIONALE D IDENTITE", IdentityCard}, {"PERSONALAUSWEIS", IdentityCard},
	{"DRIVING LICENCE", DrivingLicence}, {"DRIVER LICENSE", DrivingLicence}, {"PERMIS DE CONDUIRE", DrivingLicence}, {"FUHRERSCHEIN", DrivingLicence},
}

// typeByWords looks for a kind's own words; without them nothing is guessed.
func typeByWords(texts []Text) string {
	for _, k := range keywords {
		for _, t := range texts {
			for _, folded := range mrz.Foldings(strings.ReplaceAll(t.Text, "'", " ")) {
				if strings.Contains(" "+folded+" ", " "+k.word+" ") {
					return k.kind
				}
			}
		}
	}
	return Unknown
}
