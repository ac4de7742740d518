package mrz_test

import (
	"strings"
	"testing"
	"time"

	"gatehouse/engine/document/mrz"
)

var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// zones are the specimens of Doc 9303 and synthetic ones for its traps.
var zones = []struct {
	name   string
	format mrz.Format
	lines  string
	want   mrz.Fields
}{
	{"TD3 specimen", mrz.TD3, "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10",
		mrz.Fields{DocumentCode: "P", Issuer: "UTO", Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Number: "L898902C3", Nationality: "UTO", Birth: date("740812", "1974-08-12"), Sex: "F", Expiry: date("120415", "2012-04-15"), Optional: "ZE184226B"}},
	{"country D<<", mrz.TD3, "P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<<\nC01X0006H1D<<6408125F1710319<<<<<<<<<<<<<<<0",
		mrz.Fields{DocumentCode: "P", Issuer: "D", Surname: "MUSTERMANN", GivenNames: "ERIKA", Number: "C01X0006H", Nationality: "D", Birth: date("640812", "1964-08-12"), Sex: "F", Expiry: date("171031", "2017-10-31")}},
	{"no filler in line 2", mrz.TD3, "P<UTODOE<<JOHN<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<\nE000000008UTO9001011M3001019ABCDEFGHJKLMNP62",
		mrz.Fields{DocumentCode: "P", Issuer: "UTO", Surname: "DOE", GivenNames: "JOHN", Number: "E00000000", Nationality: "UTO", Birth: date("900101", "1990-01-01"), Sex: "M", Expiry: date("300101", "2030-01-01"), Optional: "ABCDEFGHJKLMNP"}},
	{"empty optional field with check digit 0", mrz.TD3, "P<GBRDOE<<JOHN<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<\n7077979792GBR9505209M1704224<<<<<<<<<<<<<<00",
		mrz.Fields{DocumentCode: "P", Issuer: "GBR", Surname: "DOE", GivenNames: "JOHN", Number: "707797979", Nationality: "GBR", Birth: date("950520", "1995-05-20"), Sex: "M", Expiry: date("170422", "2017-04-22")}},
	{"TD2 specimen", mrz.TD2, "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6",
		mrz.Fields{DocumentCode: "I", Issuer: "UTO", Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Number: "D23145890", Nationality: "UTO", Birth: date("740812", "1974-08-12"), Sex: "F", Expiry: date("120415", "2012-04-15")}},
	{"TD2 long number", mrz.TD2, "I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<<\nD23145890<UTO3407127M95071227349<<<8",
		mrz.Fields{DocumentCode: "I", Issuer: "UTO", Surname: "STEVENSON", GivenNames: "PETER JOHN", Number: "D23145890734", Nationality: "UTO", Birth: date("340712", "1934-07-12"), Sex: "M", Expiry: date("950712", "1995-07-12")}},
	{"TD1 specimen", mrz.TD1, "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<",
		mrz.Fields{DocumentCode: "I", Issuer: "UTO", Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Number: "D23145890", Nationality: "UTO", Birth: date("740812", "1974-08-12"), Sex: "F", Expiry: date("120415", "2012-04-15")}},
	{"TD1 long number", mrz.TD1, "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
		mrz.Fields{DocumentCode: "I", Issuer: "UTO", Surname: "STEVENSON", GivenNames: "PETER JOHN", Number: "D23145890734", Nationality: "UTO", Birth: date("340712", "1934-07-12"), Sex: "M", Expiry: date("950712", "1995-07-12")}},
	{"TD1 long number, filler not counted", mrz.TD1, "I<UTOD23145890<73416<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<4\nSTEVENSON<<PETER<JOHN<<<<<<<<<",
		mrz.Fields{DocumentCode: "I", Issuer: "UTO", Surname: "STEVENSON", GivenNames: "PETER JOHN", Number: "D231458907341", Nationality: "UTO", Birth: date("340712", "1934-07-12"), Sex: "M", Expiry: date("950712", "1995-07-12")}},
	{"MRV-A specimen", mrz.MRVA, "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL8988901C4XXX4009078F96121096ZE184226B<<<<<<",
		mrz.Fields{DocumentCode: "V", Issuer: "UTO", Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Number: "L8988901C", Nationality: "XXX", Birth: date("400907", "1940-09-07"), Sex: "F", Expiry: date("961210", "1996-12-10"), Optional: "6ZE184226B"}},
	{"MRV-B specimen", mrz.MRVB, "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nL8988901C4XXX4009078F9612109<<<<<<<<",
		mrz.Fields{DocumentCode: "V", Issuer: "UTO", Surname: "ERIKSSON", GivenNames: "ANNA MARIA", Number: "L8988901C", Nationality: "XXX", Birth: date("400907", "1940-09-07"), Sex: "F", Expiry: date("961210", "1996-12-10")}},
}

