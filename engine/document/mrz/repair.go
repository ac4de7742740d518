package mrz

import (
	"math"
	"sort"
	"strings"
)

// Probabilities are a recogniser's peak probabilities of the 37 characters at
// one position.
type Probabilities [Symbols]float32

// Repair is one changed character.
type Repair struct {
	Line int    `json:"line"` // from 0
	Pos  int    `json:"pos"`  // from 0
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
	// Cost is the evidence against the change in nats; 0 where the change
	// follows from the format alone.
	Cost float64 `json:"cost"`
}

// Reasons for a repair.
const (
	WhyCountry      = "country code"
	WhyDocumentCode = "document code"
	WhyFiller       = "filler"
	WhyCheckDigit   = "check digit" // followed by the check's name
)

// Limits of the repair, in nats of evidence (−ln p). Found on 306 line images
// and 16 photographs of specimens; research "documents", section 3.6.
const (
	floorProbability   = 1e-5 // less is noise of the network
	countryLimit       = 7.0  // cost of one letter of a country code
	countryLimitTwo    = 6.0  // and of two together
	countryConfusion   = 4.0  // most that a known confusion costs in a country code
	digitConfusion     = 5.0  // most that a known confusion costs under a check digit
	digitLimit         = 6.5  // for one change under a check digit
	unconfirmedLimit   = 3.5  // the same where no valid composite confirms it
	runnerUpDistance   = 0.7  // a second candidate nearer than this makes it a guess
	unconfirmedPenalty = 3.0  // ranks candidates that the composite does not confirm last
	fillerDoubt        = 0.02 // least P(<) that lets a lone letter of a name be a filler
	maxCandidates      = 30   // single changes considered, and their pairs
)

// confusions are groups of characters that recognisers mistake for each other
// in OCR-B.
var confusions = buildConfusions("0ODQ", "1ILJ", "8B", "5S", "2Z", "6G", "7T1", "K<C", "4A", "MNH", "VY", "CG",
	"EF", "3B", "9P", "OQC", "E<", "XK", "<L", "<S")

func buildConfusions(groups ...string) [Symbols]Set {
	var c [Symbols]Set
	for _, g := range groups {
		for i := range len(g) {
			c[Index(g[i])] |= setOf(g) &^ setOf(g[i:i+1])
		}
	}
	return c
}

// Confusable says whether recognisers mistake a for b.
func Confusable(a, b byte) bool { return Index(a) >= 0 && Index(b) >= 0 && confused(a, b) }

func confused(a, b byte) bool { return confusions[Index(a)].Has(Index(b)) }

// Mend repairs a reading in format f: lines of the format's size, and for each
// position the recogniser's alternatives. It returns the new lines and every
// change. What no check digit or code list covers stays as read, but for
// look-alikes of the filler in the name's tail.
func Mend(f Format, lines []string, alternatives [][]Probabilities) ([]string, []Repair) {
	return mend(f, layouts[f], lines, alternatives)
}

// MendLine is Mend for one line of a zone (from 0), with the check digits that
// lie in it whole.
func MendLine(f Format, line int, text string, alternatives []Probabilities) (string, []Repair) {
	lines, repairs := mend(f, layouts[f].only(line), []string{text}, [][]Probabilities{alternatives})
	return lines[0], repairs
}

func mend(f Format, l *layout, lines []string, alternatives [][]Probabilities) ([]string, []Repair) {
	m := &mender{format: f, layout: l, alt: alternatives}
	for _, l := range lines {
		m.grid = append(m.grid, []byte(l))
	}
	m.countries()
	if l.issuer.to > 0 {
		m.documentCode()
	}
	if l.names.to > 0 {
		m.nameTail()
	}
	for _, c := range m.layout.checks {
		m.checkDigit(c)
	}
	return m.lines(), m.repairs
}

type mender struct {
	format  Format
	layout  *layout
	grid    [][]byte
	alt     [][]Probabilities
	repairs []Repair
}

