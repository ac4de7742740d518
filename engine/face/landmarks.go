package face

import (
	"context"
	"fmt"
	"math"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// maxRoll is the eye line's angle beyond which landmarks are found again on the
// picture turned upright (research "faces": at 45° the 5th percentile of the
// cosine to the upright template rises from .30 to .96).
const maxRoll = 10 * math.Pi / 180

// locate finds the landmarks of a box, in v.small's pixels.
func (a *Analyser) locate(ctx context.Context, v *view, b scored) (Face, error) {
	f := Face{Score: b.score, turn: v.turn}
	full := scored{b.x1 * v.scale, b.y1 * v.scale, b.x2 * v.scale, b.y2 * v.scale, b.score}
	f.box = Box{full.x1, full.y1, full.x2 - full.x1, full.y2 - full.y1}
	var err error
	if f.points, err = a.points(ctx, v, full, picture.Identity()); err != nil {
		return f, err
	}
	f.five = fivePoints(&f.points)
	if angle := f.roll(); math.Abs(angle) > maxRoll {
		if err := a.straighten(ctx, v, &f, b, angle); err != nil {
			return f, err
		}
	}
	a.place(v, &f)
	return f, nil
}

// roll is the angle of the eye line, clockwise as seen.
func (f *Face) roll() float64 {
	return math.Atan2(f.five[1][1]-f.five[0][1], f.five[1][0]-f.five[0][0])
}

// straighten detects and locates again with the picture turned about the box's
// centre; it keeps the first points where the detector then sees nothing.
func (a *Analyser) straighten(ctx context.Context, v *view, f *Face, b scored, angle float64) error {
	cx, cy := (b.x1+b.x2)/2, (b.y1+b.y2)/2
	boxes, err := a.scan(ctx, v, picture.Rotation(angle, cx, cy), v.small.Width, v.small.Height)
	if err != nil {
		return err
	}
	for _, r := range boxes { // the best first
		if r.x1 < cx && cx < r.x2 && r.y1 < cy && cy < r.y2 {
			turned := picture.Rotation(angle, cx*v.scale, cy*v.scale)
			if f.points, err = a.points(ctx, v, scored{r.x1 * v.scale, r.y1 * v.scale, r.x2 * v.scale, r.y2 * v.scale, r.score}, turned); err != nil {
				return err
			}
			f.five = fivePoints(&f.points)
			return nil
		}
	}
	return nil
}

// points runs the 68-point network on a box of a turned picture; m maps that
// picture's pixels to v.full's.
func (a *Analyser) points(ctx context.Context, v *view, b scored, m picture.Transform) ([68]Point, error) {
	var pts [68]Point
	t := a.landmarks.Target
	w, h := b.x2-b.x1, b.y2-b.y1
	crop := picture.Crop(b.x1, b.y1, w, h, t.Width, t.Height).Then(m)
	err := a.landmarks.Feed(ctx, t, 1, func(_ int, dst []float32) { v.full.Warp(dst, &t, crop, picture.Black) }, func(out []onnx.Output) error {
		if len(out[0].Data) != 2*len(pts) {
			return fmt.Errorf("%s: %w: %d values", a.landmarks.Model.Name, ErrUnsuitable, len(out[0].Data))
		}
		for i := range pts {
			x, y := m.Apply(b.x1+w*float64(out[0].Data[2*i]), b.y1+h*float64(out[0].Data[2*i+1]))
			pts[i] = Point{x, y}
		}
		return nil
	})
	return pts, err
}

// fivePoints: the eyes from their lid points, the nose tip, the mouth corners
// as means of the outer and inner point (numbers of the 68-point scheme).
func fivePoints(p *[68]Point) [5]Point {
	mean := func(ids ...int) Point {
		var m Point
		for _, i := range ids {
			m[0] += p[i][0] / float64(len(ids))
			m[1] += p[i][1] / float64(len(ids))
		}
		return m
	}
	return [5]Point{mean(37, 38, 40, 41), mean(43, 44, 46, 47), p[30], mean(48, 60), mean(54, 64)}
}

// place writes what callers see, in the original's pixels.
func (a *Analyser) place(v *view, f *Face) {
	for i, p := range f.five {
		f.Landmarks[i] = v.toOriginal(p)
	}
	p, q := v.toOriginal(Point{f.box.X, f.box.Y}), v.toOriginal(Point{f.box.X + f.box.W, f.box.Y + f.box.H})
	x, y := min(p[0], q[0]), min(p[1], q[1])
	f.Box = Box{x, y, max(p[0], q[0]) - x, max(p[1], q[1]) - y}
}
