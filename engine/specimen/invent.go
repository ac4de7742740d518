package specimen

import (
	"math/rand/v2"
	"time"

	"gatehouse/engine/document/mrz"
)

// Names with the letters of many alphabets, and some that fill or overfill the
// name field of every format.
var surnames = []string{
	"Eriksson", "Müller", "Ærøskøbing", "Łukasiewicz", "Nováková", "Lindqvist", "Özdemir", "Ștefănescu",
	"Þorvaldsdóttir", "Guðmundsson", "Šimkutė", "Bērziņš", "Kovačević", "Đurđević", "Szűcs", "Fernández-Núñez",
	"Conceição", "Lefèvre", "D’Angelo", "O’Brien", "Groß", "Lüdenscheidt", "Åkerström", "Mäkelä-Hyvönen",
	"Żółtowska", "Dvořák", "Ağaoğlu", "Çelik", "Ivanova", "Papadopoulou", "Tanaka", "Okonkwo", "Haddad",
	"Li", "Xu", "van der Weijden", "Saint-Exupère de la Roche", "Wolfenschlegelsteiner-Hohenbergdorf",
	"Montgomery-Featherstonehaugh", "Papakonstantinopoulou-Anagnostopoulou",
}

var givenNames = []string{
	"Anna Maria", "Zoë", "José", "Łucja", "Þóra", "Åsa", "Çağla", "Đorđe", "Élise", "Günther", "Ieva", "Jürgen",
	"Kristýna", "Liam", "Māris", "Noémi", "Oğuz", "Þór", "Quentin", "Răzvan", "Søren", "Tomáš", "Ugnė", "Václav",
	"Wiktoria", "Xenia", "Yuki", "Željko", "Amara", "Björn", "Cătălina", "Dimitra", "Emeka", "Françoise", "Ho",
	"Jean-Baptiste", "Ana Beatriz de Jesus", "Maximiliana Wilhelmina Theodora", "Bartholomew Christopher Alexander",
	"A",
}

// invent makes up the fields of an adult's valid document.
func invent(f mrz.Format, r *rand.Rand, today time.Time) *mrz.Fields {
	out := &mrz.Fields{
		DocumentCode: "P",
		Issuer:       state,
		Nationality:  state,
		Surname:      surnames[r.IntN(len(surnames))],
		GivenNames:   givenNames[r.IntN(len(givenNames))],
		Number:       code(r, 9),
		Sex:          [...]string{"F", "M", "F", "M", ""}[r.IntN(5)],
		Birth:        day(today.AddDate(-18-r.IntN(67), 0, -1-r.IntN(365))),
		Expiry:       day(today.AddDate(1, 0, r.IntN(8*365))),
	}
	room := map[mrz.Format]int{mrz.TD3: 14, mrz.MRVA: 16, mrz.TD2: 7, mrz.MRVB: 8, mrz.TD1: 15}[f]
	switch f {
	case mrz.TD1, mrz.TD2:
		out.DocumentCode = [...]string{"I", "ID"}[r.IntN(2)]
		if r.IntN(4) == 0 {
			// The number goes on in the optional field, with its check digit
			// and a filler (Doc 9303-5, 4.2.2 note j).
			out.Number += code(r, 1+r.IntN(min(room-2, 5)))
			room = 0
		}
	case mrz.MRVA, mrz.MRVB:
		out.DocumentCode = "V"
	}
	if room > 0 && r.IntN(2) == 0 {
		out.Optional = code(r, 1+r.IntN(room))
	}
	if f == mrz.TD1 && r.IntN(3) == 0 {
		out.Optional2 = code(r, 1+r.IntN(11))
	}
	return out
}

// codeAlphabet leaves out the letters that are taken for digits: issuers do the
// same (Germany uses 0-9 and CFGHJKLMNPRTVWXYZ).
const codeAlphabet = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"

// code gives n random digits and capitals.
func code(r *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = codeAlphabet[r.IntN(len(codeAlphabet))]
	}
	return string(out)
}

func day(t time.Time) mrz.Date { return mrz.Date{Raw: t.Format("060102")} }
