package document

import (
	"context"
	"math"

	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

// Line is one line of a zone read by itself.
type Line struct {
	Format  mrz.Format
	Line    int // of the format, from 0
	Text    string
	Greedy  string // without grammar and repair
	Repairs []mrz.Repair
}

// ReadLine reads a picture that shows nothing but one line of a zone, as the
// line of whichever format fits best. ok is false where none fits.
func (r *Reader) ReadLine(ctx context.Context, p *picture.Picture) (line Line, ok bool, err error) {
	whole := box{c: vec{float64(p.Width) / 2, float64(p.Height) / 2}, u: vec{1, 0}, long: float64(p.Width), short: float64(p.Height)}
	e, err := r.emissions(ctx, p, whole, crop{stretch: 1})
	if err != nil {
		return line, false, err
	}
	greedy, _ := e.greedy()
	line.Greedy = greedy
	best := math.Inf(-1)
	for _, f := range mrz.Formats() {
		n := f.Length()
		if !nearLength(greedy, n) {
			continue
		}
		for i := range f.Lines() {
			d, fits := e.decode(f.Grammar(i))
			if !fits {
				continue
			}
			score := d.score / float64(n)
			text, repairs := mrz.MendLine(f, i, d.text, d.alternatives)
			if score > best {
				best, ok = score, true
				line.Format, line.Line, line.Text, line.Repairs = f, i, text, repairs
			}
		}
	}
	return line, ok, nil
}
