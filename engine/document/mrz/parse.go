package mrz

import (
	"fmt"
	"strings"
	"time"
)

// Fields are the contents of a zone, fillers removed.
type Fields struct {
	DocumentCode string `json:"document_code"`
	Issuer       string `json:"issuer"`
	Surname      string `json:"surname"`
	GivenNames   string `json:"given_names"`
	// NameTruncated: the name fills its field to the last character, so more
	// of it may have been cut off.
	NameTruncated bool   `json:"name_truncated,omitempty"`
	Number        string `json:"number"`
	Nationality   string `json:"nationality"`
	Birth         Date   `json:"birth"`
	Sex           string `json:"sex"`
	Expiry        Date   `json:"expiry"`
	Optional      string `json:"optional,omitempty"`
	Optional2     string `json:"optional2,omitempty"`
}

// Date is a date with its century resolved. ISO has as many parts as are known
// ("1974-08-12", "1974-08", "1974"); it is empty where the year is unknown or
// the date is impossible.
type Date struct {
	Raw      string `json:"raw"`
	ISO      string `json:"iso"`
	Possible bool   `json:"possible"`
}

// Parse reads the fields of lines in format f. today resolves the century of
// two-digit years: a birth is never in the future; an expiry lies less than 50
// years from today, either way (Doc 9303 gives no rule; passports run at most
// ten years and are presented for some decades after).
func Parse(f Format, lines []string, today time.Time) (Fields, error) {
	if !f.Known() || !fits(f, lines) {
		return Fields{}, fmt.Errorf("%w of format %s", ErrFormat, f)
	}
	l := layouts[f]
	out := Fields{
		DocumentCode: plain(l.code.of(lines)),
		Issuer:       plain(l.issuer.of(lines)),
		Number:       plain(l.number.of(lines)),
		Nationality:  plain(l.nationality.of(lines)),
		Sex:          plain(l.sex.of(lines)),
		Optional:     plain(l.optional.of(lines)),
		Birth:        birthDate(l.birth.of(lines), today),
		Expiry:       expiryDate(l.expiry.of(lines), today),
	}
	names := l.names.of(lines)
	surname, given, _ := strings.Cut(names, "<<")
	out.Surname, out.GivenNames = plain(surname), plain(given)
	out.NameTruncated = names[len(names)-1] != '<'
	if l.secondOptional.to > 0 {
		out.Optional2 = plain(l.secondOptional.of(lines))
	}
	check := l.checks[0].digit
	if lines[check.line][check.at] == '<' && (f == TD1 || f == TD2) {
		if n, ok := l.longNumber(lines); ok {
			out.Number = plain(n[:len(n)-1])
			_, rest, _ := strings.Cut(l.optional.of(lines), "<")
			out.Optional = plain(rest)
		}
	}
	return out, nil
}

// plain turns fillers into single spaces.
func plain(s string) string { return strings.Join(strings.FieldsFunc(s, isFiller), " ") }

func isFiller(r rune) bool { return r == '<' }

func birthDate(raw string, today time.Time) Date {
	return windowed(raw, today, func(year int, earliest time.Time) bool { return !earliest.After(today) })
}

func expiryDate(raw string, today time.Time) Date {
	return windowed(raw, today, func(year int, _ time.Time) bool { return year < today.Year()+50 })
}

// windowed tries the centuries from the latest down; accept says whether one
// of them will do.
func windowed(raw string, today time.Time, accept func(year int, earliest time.Time) bool) Date {
	d := Date{Raw: raw, Possible: true}
	yy, okY := twoDigits(raw[0:2])
	mm, okM := twoDigits(raw[2:4])
	dd, okD := twoDigits(raw[4:6])
	known := func(s string) bool { return s != "<<" && s != "00" }
	if raw[0:2] == "<<" {
		d.Possible = (okM || !known(raw[2:4])) && (okD || !known(raw[4:6])) && mm <= 12 && dd <= 31
		return d
	}
	if !okY || !okM && known(raw[2:4]) || !okD && known(raw[4:6]) || mm > 12 || dd > 31 {
		d.Possible = false
		return d
	}
	for century := today.Year()/100*100 + 100; century >= today.Year()/100*100-100; century -= 100 {
		year := century + yy
		month, day := max(mm, 1), max(dd, 1)
		t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
		if !accept(year, t) {
			continue
		}
		if t.Month() != time.Month(month) { // 31 April, 29 February of a common year
			d.Possible = false
			return d
		}
		switch {
		case mm == 0:
			d.ISO = fmt.Sprintf("%04d", year)
		case dd == 0:
			d.ISO = fmt.Sprintf("%04d-%02d", year, mm)
		default:
			d.ISO = fmt.Sprintf("%04d-%02d-%02d", year, mm, dd)
		}
		return d
	}
	d.Possible = false
	return d
}

// twoDigits reads two digits; unknown parts ("<<") give 0, false.
func twoDigits(s string) (int, bool) {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}

// dateLike says whether raw can be a date whatever the century.
func dateLike(raw string) bool {
	mm, okM := twoDigits(raw[2:4])
	dd, okD := twoDigits(raw[4:6])
	return (okM && mm <= 12 || raw[2:4] == "<<") && (okD && dd <= 31 || raw[4:6] == "<<")
}

// Before says whether the last day that d can stand for lies before day.
// An unknown or impossible date is not before anything.
func (d Date) Before(day time.Time) bool {
	var last time.Time
	switch len(d.ISO) {
	case 4:
		t, _ := time.Parse("2006", d.ISO)
		last = t.AddDate(1, 0, -1)
	case 7:
		t, _ := time.Parse("2006-01", d.ISO)
		last = t.AddDate(0, 1, -1)
	case 10:
		last, _ = time.Parse(time.DateOnly, d.ISO)
	default:
		return false
	}
	y, m, dd := day.Date()
	return last.Before(time.Date(y, m, dd, 0, 0, 0, 0, time.UTC))
}