func date(raw, iso string) mrz.Date { return mrz.Date{Raw: raw, ISO: iso, Possible: true} }

func TestSpecimens(t *testing.T) {
	for _, z := range zones {
		t.Run(z.name, func(t *testing.T) {
			lines := strings.Split(z.lines, "\n")
			f, err := mrz.Detect(lines)
			if err != nil || f != z.format {
				t.Fatalf("Detect = %v, %v", f, err)
			}
			for name, ok := range mrz.Checks(f, lines) {
				if !ok {
					t.Errorf("check %s fails", name)
				}
			}
			got, err := mrz.Parse(f, lines, today)
			if err != nil || got != z.want {
				t.Errorf("Parse\n got %+v, %v\nwant %+v", got, err, z.want)
			}
			again, err := mrz.Compose(f, got)
			if err != nil {
				t.Fatal(err)
			}
			if !allValid(f, again) {
				t.Errorf("composed zone is invalid: %q", again)
			}
			if p, err := mrz.Parse(f, again, today); err != nil || p != got {
				t.Errorf("composed zone reads %+v, %v", p, err)
			}
		})
	}
}

func allValid(f mrz.Format, lines []string) bool {
	for _, ok := range mrz.Checks(f, lines) {
		if !ok {
			return false
		}
	}
	return true
}

func TestCheckDigit(t *testing.T) {
	for s, want := range map[string]byte{"520727": '3', "AB2134<<<": '5', "D23145890734": '9', "D231458907341": '6'} {
		if got := mrz.CheckDigit(s); got != want {
			t.Errorf("CheckDigit(%q) = %c, want %c", s, got, want)
		}
	}
}

func TestEveryCheckedCharacterCounts(t *testing.T) {
	for _, z := range zones {
		lines := strings.Split(z.lines, "\n")
		last := len(lines) - 1
		if z.format == mrz.TD1 {
			last = 1
		}
		b := []byte(lines[last])
		at := strings.IndexAny(lines[last], "123456789")
		b[at] = '0' + (b[at]-'0'+1)%10
		lines[last] = string(b)
		if allValid(z.format, lines) {
			t.Errorf("%s: a changed digit goes unnoticed", z.name)
		}
	}
}

