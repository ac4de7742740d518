// Package mrz knows the machine-readable zones of ICAO Doc 9303: their five
// formats, check digits, fields, and how a reading with alternatives is
// repaired by its check digits.
//
// It works on text alone. It must never change a character that no check digit
// covers without saying so, and never call a zone valid that is not.
package mrz

import "strings"

// Alphabet holds the 37 characters of an MRZ; a Set and an alternative's
// probabilities are indexed by the position here.
const Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ<"

// Symbols is the size of Alphabet.
const Symbols = len(Alphabet)

// Index gives a character's position in Alphabet, or -1.
func Index(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	case c == '<':
		return 36
	}
	return -1
}

// Set is a set of characters: bit i stands for Alphabet[i].
type Set uint64

// Has says whether the character with this index belongs to the set.
func (s Set) Has(index int) bool { return s>>index&1 == 1 }

func setOf(chars string) Set {
	var s Set
	for i := range len(chars) {
		s |= 1 << Index(chars[i])
	}
	return s
}

const (
	digits  Set = 1<<10 - 1
	filler  Set = 1 << 36
	letters Set = (1<<26-1)<<10 | filler
	anyChar Set = 1<<37 - 1
	filled  Set = anyChar &^ filler // a document number starts at once
	datePos Set = digits | filler
)

// Format is a kind of machine-readable zone.
type Format string

// The formats of Doc 9303 parts 4 to 7.
const (
	TD1  Format = "TD1"   // card, 3×30
	TD2  Format = "TD2"   // card, 2×36
	TD3  Format = "TD3"   // passport, 2×44
	MRVA Format = "MRV-A" // visa, 2×44
	MRVB Format = "MRV-B" // visa, 2×36
)

// Formats lists all five.
func Formats() []Format { return []Format{TD3, MRVA, TD2, MRVB, TD1} }

// Lines and Length give the size of a format's zone.
func (f Format) Lines() int { return len(layouts[f].grammar) }

// Length is the number of characters in each line.
func (f Format) Length() int { return len(layouts[f].grammar[0]) }

// Grammar gives the characters allowed at each position of a line.
func (f Format) Grammar(line int) []Set { return layouts[f].grammar[line] }

// Known says whether f is one of the five formats.
func (f Format) Known() bool { _, ok := layouts[f]; return ok }

// span is characters [from,to) of a line.
type span struct{ line, from, to int }

func (s span) of(lines []string) string { return lines[s.line][s.from:s.to] }

// position is one character of a zone.
type position struct{ line, at int }

// checkRule says which characters a check digit covers and where it stands.
type checkRule struct {
	name  string
	over  []span
	digit position
}

func (c checkRule) text(lines []string) string {
	var b strings.Builder
	for _, s := range c.over {
		b.WriteString(s.of(lines))
	}
	return b.String()
}

// layout is everything that differs between formats.
type layout struct {
	grammar                  [][]Set
	checks                   []checkRule
	code, issuer, names      span
	number, nationality      span
	birth, sex, expiry       span
	optional, secondOptional span // secondOptional: TD1 only
}

// Names of the checks, as reported.
const (
	CheckNumber    = "number"
	CheckBirth     = "birth"
	CheckExpiry    = "expiry"
	CheckOptional  = "optional"
	CheckComposite = "composite"
)

func run(s Set, n int) []Set {
	r := make([]Set, n)
	for i := range r {
		r[i] = s
	}
	return r
}

func join(parts ...[]Set) []Set {
	var r []Set
	for _, p := range parts {
		r = append(r, p...)
	}
	return r
}

var sexSet = setOf("MFX<")

// codeSecond is the second letter of a card's document code. No issuer is known
// to use O or Q there, and readers take the D of "ID" for them.
var codeSecond = letters &^ setOf("OQ")

// second line of TD2, TD3 and the visas: number, check, nationality, birth,
// check, sex, expiry, check, then what the format adds.
func secondLine(numberCheck Set, rest ...[]Set) []Set {
	head := join(run(filled, 1), run(anyChar, 8), run(numberCheck, 1), run(letters, 3), run(datePos, 6), run(digits, 1),
		run(sexSet, 1), run(datePos, 6), run(digits, 1))
	return join(append([][]Set{head}, rest...)...)
}

func firstLine(code, second Set, length int) []Set {
	return join(run(code, 1), run(second, 1), run(letters, length-2))
}