func (m *mender) lines() []string {
	out := make([]string, len(m.grid))
	for i, g := range m.grid {
		out[i] = string(g)
	}
	return out
}

func (m *mender) at(p position) byte { return m.grid[p.line][p.at] }

func (m *mender) probability(p position, c byte) float64 {
	return max(float64(m.alt[p.line][p.at][Index(c)]), floorProbability)
}

func (m *mender) set(p position, c byte, why string, cost float64) {
	m.repairs = append(m.repairs, Repair{Line: p.line, Pos: p.at, From: string(m.at(p)), To: string(c), Why: why, Cost: cost})
	m.grid[p.line][p.at] = c
}

// countries replaces an unlisted country code by the nearest listed one, if
// near enough and at most two letters away.
func (m *mender) countries() {
	for _, s := range []span{m.layout.issuer, m.layout.nationality} {
		code := string(m.grid[s.line][s.from:s.to])
		if s.to == 0 || KnownCountry(code) {
			continue
		}
		best, bestCost := "", math.Inf(1)
		for _, c := range countryCodes {
			cost, changed := 0.0, 0
			for i := range len(c) {
				if c[i] == code[i] {
					continue
				}
				changed++
				limit := math.Inf(1)
				if confused(code[i], c[i]) {
					limit = countryConfusion
				}
				cost += min(-math.Log(m.probability(position{s.line, s.from + i}, c[i])), limit)
			}
			if changed == 1 && cost < min(bestCost, countryLimit) || changed == 2 && cost < min(bestCost, countryLimitTwo) {
				best, bestCost = c, cost
			}
		}
		if best == "" {
			continue
		}
		for i := range len(best) {
			if p := (position{s.line, s.from + i}); m.at(p) != best[i] {
				m.set(p, best[i], WhyCountry, bestCost)
			}
		}
	}
}

// documentCode mends the second character of the United States' passport and
// border crossing cards, which are coded C1 and C2.
func (m *mender) documentCode() {
	if m.format != TD1 || m.grid[0][0] != 'C' || string(m.grid[0][2:5]) != "USA" {
		return
	}
	switch c := m.grid[0][1]; c {
	case 'I', 'L', 'T':
		m.set(position{0, 1}, '1', WhyDocumentCode, 0)
	case 'Z':
		m.set(position{0, 1}, '2', WhyDocumentCode, 0)
	}
}

// nameTail turns look-alikes of the filler back where they stand alone or in
// twos among fillers, after the last name.
func (m *mender) nameTail() {
	const lookAlikes = "<CKSELGXA"
	s := m.layout.names
	name := m.grid[s.line][s.from:s.to]
	start := len(name)
	if i := m.lostSeparator(name); i >= 0 {
		m.set(position{s.line, s.from + i}, '<', WhyFiller, 0)
	}
	for start > 0 && strings.IndexByte(lookAlikes, name[start-1]) >= 0 {
		start--
	}
	for ; start < len(name); start++ {
		tail := string(name[start:])
		if tail[0] == '<' && len(tail) >= 3 && 2*strings.Count(tail, "<") >= len(tail) {
			break
		}
	}
	if len(name)-start < 4 {
		return
	}
	for _, word := range strings.FieldsFunc(string(name[start:]), isFiller) {
		if len(word) > 2 {
			return
		}
	}
	// After the "<<" that follows the given names no letter can stand. Before
	// it a lone letter may be an initial: it goes only where the recogniser
	// itself doubted it.
	end := len(name)
	if i := strings.Index(string(name), "<<"); i >= 0 {
		if j := strings.Index(string(name[i+2:]), "<<"); j >= 0 {
			end = i + 2 + j
		}
	}
	for i := start; i < len(name); i++ {
		p := position{s.line, s.from + i}
		if name[i] != '<' && (i > end || m.probability(p, '<') >= fillerDoubt) {
			m.set(p, '<', WhyFiller, 0)
		}
	}
}

