package document

import (
	"context"
	"math"
	"sort"

	"gatehouse/engine/picture"
)

const (
	// textSide is the long side shown to the detector for the printed text:
	// small print needs more than a zone.
	textSide = 960
	// minTextScore drops what is more likely pattern than print.
	minTextScore = 0.5
	// sideways is the cosine to the page's direction below which a line may
	// run either way.
	sideways = 0.5
)

// readAll reads every line of text, from the top of a page that is read in the
// direction right.
func (r *Reader) readAll(ctx context.Context, p *picture.Picture, right vec) ([]Text, error) {
	boxes, err := r.detectText(ctx, p, textSide)
	if err != nil {
		return nil, err
	}
	sort.SliceStable(boxes, func(i, j int) bool { return boxes[i].c.dot(right.normal()) < boxes[j].c.dot(right.normal()) })
	out := []Text{}
	for _, b := range boxes {
		text, score, err := r.readText(ctx, p, b, crop{flipped: b.u.dot(right) < -sideways, stretch: 1})
		if err != nil {
			return nil, err
		}
		if text == "" || score < minTextScore {
			continue
		}
		out = append(out, Text{Text: text, Score: math.Round(1000*score) / 1000, Box: b.outline(p.Reduction())})
	}
	return out, nil
}

// outline is the upright rectangle around a box: x, y, w, h in the original's
// pixels.
func (b box) outline(reduction float64) [4]float64 {
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, c := range b.corners() {
		minX, minY, maxX, maxY = min(minX, c.x), min(minY, c.y), max(maxX, c.x), max(maxY, c.y)
	}
	round := func(v float64) float64 { return math.Round(10*v*reduction) / 10 }
	return [4]float64{round(minX), round(minY), round(maxX - minX), round(maxY - minY)}
}
