package document

import (
	"testing"

	"gatehouse/engine/document/mrz"
)

func TestCrossCheck(t *testing.T) {
	fields := mrz.Fields{Number: "XA0000014", Surname: "MUELLER LUEDENSCHEIDT", GivenNames: "LOES",
		Birth: mrz.Date{ISO: "1971-10-19"}, Expiry: mrz.Date{ISO: "2031-04-12"}}
	for _, c := range []struct {
		text, field string
		want        Agreement
	}{
		{"XA0000014", "number", "confirmed"},
		{"No. XA0000014", "number", "confirmed"},
		{"XA0O00014", "number", "similar"}, // the reader's own confusion
		{"XA0000034", "number", "conflicts"},
		{"XB0990014", "number", ""},
		{"Müller-Lüdenscheidt", "surname", "confirmed"},
		{"MULLER LUDENSCHEIDT", "surname", ""}, // another length: no opinion
		{"MUELLER LUEDENSCHEIDX", "surname", "conflicts"},
		{"Müller-Lüdenscheidtburg", "surname", ""},
		{"Loes", "given_names", "confirmed"},
		{"Lees", "given_names", ""}, // too short to be a conflict
		{"19.10.1971", "birth", "confirmed"},
		{"19 OCT/OKT 1971", "birth", "confirmed"},
		{"19 oct 71", "birth", "confirmed"},
		{"19.10.1972", "birth", ""},
		{"12 APR/APR 2031", "expiry", "confirmed"},
		{"XA0000014<<<<<NLD", "number", ""},                            // the zone itself is no second witness
		{"XA0000014NLD7110195F0604121ABCDEFGHJKLMN0202", "number", ""}, // nor where it has no filler
	} {
		d := &Document{MRZ: &mrz.Reading{Fields: fields}, Text: []Text{{Text: c.text}}, Fields: map[string]Field{}}
		d.fillFields()
		d.crossCheck()
		got := d.Fields[c.field].Agreement
		if got != c.want {
			t.Errorf("%q for %s: %q, want %q", c.text, c.field, got, c.want)
		}
		if (got == Conflicts) != (len(d.Conflicts) == 1) {
			t.Errorf("%q: conflicts %+v", c.text, d.Conflicts)
		}
	}
}

// A short number is in any text: only a text that is it confirms it.
func TestCrossCheckOfShortNumbers(t *testing.T) {
	for text, want := range map[string]Agreement{"12": Confirmed, "No 12": "", "12 AUG 1974": ""} {
		d := &Document{MRZ: &mrz.Reading{Fields: mrz.Fields{Number: "12"}}, Text: []Text{{Text: text}}, Fields: map[string]Field{}}
		d.fillFields()
		d.crossCheck()
		if got := d.Fields["number"].Agreement; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A name that fills its field was cut off: print goes on where the zone ends.
func TestCrossCheckOfCutNames(t *testing.T) {
	d := &Document{MRZ: &mrz.Reading{Fields: mrz.Fields{Surname: "PAPAKONSTANTINOPOULOU ANAGNOSTOPOULO", GivenNames: "T", NameTruncated: true}},
		Text: []Text{{Text: "Papakonstantinopoulou-Anagnostopoulou"}, {Text: "Thóra"}}, Fields: map[string]Field{}}
	d.fillFields()
	d.crossCheck()
	if got := d.Fields["surname"].Agreement; got != Confirmed {
		t.Errorf("surname: %q", got)
	}
	if got := d.Fields["given_names"].Agreement; got != "" {
		t.Errorf("one letter confirms nothing: %q", got)
	}
}