// lostSeparator finds the letter that stands where one of the two fillers
// between surname and given names should, if the recogniser doubted it; -1
// where there is none.
func (m *mender) lostSeparator(name []byte) int {
	text := strings.TrimRight(string(name), "<")
	if strings.Contains(text, "<<") {
		return -1
	}
	s := m.layout.names
	for i := 1; i+1 < len(text); i++ {
		if (text[i-1] == '<' || text[i+1] == '<') && confused(text[i], '<') && text[i] != '<' && m.probability(position{s.line, s.from + i}, '<') >= fillerDoubt {
			return i
		}
	}
	return -1
}

type change struct {
	position
	to   byte
	cost float64
}

// checkDigit tries one, then two changes that make a failing check hold.
func (m *mender) checkDigit(c checkRule) {
	before := m.layout.check(m.format, m.lines())
	if before[c.name] {
		return
	}
	candidates := m.candidates(c, before)
	type fix struct {
		changes []change
		cost    float64 // with the penalty, for ranking
	}
	var fixes []fix
	try := func(changes ...change) {
		cost := 0.0
		old := make([]byte, len(changes))
		for i, ch := range changes {
			old[i] = m.at(ch.position)
			m.grid[ch.line][ch.at] = ch.to
			cost += ch.cost
		}
		lines := m.lines()
		after := m.layout.check(m.format, lines)
		composite, has := after[CheckComposite]
		good := after[c.name] && countHold(after) > countHold(before)
		if c.name == CheckBirth || c.name == CheckExpiry {
			good = good && dateLike(c.over[0].of(lines))
		}
		if c.name != CheckComposite && !composite && cost > unconfirmedLimit {
			good = false
		}
		if has && !composite {
			cost += unconfirmedPenalty
		}
		if good {
			fixes = append(fixes, fix{changes, cost})
		}
		for i, ch := range changes {
			m.grid[ch.line][ch.at] = old[i]
		}
	}
	for _, a := range candidates {
		try(a)
	}
	if len(fixes) == 0 {
		for i, a := range candidates {
			for _, b := range candidates[i+1:] {
				if a.position != b.position {
					try(a, b)
				}
			}
		}
	}
	if len(fixes) == 0 {
		return
	}
	sort.SliceStable(fixes, func(i, j int) bool { return fixes[i].cost < fixes[j].cost })
	best := fixes[0]
	if len(fixes) > 1 && fixes[1].cost-best.cost <= runnerUpDistance {
		return
	}
	for _, ch := range best.changes {
		m.set(ch.position, ch.to, WhyCheckDigit+" "+c.name, ch.cost)
	}
}

// candidates are the cheapest single changes at positions under this check
// that no other valid check covers.
func (m *mender) candidates(c checkRule, valid map[string]bool) []change {
	settled := map[position]bool{}
	for _, other := range m.layout.checks {
		if !valid[other.name] || other.name == CheckComposite {
			continue
		}
		for _, p := range other.positions() {
			settled[p] = true
		}
	}
	limit := digitLimit
	if c.name == CheckComposite {
		limit = unconfirmedLimit
	}
	var found []change
	for _, p := range c.positions() {
		if settled[p] {
			continue
		}
		current := m.at(p)
		allowed := m.layout.grammar[p.line][p.at]
		for i := range Symbols {
			to := Alphabet[i]
			if to == current || !allowed.Has(i) {
				continue
			}
			cost := math.Log(m.probability(p, current) / m.probability(p, to))
			if c.name != CheckComposite && confused(current, to) {
				cost = min(cost, digitConfusion)
			}
			if cost < limit {
				found = append(found, change{p, to, cost})
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].cost < found[j].cost })
	return found[:min(len(found), maxCandidates)]
}

func (c checkRule) positions() []position {
	var ps []position
	for _, s := range c.over {
		for i := s.from; i < s.to; i++ {
			ps = append(ps, position{s.line, i})
		}
	}
	return append(ps, c.digit)
}
