package mrz

import (
	"fmt"
	"strings"
)

// CheckDigit computes the check digit of Doc 9303-3, 4.9: weights 7, 3, 1
// repeating, modulo 10. Characters outside the alphabet count as fillers.
func CheckDigit(s string) byte {
	weights := [3]int{7, 3, 1}
	sum := 0
	for i := range len(s) {
		if v := Index(s[i]); v >= 0 && v < 36 {
			sum += v * weights[i%3]
		}
	}
	return byte('0' + sum%10)
}

// Detect names the format of full lines, or fails with ErrFormat.
func Detect(lines []string) (Format, error) {
	for _, f := range Formats() {
		if fits(f, lines) {
			return f, nil
		}
	}
	return "", fmt.Errorf("%w: %d lines; expected 3×30, 2×36 or 2×44 characters of 0-9 A-Z < with a known document code", ErrFormat, len(lines))
}

// fits checks the size, the alphabet and the document code, not the grammar:
// a misread digit must not hide what the document is.
func fits(f Format, lines []string) bool {
	if len(lines) != f.Lines() {
		return false
	}
	for _, l := range lines {
		if len(l) != f.Length() || strings.ContainsFunc(l, func(r rune) bool { return r > 127 || Index(byte(r)) < 0 }) {
			return false
		}
	}
	return f.Grammar(0)[0].Has(Index(lines[0][0]))
}

// Checks says of every check digit of the format whether it holds. Lines must
// have the format's size.
func Checks(f Format, lines []string) map[string]bool {
	return layouts[f].check(f, lines)
}

func (l *layout) check(f Format, lines []string) map[string]bool {
	out := make(map[string]bool, len(l.checks))
	for _, c := range l.checks {
		out[c.name] = l.holds(f, c, lines)
	}
	return out
}

func (l *layout) holds(f Format, c checkRule, lines []string) bool {
	text, digit := c.text(lines), lines[c.digit.line][c.digit.at]
	switch {
	case c.name == CheckOptional && digit == '<':
		// Doc 9303-4, 4.2.2: an empty field may have a filler for a digit.
		return strings.Trim(text, "<") == ""
	case c.name == CheckNumber && digit == '<' && (f == TD1 || f == TD2):
		number, ok := l.longNumber(lines)
		return ok && CheckDigit(number[:len(number)-1]) == number[len(number)-1]
	}
	return CheckDigit(text) == digit
}

// longNumber joins a document number of more than nine characters: it goes on
// in the optional field, and the last character before the filler is its check
// digit (Doc 9303-5, 4.2.2 note j). The filler in the check digit's place is
// not part of the number and does not count.
func (l *layout) longNumber(lines []string) (string, bool) {
	rest, _, _ := strings.Cut(l.optional.of(lines), "<")
	if len(rest) < 2 {
		return "", false
	}
	return l.number.of(lines) + rest, true
}

func allHold(checks map[string]bool) bool { return countHold(checks) == len(checks) }

func countHold(checks map[string]bool) int {
	n := 0
	for _, ok := range checks {
		if ok {
			n++
		}
	}
	return n
}
