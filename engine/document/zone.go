package document

import (
	"context"
	"math"
	"slices"
	"strings"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

// Constants of the search for the zone (research "documents", 3.4 to 3.6).
const (
	// maxRecognitions caps the work on one picture, about 2 s of a core: a hit
	// takes 3 to 6 runs, a page of dense text would take hundreds. With a valid
	// reading in hand half of it must do.
	maxRecognitions = 24

	detectSide, detectSideLarge = 736, 1088 // long side shown to the text detector

	minGreedy      = 24   // characters of the longest line; fewer is no zone
	minConfidence  = 0.35 // of that line
	enoughToOrient = 0.75 // confidence × min(length, 15)/15 that settles up and down
	agreeScore     = -0.02
	lengthSlack    = 0.2 // of a format's length, for the greedy reading
	lengthSlackMin = 4
)

// variants of the crop, tried until one is trusted.
var variants = []crop{{stretch: 1}, {stretch: 1, grow: 0.12}, {stretch: 1.25}}

// candidate is a reading with its rank.
type candidate struct {
	mrz.Reading
	rank         float64
	lines        []box
	flipped      bool // the lines run against their boxes' u
	alternatives [][]mrz.Probabilities
}

// combine joins two readings of the same lines from different crops: at each
// position the character that both together hold likeliest. nil where they are
// not readings of one format.
func combine(a, b *candidate) *candidate {
	if a == nil || a.Format != b.Format || a.lines[0] != b.lines[0] {
		return nil
	}
	raw := make([]string, len(a.alternatives))
	joint := make([][]mrz.Probabilities, len(a.alternatives))
	for i := range joint {
		grammar := a.Format.Grammar(i)
		text := make([]byte, len(grammar))
		joint[i] = make([]mrz.Probabilities, len(grammar))
		for k := range grammar {
			best := -1
			for c := range mrz.Symbols {
				joint[i][k][c] = (a.alternatives[i][k][c] + b.alternatives[i][k][c]) / 2
				if grammar[k].Has(c) && (best < 0 || joint[i][k][c] > joint[i][k][best]) {
					best = c
				}
			}
			text[k] = mrz.Alphabet[best]
		}
		raw[i] = string(text)
	}
	c := newCandidate(a.Format, raw, joint, (a.Score+b.Score)/2)
	c.lines, c.flipped = a.lines, a.flipped
	return c
}

// right is the direction in which the zone is read.
func (c *candidate) right() vec {
	if c.flipped {
		return c.lines[0].u.times(-1)
	}
	return c.lines[0].u
}

// search is the state of looking for the zone in one picture.
type search struct {
	r      *Reader
	p      *picture.Picture
	best   *candidate
	seen   map[string]int
	runs   int
	cached map[lineKey]emission
}

// lineKey names a crop of a box, to a tenth of a pixel.
type lineKey struct {
	x, y, long, short float64
	crop              crop
}

func (b box) key(c crop) lineKey {
	tenth := func(v float64) float64 { return math.Round(10 * v) }
	return lineKey{tenth(b.c.x), tenth(b.c.y), tenth(b.long), tenth(b.short), c}
}

// findZone looks for a machine-readable zone, cheapest way first, and stops at
// the first trusted reading; nil where there is none.
func (r *Reader) findZone(ctx context.Context, p *picture.Picture) (*candidate, error) {
	s := &search{r: r, p: p, seen: map[string]int{}}
	for i, find := range []func() ([]box, error){
		func() ([]box, error) { return bands(p, 0), nil },
		func() ([]box, error) { return bands(p, 1), nil },
		func() ([]box, error) { return r.detectText(ctx, p, detectSide) },
		func() ([]box, error) { return r.detectText(ctx, p, detectSideLarge) },
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// Where the bands gave a valid zone the detector would give the same
		// lines again; what is in doubt then is the reading.
		if i >= 2 && s.best != nil && s.best.Valid {
			break
		}
		boxes, err := find()
		if err != nil {
			return nil, err
		}
		s.cached = map[lineKey]emission{}
		for _, stack := range stacks(chain(boxes)) {
			done, err := s.stack(ctx, stack)
			if err != nil || done {
				return s.best, err
			}
			if s.runs >= maxRecognitions || s.best != nil && s.best.Valid && 2*s.runs >= maxRecognitions {
				return s.best, nil
			}
		}
	}
	return s.best, nil
}

// stack tries the crops of one stack; done ends the whole search.
func (s *search) stack(ctx context.Context, lines []box) (done bool, err error) {
	flipped, err := s.upsideDown(ctx, lines)
	if err != nil {
		return false, err
	}
	var joint *candidate
	for i, c := range variants {
		c.flipped = flipped
		found, err := s.read(ctx, lines, c)
		if err != nil {
			return false, err
		}
		if found == nil {
			if i == 0 {
				return false, nil // not a zone at all
			}
			continue
		}
		if both := combine(joint, found); both != nil {
			joint = both
			s.offer(joint)
		} else {
			joint = found
		}
		s.offer(found)
		if s.best.Trusted && s.best.CheckDigitRepairs() == 0 {
			return true, nil
		}
		// Twice the same clear text: that is what is printed, whatever its
		// check digits say.
		if found.Score > agreeScore && found.ValidShare() > 0 {
			key := strings.Join(found.Lines, "\n")
			if s.seen[key]++; s.seen[key] >= 2 && slices.Equal(found.Lines, s.best.Lines) {
				return true, nil
			}
		}
	}
	return s.best != nil && s.best.Trusted, nil
}

func (s *search) offer(c *candidate) {
	if s.best == nil || c.rank > s.best.rank {
		s.best = c
	}
}

func longest(lines []box) box {
	best := lines[0]
	for _, l := range lines[1:] {
		if best.snapped && !l.snapped || best.snapped == l.snapped && l.long > best.long {
			best = l
		}
	}
	return best
}

// upsideDown reads the first third of the longest line, and where that is poor
// also what it is when turned.
func (s *search) upsideDown(ctx context.Context, lines []box) (bool, error) {
	const part = 0.34
	l := longest(lines)
	var quality [2]float64
	for i, sign := range []float64{-1, 1} {
		b := l
		b.c = l.c.add(l.u.times(sign * l.long * (1 - part) / 2))
		b.long *= part
		e, err := s.emissions(ctx, b, crop{flipped: i == 1, stretch: 1})
		if err != nil {
			return false, err
		}
		text, confidence := e.greedy()
		quality[i] = confidence * min(float64(len(text)), 15) / 15
		if i == 0 && quality[0] > enoughToOrient {
			return false, nil
		}
	}
	return quality[1] > quality[0], nil
}

// read reads a stack with one crop: the best of its runs of three or two lines
// under all formats; nil where it does not look like a zone.
func (s *search) read(ctx context.Context, lines []box, c crop) (*candidate, error) {
	if c.flipped {
		lines = slices.Clone(lines)
		slices.Reverse(lines)
	}
	lines = lines[max(0, len(lines)-5):]
	e, err := s.emissions(ctx, longest(lines), c)
	if err != nil {
		return nil, err
	}
	if text, confidence := e.greedy(); len(text) < minGreedy || confidence < minConfidence {
		return nil, nil
	}
	es := make([]emission, len(lines))
	for i, l := range lines {
		if es[i], err = s.emissions(ctx, l, c); err != nil {
			return nil, err
		}
	}
	var best *candidate
	for _, n := range []int{3, 2} {
		for i := 0; i+n <= len(es); i++ {
			for _, f := range mrz.Formats() {
				if f.Lines() != n {
					continue
				}
				if found := judge(f, es[i:i+n]); found != nil && (best == nil || found.rank > best.rank) {
					found.lines, found.flipped = lines[i:i+n], c.flipped
					best = found
				}
			}
		}
	}
	return best, nil
}

// judge reads consecutive lines as one format; nil where they cannot be it.
func judge(f mrz.Format, es []emission) *candidate {
	n := f.Length()
	for _, e := range es {
		if text, _ := e.greedy(); !nearLength(text, n) {
			return nil
		}
	}
	raw := make([]string, len(es))
	alternatives := make([][]mrz.Probabilities, len(es))
	score := 0.0
	for i, e := range es {
		d, ok := e.decode(f.Grammar(i))
		if !ok {
			return nil
		}
		raw[i], alternatives[i] = d.text, d.alternatives
		score += d.score - e.free()
	}
	score /= float64(n * len(es))
	return newCandidate(f, raw, alternatives, score)
}

// nearLength says whether a greedy reading may be a line of n characters.
func nearLength(greedy string, n int) bool {
	return math.Abs(float64(len(greedy)-n)) <= max(lengthSlackMin, lengthSlack*float64(n))
}

func newCandidate(f mrz.Format, raw []string, alternatives [][]mrz.Probabilities, score float64) *candidate {
	c := &candidate{Reading: mrz.Judge(f, raw, alternatives, score), alternatives: alternatives}
	total := score * float64(f.Length()*f.Lines())
	c.rank = 3*c.ValidShare() + 0.3*float64(c.Plausible) + max(-3, 0.12*total) -
		0.25*float64(c.CheckDigitRepairs()) + 0.5*c.Confidence
	if c.Checks[mrz.CheckComposite] {
		c.rank += 0.2
	}
	return c
}

// emissions remembers what was read: stacks share lines.
func (s *search) emissions(ctx context.Context, b box, c crop) (emission, error) {
	key := b.key(c)
	if e, ok := s.cached[key]; ok {
		return e, nil
	}
	s.runs++
	e, err := s.r.emissions(ctx, s.p, b, c)
	if err == nil {
		s.cached[key] = e
	}
	return e, err
}