func twoLines(grammar [][]Set, optionalEnd int, extra ...checkRule) *layout {
	n := len(grammar[0])
	return &layout{
		grammar: grammar,
		checks: append([]checkRule{
			{CheckNumber, []span{{1, 0, 9}}, position{1, 9}},
			{CheckBirth, []span{{1, 13, 19}}, position{1, 19}},
			{CheckExpiry, []span{{1, 21, 27}}, position{1, 27}},
		}, extra...),
		code: span{0, 0, 2}, issuer: span{0, 2, 5}, names: span{0, 5, n},
		number: span{1, 0, 9}, nationality: span{1, 10, 13},
		birth: span{1, 13, 19}, sex: span{1, 20, 21}, expiry: span{1, 21, 27},
		optional: span{1, 28, optionalEnd},
	}
}

// layouts follows Doc 9303 part 4 (TD3), 5 (TD1), 6 (TD2), 7 (visas).
var layouts = map[Format]*layout{
	TD3: twoLines([][]Set{
		firstLine(setOf("P"), letters, 44),
		secondLine(digits, run(anyChar, 14), run(digits|filler, 1), run(digits, 1)),
	}, 42,
		checkRule{CheckOptional, []span{{1, 28, 42}}, position{1, 42}},
		checkRule{CheckComposite, []span{{1, 0, 10}, {1, 13, 20}, {1, 21, 43}}, position{1, 43}},
	),
	MRVA: twoLines([][]Set{firstLine(setOf("V"), letters, 44), secondLine(digits, run(anyChar, 16))}, 44),
	TD2: twoLines([][]Set{
		firstLine(setOf("ACIP"), codeSecond, 36),
		secondLine(digits|filler, run(anyChar, 7), run(digits, 1)),
	}, 35,
		checkRule{CheckComposite, []span{{1, 0, 10}, {1, 13, 20}, {1, 21, 35}}, position{1, 35}},
	),
	MRVB: twoLines([][]Set{firstLine(setOf("V"), letters, 36), secondLine(digits, run(anyChar, 8))}, 36),
	TD1: {
		grammar: [][]Set{
			join(run(setOf("ACI"), 1), run(codeSecond|setOf("12"), 1), run(letters, 3), run(filled, 1), run(anyChar, 8), run(digits|filler, 1), run(anyChar, 15)),
			join(run(datePos, 6), run(digits, 1), run(sexSet, 1), run(datePos, 6), run(digits, 1), run(letters, 3), run(anyChar, 11), run(digits, 1)),
			run(letters, 30),
		},
		checks: []checkRule{
			{CheckNumber, []span{{0, 5, 14}}, position{0, 14}},
			{CheckBirth, []span{{1, 0, 6}}, position{1, 6}},
			{CheckExpiry, []span{{1, 8, 14}}, position{1, 14}},
			{CheckComposite, []span{{0, 5, 30}, {1, 0, 7}, {1, 8, 15}, {1, 18, 29}}, position{1, 29}},
		},
		code: span{0, 0, 2}, issuer: span{0, 2, 5}, names: span{2, 0, 30},
		number: span{0, 5, 14}, nationality: span{1, 15, 18},
		birth: span{1, 0, 6}, sex: span{1, 7, 8}, expiry: span{1, 8, 14},
		optional: span{0, 15, 30}, secondOptional: span{1, 18, 29},
	},
}

// only is what of the layout lies whole in one line, as a zone of that line.
func (l *layout) only(line int) *layout {
	one := &layout{grammar: l.grammar[line : line+1]}
	for _, s := range []struct{ to, from *span }{
		{&one.code, &l.code}, {&one.issuer, &l.issuer}, {&one.names, &l.names}, {&one.number, &l.number}, {&one.nationality, &l.nationality},
		{&one.birth, &l.birth}, {&one.sex, &l.sex}, {&one.expiry, &l.expiry}, {&one.optional, &l.optional}, {&one.secondOptional, &l.secondOptional},
	} {
		if s.from.line == line {
			*s.to = span{0, s.from.from, s.from.to}
		}
	}
	for _, c := range l.checks {
		whole := c.digit.line == line
		moved := checkRule{name: c.name, digit: position{0, c.digit.at}}
		for _, s := range c.over {
			whole = whole && s.line == line
			moved.over = append(moved.over, span{0, s.from, s.to})
		}
		if whole {
			one.checks = append(one.checks, moved)
		}
	}
	return one
}
