package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"gatehouse/engine/document/mrz"
)

// lineVectors reads three lines that must come out to the letter.
func (e *evaluation) lineVectors(ctx context.Context) error {
	for _, k := range []struct{ name, text string }{
		{"doc007-1", "C01XYCCG91D<<6408125F2702283<<<<<<<<<<<<<<<8"},
		{"doc003-1", "5808175M1105108COD<<<<<<<<<<<3"}, // without the grammar C0D
		{"doc009-0", "MUSTERMANN<<ERIKA<<<<<<<<<<<<<"},
	} {
		p, err := readTIFF(e.path(path.Join(linesDir, k.name+".tif")))
		if err != nil {
			return err
		}
		l, _, err := e.engine.Documents.ReadLine(ctx, bordered(p))
		if err != nil {
			return err
		}
		var wrong []string
		if l.Text != k.text {
			wrong = append(wrong, fmt.Sprintf("%q, not %q", l.Text, k.text))
		}
		e.vector("line_"+k.name, problem(wrong))
	}
	fmt.Fprintln(e.out)
	return nil
}

// photographVectors reads three photographs whose fields are known.
func (e *evaluation) photographVectors(ctx context.Context) error {
	type field struct{ name, got, want string }
	for _, k := range []struct {
		picture string
		format  mrz.Format
		lines   []string // "" where the fields say enough
		fields  func(f *mrz.Fields) []field
	}{
		{"100_pass-lux.jpg", mrz.TD3, []string{"", "S998527<<4LUX7806201F110808403060021041<<<96"}, func(f *mrz.Fields) []field {
			return []field{{"surname", f.Surname, "MAUS"}, {"given names", f.GivenNames, "KETTY"}, {"number", f.Number, "S998527"},
				{"nationality", f.Nationality, "LUX"}, {"birth", f.Birth.Raw, "780620"}, {"sex", f.Sex, "F"}, {"expiry", f.Expiry.Raw, "110808"}, {"optional", f.Optional, "03060021041"}}
		}},
		{"100_id-che.jpg", mrz.TD1, []string{"", "8102287F1301014CHE<<<<<<<<<<<4", ""}, func(f *mrz.Fields) []field {
			return []field{{"surname", f.Surname, "VADIS"}, {"given names", f.GivenNames, "QUO"}, {"number", f.Number, "S0002068"},
				{"nationality", f.Nationality, "CHE"}, {"birth", f.Birth.Raw, "810228"}, {"sex", f.Sex, "F"}, {"expiry", f.Expiry.Raw, "130101"}}
		}},
		{"100_visa-polx.jpg", mrz.MRVB, []string{"VCPOLKOWALSKA<KWIATKOWSKA<<BEATA<<<<", "PL00000008POL6002084F0505011<<<<<<<0"}, func(*mrz.Fields) []field { return nil }},
	} {
		p, err := e.open(ctx, path.Join(photographsDir, k.picture))
		if err != nil {
			return err
		}
		m, err := e.readZone(ctx, p)
		if err != nil {
			return err
		}
		name := "photograph_" + strings.TrimSuffix(k.picture, ".jpg")
		if m == nil || m.Format != k.format {
			e.vector(name, fmt.Sprintf("no zone of format %s", k.format))
			continue
		}
		var wrong []string
		for i, want := range k.lines {
			if want != "" && m.Lines[i] != want {
				wrong = append(wrong, fmt.Sprintf("line %d is %q, not %q", i+1, m.Lines[i], want))
			}
		}
		for _, f := range k.fields(&m.Fields) {
			if f.got != f.want {
				wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", f.name, f.got, f.want))
			}
		}
		e.vector(name, problem(wrong))
	}
	fmt.Fprintln(e.out)
	return nil
}
