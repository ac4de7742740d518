package document

import (
	"context"
	"fmt"
	"math"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// Constants of the text detector's post-processing (Differentiable
// Binarization, Liao 2020; values of PP-OCR, research "documents", 3.3).
const (
	textPixel    = 0.3  // probability from which a pixel is text
	textBox      = 0.5  // mean probability from which a box is text
	textUnclip   = 1.6  // the network marks shrunken lines; this grows them back
	textMinShort = 3    // pixels of the network's picture, before growing
	textMinGrown = 5    // and after
	maxTextBoxes = 1000 // a picture of noise must not cost without end
)

// detectText finds lines of text with the picture's long side scaled to side.
func (r *Reader) detectText(ctx context.Context, p *picture.Picture, side int) ([]box, error) {
	k := float64(side) / float64(max(p.Width, p.Height))
	t := r.detector.Target
	t.Width, t.Height = blocks(float64(p.Width)*k), blocks(float64(p.Height)*k)
	var found []box
	err := r.detector.Feed(ctx, t, 1, func(_ int, dst []float32) {
		p.Warp(dst, &t, picture.Crop(0, 0, float64(p.Width), float64(p.Height), t.Width, t.Height), picture.Replicate)
	}, func(out []onnx.Output) error {
		if len(out[0].Data) != t.Width*t.Height {
			return fmt.Errorf("%s: %w: %d values for %d×%d pixels", r.detector.Model.Name, ErrUnsuitable, len(out[0].Data), t.Width, t.Height)
		}
		found = textBoxes(out[0].Data, t.Width, t.Height)
		return nil
	})
	sx, sy := float64(p.Width)/float64(t.Width), float64(p.Height)/float64(t.Height)
	for i, b := range found {
		found[i] = b.mapped(func(q vec) vec { return q.scale(sx, sy) })
	}
	return found, err
}

// blocks rounds to the network's multiple of 32.
func blocks(v float64) int { return max(32, int(math.Round(v/32))*32) }

func textBoxes(probability []float32, w, h int) []box {
	mask := make([]bool, len(probability))
	for i, v := range probability {
		mask[i] = v > textPixel
	}
	var found []box
	for _, c := range components(mask, w, h) {
		b := minimumBox(c.ends)
		if b.short < textMinShort {
			continue
		}
		if b.score = meanInside(probability, w, h, b); b.score < textBox {
			continue
		}
		d := b.long * b.short * textUnclip / (2 * (b.long + b.short))
		b.long, b.short = b.long+2*d, b.short+2*d
		if b.short < textMinGrown {
			continue
		}
		if found = append(found, b); len(found) == maxTextBoxes {
			break
		}
	}
	return found
}

func meanInside(probability []float32, w, h int, b box) float64 {
	x0, y0, x1, y1 := b.bounds(w, h)
	v := b.v()
	sum, n := 0.0, 0
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			d := vec{float64(x), float64(y)}.sub(b.c)
			if math.Abs(d.dot(b.u)) <= b.long/2+0.5 && math.Abs(d.dot(v)) <= b.short/2+0.5 {
				sum += float64(probability[y*w+x])
				n++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
