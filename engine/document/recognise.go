package document

import (
	"context"
	"fmt"
	"math"
	"strings"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

const (
	lineHeight = 48   // pixels that the recogniser takes
	minWidth   = 16   // least width it can take
	widthStep  = 8    // pixels for one step of its output: widths repeat, and stretch by 1 % at most
	maxWidth   = 4096 // bounds one run: 85 heights, twice the longest line
)

// lookAlikes are characters of the recogniser's alphabet that stand for the
// filler, which it was not trained on.
const lookAlikes = "＜〈《«‹く≤≪ㄑ"

// alphabet maps the recogniser's classes.
type alphabet struct {
	classes []string // class 0 is the CTC blank
	// columns[0] is the blank's class, columns[1+i] those of mrz.Alphabet[i].
	columns [1 + mrz.Symbols][]int
}

// newAlphabet reads the network's own dictionary: one entry a line, never
// trimmed, after the blank and before a last class for the space.
func newAlphabet(metadata string) (*alphabet, error) {
	a := &alphabet{classes: append([]string{""}, strings.Split(metadata, "\n")...)}
	a.classes = append(a.classes, " ")
	a.columns[0] = []int{0}
	for class, text := range a.classes {
		if text == "" || class == 0 {
			continue
		}
		if len(text) == 1 {
			if i := mrz.Index(text[0]); i >= 0 {
				a.columns[1+i] = append(a.columns[1+i], class)
			}
			continue
		}
		if strings.Contains(lookAlikes, text) {
			a.columns[mrz.Symbols] = append(a.columns[mrz.Symbols], class)
		}
	}
	for i, c := range a.columns[1:] {
		if len(c) == 0 {
			return nil, fmt.Errorf("%w: the text recogniser cannot read %q", ErrUnsuitable, mrz.Alphabet[i])
		}
	}
	return a, nil
}

// emission is the recogniser's output over time, reduced to blank and the 37
// characters of an MRZ.
type emission [][1 + mrz.Symbols]float32

// crop says how a box is cut out: turned by half, grown in height (share of
// it), stretched in width.
type crop struct {
	flipped bool
	grow    float64
	stretch float64
}

// target is the tensor and transform for a box.
func (r *Reader) lineCrop(b box, c crop) (picture.Target, picture.Transform) {
	u := b.u
	if c.flipped {
		u = u.times(-1)
	}
	v := u.normal()
	long, short := max(b.long, 1), max(b.short*(1+c.grow), 1)
	t := r.recogniser.Target
	t.Height = lineHeight
	t.Width = max(minWidth, min(maxWidth, widthStep*int(math.Ceil(lineHeight*long/short*c.stretch/widthStep))))
	du, dv := u.times(long/float64(t.Width)), v.times(short/float64(t.Height))
	origin := b.c.sub(u.times(long / 2)).sub(v.times(short / 2)).add(du.add(dv).times(0.5)).sub(vec{0.5, 0.5})
	return t, picture.Affine(du.x, dv.x, origin.x, du.y, dv.y, origin.y)
}

// recognise runs the recogniser on a box; use sees the probabilities of all
// classes, steps × classes, until it returns.
func (r *Reader) recognise(ctx context.Context, p *picture.Picture, b box, c crop, use func(a *alphabet, steps int, probability []float32) error) error {
	a, err := r.alphabet()
	if err != nil {
		return err
	}
	t, m := r.lineCrop(b, c)
	return r.recogniser.Feed(ctx, t, 1, func(_ int, dst []float32) { p.Warp(dst, &t, m, picture.Replicate) }, func(out []onnx.Output) error {
		n := len(a.classes)
		s := out[0].Shape
		if len(s) != 3 || s[2] != int64(n) || len(out[0].Data) != int(s[1])*n {
			return fmt.Errorf("%s: %w: output %v, dictionary of %d", r.recogniser.Model.Name, ErrUnsuitable, s, n)
		}
		return use(a, int(s[1]), out[0].Data)
	})
}

// emissions reads a box for the MRZ's characters alone.
func (r *Reader) emissions(ctx context.Context, p *picture.Picture, b box, c crop) (emission, error) {
	var e emission
	err := r.recognise(ctx, p, b, c, func(a *alphabet, steps int, probability []float32) error {
		e = make(emission, steps)
		for t := range e {
			row := probability[t*len(a.classes):][:len(a.classes)]
			for i, classes := range a.columns {
				for _, class := range classes {
					e[t][i] += row[class]
				}
			}
		}
		return nil
	})
	return e, err
}

// greedy takes the best class at each step: the text and the mean probability
// of its characters.
func (e emission) greedy() (string, float64) {
	var text []byte
	sum, last := 0.0, 0
	for t := range e {
		best := 0
		for i, p := range e[t] {
			if p > e[t][best] {
				best = i
			}
		}
		if best != last && best != 0 {
			text = append(text, mrz.Alphabet[best-1])
			sum += float64(e[t][best])
		}
		last = best
	}
	if len(text) == 0 {
		return "", 0
	}
	return string(text), sum / float64(len(text))
}

// readText reads a box with the whole alphabet, greedily: the text and the mean
// probability of its characters.
func (r *Reader) readText(ctx context.Context, p *picture.Picture, b box, c crop) (text string, score float64, err error) {
	err = r.recognise(ctx, p, b, c, func(a *alphabet, steps int, probability []float32) error {
		var out strings.Builder
		last, n := 0, 0
		for t := range steps {
			row := probability[t*len(a.classes):][:len(a.classes)]
			best := 0
			for i, v := range row {
				if v > row[best] {
					best = i
				}
			}
			if best != last && best != 0 {
				out.WriteString(a.classes[best])
				score += float64(row[best])
				n++
			}
			last = best
		}
		if text = strings.TrimSpace(out.String()); n > 0 {
			score /= float64(n)
		}
		return nil
	})
	return text, score, err
}
