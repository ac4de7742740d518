package mrz

import (
	"fmt"
	"strings"
)

// Compose writes the lines of a zone with their check digits. Dates are taken
// from Raw (YYMMDD). Names are transliterated and, where too long, cut so that
// at least one letter of the given names stays (Doc 9303-3, 4.6).
func Compose(f Format, in Fields) ([]string, error) {
	if !f.Known() {
		return nil, fmt.Errorf("%w: unknown format %q", ErrFormat, f)
	}
	l := layouts[f]
	grid := make([][]byte, f.Lines())
	for i := range grid {
		grid[i] = []byte(strings.Repeat("<", f.Length()))
	}
	put := func(what string, s span, text string) error {
		text = strings.ReplaceAll(text, " ", "<")
		if len(text) > s.to-s.from {
			return fmt.Errorf("%s %q %w: at most %d characters", what, text, ErrField, s.to-s.from)
		}
		for i := range len(text) {
			if x := Index(text[i]); x < 0 || !l.grammar[s.line][s.from+i].Has(x) {
				return fmt.Errorf("%s %q %w: character %q", what, text, ErrField, text[i])
			}
		}
		copy(grid[s.line][s.from:], text)
		return nil
	}
	number, optional := in.Number, in.Optional
	long := len(number) > 9 && (f == TD1 || f == TD2)
	if long {
		rest := number[9:] + string(CheckDigit(number))
		number, optional = number[:9], rest+"<"+optional
		if optional = strings.TrimRight(optional, "<"); len(rest) >= l.optional.to-l.optional.from {
			return nil, fmt.Errorf("number %q %w: too long", in.Number, ErrField)
		}
	}
	for _, p := range []struct {
		what string
		span span
		text string
	}{
		{"document code", l.code, in.DocumentCode}, {"issuer", l.issuer, in.Issuer},
		{"names", l.names, nameField(in.Surname, in.GivenNames, l.names.to-l.names.from)},
		{"number", l.number, number}, {"nationality", l.nationality, in.Nationality},
		{"birth", l.birth, in.Birth.Raw}, {"sex", l.sex, in.Sex}, {"expiry", l.expiry, in.Expiry.Raw},
		{"optional", l.optional, optional}, {"optional2", l.secondOptional, in.Optional2},
	} {
		if p.span.to == 0 && p.text == "" {
			continue
		}
		if err := put(p.what, p.span, p.text); err != nil {
			return nil, err
		}
	}
	for _, c := range l.checks {
		if c.name == CheckNumber && long {
			continue
		}
		lines := make([]string, len(grid))
		for i := range grid {
			lines[i] = string(grid[i])
		}
		grid[c.digit.line][c.digit.at] = CheckDigit(c.text(lines))
	}
	lines := make([]string, len(grid))
	for i := range grid {
		lines[i] = string(grid[i])
	}
	return lines, nil
}

func nameField(surname, given string, n int) string {
	s := strings.ReplaceAll(Transliterate(surname), " ", "<")
	g := strings.ReplaceAll(Transliterate(given), " ", "<")
	if g == "" {
		return s[:min(len(s), n)]
	}
	if len(s)+2+len(g) > n {
		s = s[:min(len(s), n-3)]
		g = g[:min(len(g), n-2-len(s))]
	}
	return s + "<<" + g
}
