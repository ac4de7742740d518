package document

import (
	"math"

	"gatehouse/engine/document/mrz"
)

// Constants of the constrained decoding (research "documents", 3.5).
const (
	probabilityFloor = 1e-5 // less is noise of the network
	repeatPenalty    = -2.0 // nats, where equal neighbours have no blank between
	impossible       = -1e9
)

// likeness[a][b] is how much of the evidence for a character a goes to b where
// only b may stand: the network's doubts between glyphs that OCR-B draws alike.
// Weights are ours; without them a 0 where only letters may stand left the
// choice to noise.
var likeness = func() (l [mrz.Symbols][mrz.Symbols]float32) {
	for _, p := range []struct {
		digit   byte
		letters string // the likeliest first
	}{{'0', "ODQ"}, {'1', "IL"}, {'2', "Z"}, {'4', "A"}, {'5', "S"}, {'6', "G"}, {'7', "T"}, {'8', "B"}} {
		for i := range len(p.letters) {
			d, c := mrz.Index(p.digit), mrz.Index(p.letters[i])
			l[c][d] = 0.9
			if l[d][c] = 0.9; i > 0 {
				l[d][c] = 0.05
			}
		}
	}
	// Where O may not stand (the second letter of a card's code) it is a D.
	for _, c := range []byte("OQ") {
		l[mrz.Index(c)][mrz.Index('D')] = 0.5
	}
	return l
}()

// under gives the probabilities of the characters in a set, with what the
// others stand for.
func under(set mrz.Set, p *[1 + mrz.Symbols]float32) (out mrz.Probabilities) {
	copy(out[:], p[1:])
	for a := range mrz.Symbols {
		if set.Has(a) || p[1+a] < probabilityFloor {
			continue
		}
		for b, w := range likeness[a] {
			if w > 0 && set.Has(b) {
				out[b] += w * p[1+a]
			}
		}
	}
	return out
}

// decoded is one line under a grammar.
type decoded struct {
	text string
	// score is the path's log probability, in nats.
	score float64
	// alternatives are each position's peak probabilities.
	alternatives []mrz.Probabilities
}

// decode finds the likeliest text of exactly len(grammar) characters, each
// from its set: Viterbi over the states (position, character or the blank
// after it). ok is false where the line has fewer steps than characters.
func (e emission) decode(grammar []mrz.Set) (d decoded, ok bool) {
	const (
		symbols = mrz.Symbols
		stay    = int8(-1)
		blank   = int8(0) // else 1 + character
	)
	steps, n := len(e), len(grammar)
	if steps < n {
		return d, false
	}
	type row [symbols]float64
	chars, next := make([]row, n), make([]row, n)
	blanks := make([]float64, n)
	for k := range n {
		blanks[k] = impossible
		for c := range symbols {
			chars[k][c] = impossible
		}
	}
	fromChar := make([][symbols]int8, steps*n) // how (t, k, c) was reached
	fromBlank := make([]int8, steps*n)         // how the blank of (t, k) was reached: 0 from itself
	top := make([]int, n)
	start := 0.0
	logs := make(map[mrz.Set]*[symbols]float64) // of the step's characters, by set
	for _, set := range grammar {
		logs[set] = new([symbols]float64)
	}
	for t := range steps {
		for set, lp := range logs {
			for c, p := range under(set, &e[t]) {
				lp[c] = math.Log(max(float64(p), probabilityFloor))
			}
		}
		blankLog := math.Log(max(float64(e[t][0]), probabilityFloor))
		for k := range n {
			top[k] = 0
			for c := 1; c < symbols; c++ {
				if chars[k][c] > chars[k][top[k]] {
					top[k] = c
				}
			}
		}
		for k := range n {
			enter, prevTop, prevBest, second, secondAt := start, -1, 0.0, 0.0, 0
			if k > 0 {
				enter = blanks[k-1]
				prevTop = top[k-1]
				prevBest = chars[k-1][prevTop]
				second = impossible
				for c, v := range chars[k-1] {
					if c != prevTop && v > second {
						second, secondAt = v, c
					}
				}
			}
			lp := logs[grammar[k]]
			for c := range symbols {
				if !grammar[k].Has(c) {
					next[k][c] = impossible
					continue
				}
				best, from := enter, blank
				if k > 0 {
					v, at := prevBest, prevTop
					if c == prevTop {
						if v = prevBest + repeatPenalty; second > v {
							v, at = second, secondAt
						}
					}
					if v > best {
						best, from = v, int8(1+at)
					}
				}
				if chars[k][c] >= best {
					best, from = chars[k][c], stay
				}
				next[k][c] = best + lp[c]
				fromChar[t*n+k][c] = from
			}
		}
		for k := range n {
			if v := chars[k][top[k]]; v > blanks[k] {
				blanks[k] = v
				fromBlank[t*n+k] = int8(1 + top[k])
			}
			blanks[k] += blankLog
		}
		start += blankLog
		chars, next = next, chars
	}
	return e.trace(grammar, chars[n-1][:], blanks[n-1], fromChar, fromBlank)
}

// trace walks the best path back and gathers what each position saw.
func (e emission) trace(grammar []mrz.Set, last []float64, lastBlank float64, fromChar [][mrz.Symbols]int8, fromBlank []int8) (d decoded, ok bool) {
	n := len(grammar)
	best := 0
	for c, v := range last {
		if v > last[best] {
			best = c
		}
	}
	d.score = last[best]
	current := best // -1 in a blank
	if lastBlank > d.score {
		d.score, current = lastBlank, -1
	}
	text := make([]byte, n)
	d.alternatives = make([]mrz.Probabilities, n)
	k := n - 1
	for t := len(e) - 1; t >= 0 && k >= 0; t-- {
		if current < 0 {
			if from := fromBlank[t*n+k]; from > 0 {
				current = int(from) - 1
			}
			continue
		}
		text[k] = mrz.Alphabet[current]
		for i, p := range under(grammar[k], &e[t]) {
			d.alternatives[k][i] = max(d.alternatives[k][i], p)
		}
		if from := fromChar[t*n+k][current]; from != -1 {
			k--
			current = int(from) - 1
		}
	}
	d.text = string(text)
	return d, k < 0 && d.score > impossible/2
}

// free is the log probability of the best path without a grammar, in nats.
func (e emission) free() float64 {
	sum := 0.0
	for t := range e {
		best := float32(0)
		for _, p := range e[t] {
			best = max(best, p)
		}
		sum += math.Log(max(float64(best), probabilityFloor))
	}
	return sum
}
