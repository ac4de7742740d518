package mrz

import (
	"math"
	"sort"
	"strings"
)

// maxMargin is where looking for a rival ends, in nats: odds of 1 in 150.
const maxMargin = 5.0

// margin is by how much, in nats, a valid reading beats the nearest other text
// that all check digits and code lists allow as well: one letter changed where
// no check digit sees it (a name, or characters of equal value modulo 10), or
// two whose changes cancel out (Z and S for 2 and 5). At most maxMargin.
func (l *layout) margin(f Format, lines []string, alternatives [][]Probabilities) float64 {
	m := &mender{format: f, layout: l, alt: alternatives}
	for _, line := range lines {
		m.grid = append(m.grid, []byte(line))
	}
	var rivals []change
	for i, line := range lines {
		for k, says := range l.read(i, line) {
			if !says {
				continue
			}
			p := position{i, k}
			for c := range Symbols {
				to := Alphabet[c]
				if to == line[k] || !l.grammar[i][k].Has(c) {
					continue
				}
				if cost := math.Log(m.probability(p, line[k]) / m.probability(p, to)); cost < maxMargin {
					rivals = append(rivals, change{p, to, max(cost, 0)})
				}
			}
		}
	}
	sort.SliceStable(rivals, func(i, j int) bool { return rivals[i].cost < rivals[j].cost })
	best := maxMargin
	for _, a := range rivals {
		if a.cost >= best {
			break
		}
		if m.holdsWith(a) {
			best = a.cost
		}
	}
	rivals = rivals[:min(len(rivals), 2*maxCandidates)]
	for i, a := range rivals {
		for _, b := range rivals[i+1:] {
			if a.cost+b.cost >= best {
				break
			}
			if a.position != b.position && m.holdsWith(a, b) {
				best = a.cost + b.cost
			}
		}
	}
	return best
}

// read marks the positions of a line that say something: not the fillers after
// a name or an optional field, among which look-alikes are noise.
func (l *layout) read(line int, text string) []bool {
	marks := make([]bool, len(text))
	for k := range marks {
		marks[k] = true
	}
	for _, s := range []span{l.names, l.optional, l.secondOptional} {
		if s.line != line || s.to == 0 {
			continue
		}
		for k := s.from + len(strings.TrimRight(text[s.from:s.to], "<")); k < s.to; k++ {
			marks[k] = false
		}
	}
	return marks
}

// holdsWith says whether the zone stays valid and plausible with changes.
func (m *mender) holdsWith(changes ...change) bool {
	old := make([]byte, len(changes))
	for i, c := range changes {
		old[i] = m.at(c.position)
		m.grid[c.line][c.at] = c.to
	}
	lines := m.lines()
	ok := allHold(m.layout.check(m.format, lines)) && dateLike(m.layout.birth.of(lines)) && dateLike(m.layout.expiry.of(lines))
	for _, c := range changes {
		for _, s := range []span{m.layout.issuer, m.layout.nationality} {
			if c.line == s.line && c.at >= s.from && c.at < s.to && !KnownCountry(s.of(lines)) {
				ok = false
			}
		}
	}
	for i := len(changes) - 1; i >= 0; i-- {
		m.grid[changes[i].line][changes[i].at] = old[i]
	}
	return ok
}