func TestCenturies(t *testing.T) {
	line := func(birth, expiry string) []string {
		l, err := mrz.Compose(mrz.TD3, mrz.Fields{DocumentCode: "P", Issuer: "UTO", Surname: "A", Number: "1", Nationality: "UTO", Sex: "<", Birth: mrz.Date{Raw: birth}, Expiry: mrz.Date{Raw: expiry}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, c := range []struct{ birth, expiry, wantBirth, wantExpiry string }{
		{"261124", "261124", "2026-11-24", "2026-11-24"},
		{"261125", "751231", "1926-11-25", "2075-12-31"},
		{"271231", "761231", "1927-12-31", "1976-12-31"},
		{"990101", "990101", "1999-01-01", "1999-01-01"},
		{"64<<<<", "300000", "1964", "2030"},
		{"6408<<", "3002<<", "1964-08", "2030-02"},
		{"<<<<<<", "<<<<<<", "", ""},
		{"000229", "280229", "2000-02-29", "2028-02-29"},
	} {
		f, err := mrz.Parse(mrz.TD3, line(c.birth, c.expiry), today)
		if err != nil || f.Birth.ISO != c.wantBirth || f.Expiry.ISO != c.wantExpiry || !f.Birth.Possible || !f.Expiry.Possible {
			t.Errorf("%s %s: %+v %+v %v", c.birth, c.expiry, f.Birth, f.Expiry, err)
		}
	}
	for _, impossible := range []string{"991301", "990431", "010229", "990132"} {
		f, _ := mrz.Parse(mrz.TD3, line(impossible, impossible), today)
		if f.Birth.Possible || f.Expiry.Possible || f.Birth.ISO != "" {
			t.Errorf("%s is taken for a date: %+v", impossible, f.Birth)
		}
	}
	f, _ := mrz.Parse(mrz.TD3, line("740812", "261124"), today)
	if f.Expiry.Before(today) || !f.Expiry.Before(today.AddDate(0, 0, 1)) {
		t.Error("a document is valid through the day of its expiry")
	}
}

// certain gives alternatives of a recogniser that is sure of lines, but for
// the given second choices.
func certain(lines []string, doubts map[[2]int]string) [][]mrz.Probabilities {
	alt := make([][]mrz.Probabilities, len(lines))
	for i, l := range lines {
		alt[i] = make([]mrz.Probabilities, len(l))
		for j := range len(l) {
			alt[i][j][mrz.Index(l[j])] = 0.98
			for _, c := range []byte(doubts[[2]int{i, j}]) {
				alt[i][j][mrz.Index(l[j])] = 0.55
				alt[i][j][mrz.Index(c)] = 0.4
			}
		}
	}
	return alt
}

func TestMendReportsEveryChange(t *testing.T) {
	good := strings.Split(zones[0].lines, "\n")
	bad := []string{good[0], "L8989O2C36UT07408122F1204159ZE184226B<<<<<10"} // O for 0, 0 for O
	alt := certain(bad, map[[2]int]string{{1, 5}: "0", {1, 12}: "O"})
	lines, repairs := mrz.Mend(mrz.TD3, bad, alt)
	if lines[1] != good[1] || len(repairs) != 2 {
		t.Fatalf("got %q with %+v", lines, repairs)
	}
	want := []struct {
		line, pos     int
		from, to, why string
	}{{1, 12, "0", "O", mrz.WhyCountry}, {1, 5, "O", "0", "check digit number"}}
	for i, w := range want {
		r := repairs[i]
		if r.Line != w.line || r.Pos != w.pos || r.From != w.from || r.To != w.to || r.Why != w.why {
			t.Errorf("repair %d: %+v", i, r)
		}
	}
}

func TestMendLeavesWhatNothingCovers(t *testing.T) {
	good := strings.Split(zones[0].lines, "\n")
	// The name line has no check digit: doubts there change nothing.
	alt := certain(good, map[[2]int]string{{0, 6}: "S", {0, 15}: "M"})
	lines, repairs := mrz.Mend(mrz.TD3, good, alt)
	if lines[0] != good[0] || len(repairs) != 0 {
		t.Errorf("got %q with %+v", lines, repairs)
	}
	// A wrong digit without any doubt of the recogniser is not guessed.
	bad := []string{good[0], strings.Replace(good[1], "L898902C36", "L898902C37", 1)}
	lines, repairs = mrz.Mend(mrz.TD3, bad, certain(bad, nil))
	if lines[1] != bad[1] || len(repairs) != 0 {
		t.Errorf("guessed %q with %+v", lines[1], repairs)
	}
}

func TestMendNameTail(t *testing.T) {
	bad := []string{"P<UTOERIKSSON<<ANNA<MARIA<<<<K<<<<<C<<<<<<<<", strings.Split(zones[0].lines, "\n")[1]}
	lines, repairs := mrz.Mend(mrz.TD3, bad, certain(bad, nil))
	if lines[0] != strings.Split(zones[0].lines, "\n")[0] || len(repairs) != 2 || repairs[0].Why != mrz.WhyFiller {
		t.Errorf("got %q with %+v", lines[0], repairs)
	}
	for _, name := range []string{"P<UTOLEE<<ALEX<S<<<<<<<<<<<<<<<<<<<<<<<<<<<<", "P<UTOSMITH<<JOHN<A<<<<<<<<<<<<<<<<<<<<<<<<<<", "P<UTOSMITH<<A<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<"} {
		kept := []string{name, bad[1]}
		if lines, _ := mrz.Mend(mrz.TD3, kept, certain(kept, nil)); lines[0] != name {
			t.Errorf("%q was cut to %q", name, lines[0])
		}
	}
}

func TestTransliterate(t *testing.T) {
	for in, want := range map[string]string{"Müller-Lüdenscheidt": "MUELLER LUEDENSCHEIDT", "Ævarsdóttir": "AEVARSDOTTIR", "Łódź": "LODZ", "Þuríður Æsa": "THURIDUR AESA", "Straße": "STRASSE", "d'Arc": "DARC"} {
		if got := mrz.Transliterate(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestComposeRefuses(t *testing.T) {
	for name, f := range map[string]mrz.Fields{
		"number too long": {DocumentCode: "P", Issuer: "UTO", Surname: "A", Number: "1234567890", Nationality: "UTO", Birth: mrz.Date{Raw: "740812"}, Expiry: mrz.Date{Raw: "300101"}, Sex: "F"},
		"letter in date":  {DocumentCode: "P", Issuer: "UTO", Surname: "A", Number: "1", Nationality: "UTO", Birth: mrz.Date{Raw: "74O812"}, Expiry: mrz.Date{Raw: "300101"}, Sex: "F"},
		"wrong code":      {DocumentCode: "X", Issuer: "UTO", Surname: "A", Number: "1", Nationality: "UTO", Birth: mrz.Date{Raw: "740812"}, Expiry: mrz.Date{Raw: "300101"}, Sex: "F"},
	} {
		if l, err := mrz.Compose(mrz.TD3, f); err == nil {
			t.Errorf("%s: composed %q", name, l)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, z := range zones {
		f.Add(z.lines)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		format, err := mrz.Detect(lines)
		if err != nil {
			return
		}
		mrz.Checks(format, lines)
		if _, err := mrz.Parse(format, lines, today); err != nil {
			t.Errorf("detected as %s, not parsed: %v", format, err)
		}
		mrz.Mend(format, lines, certain(lines, nil))
	})
}
