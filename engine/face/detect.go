package face

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// Point is a place in a picture, in pixels of the original; [x, y] in JSON.
type Point [2]float64

// Box is a rectangle in pixels of the original; [x, y, w, h] in JSON.
type Box struct{ X, Y, W, H float64 }

// MarshalJSON writes [x, y, w, h], to a hundredth of a pixel.
func (b Box) MarshalJSON() ([]byte, error) {
	return json.Marshal([4]float64{hundredth(b.X), hundredth(b.Y), hundredth(b.W), hundredth(b.H)})
}

// MarshalJSON writes [x, y], to a hundredth of a pixel.
func (p Point) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]float64{hundredth(p[0]), hundredth(p[1])})
}

func hundredth(v float64) float64 { return math.Round(100*v) / 100 }

// Face is one face of a picture.
type Face struct {
	Box   Box     `json:"box"`
	Score float64 `json:"score"` // the detector's, 0..1
	// Landmarks: the eye and the mouth corner on the picture's left, the nose
	// tip, and their right counterparts, as eye, eye, nose, corner, corner.
	Landmarks [5]Point `json:"landmarks"`

	// The face as it lies in the picture reduced and turned upright: that is
	// what the networks see.
	turn   int // clockwise quarters that make the face upright
	box    Box
	points [68]Point
	five   [5]Point
}

// EyeDistance is the distance between the pupils, in pixels of the original.
func (f *Face) EyeDistance() float64 {
	return math.Hypot(f.Landmarks[1][0]-f.Landmarks[0][0], f.Landmarks[1][1]-f.Landmarks[0][1])
}

// Constants of the detector (research "faces", section 2).
const (
	minScore   = 0.7
	maxOverlap = 0.3 // intersection over union
	canvas     = 127 // grey around the picture
	// overview is the long side of the picture that the detector is shown: it
	// looks at 320×240, so that more costs time and adds nothing.
	overview = 640
	// tile is the share of each side that one of four overlapping tiles
	// covers, when the whole shows no face.
	tile = 0.6
	// surelyUpright is the probability of open eyes from which a face stands
	// upright. The detector takes faces that lie or hang for faces too, with
	// scores to 1.0, but of 631 such only one had an eye that looked open.
	// Below it the four turns are compared by detector score times template
	// strength; another than the picture's own must be clearly stronger. Of
	// 754 LFW frames none is turned that should not be; of the same turned by
	// a quarter, a half and three quarters 26, 26 and 3 are not righted.
	surelyUpright   = 0.9
	clearlyStronger = 1.2
)

// Detect finds the faces, the largest first, in the picture as it is or, where
// that shows none or none that stands upright, turned by quarters; failing all
// in four overlapping tiles, for small faces.
func (a *Analyser) Detect(ctx context.Context, p *picture.Picture) ([]Face, error) {
	var best []Face
	var bestStrength float64
	for _, turn := range []int{0, 1, 3, 2} {
		v := newView(p, turn)
		boxes, err := a.scan(ctx, v, picture.Identity(), v.small.Width, v.small.Height)
		if err != nil {
			return nil, err
		}
		if len(boxes) == 0 {
			continue
		}
		faces, err := a.complete(ctx, v, boxes)
		if err != nil {
			return nil, err
		}
		upright, err := a.open(ctx, v.full, &faces[0])
		if err != nil {
			return nil, err
		}
		if upright >= surelyUpright && best == nil {
			return faces, nil
		}
		s, err := a.strength(ctx, p, &faces[0])
		if err != nil {
			return nil, err
		}
		if s *= faces[0].Score; best == nil || s > clearlyStronger*bestStrength {
			best, bestStrength = faces, s
		}
	}
	if best != nil {
		return best, nil
	}
	v := newView(p, 0)
	boxes, err := a.tiles(ctx, v)
	if err != nil {
		return nil, err
	}
	return a.complete(ctx, v, boxes)
}

// complete adds landmarks.
func (a *Analyser) complete(ctx context.Context, v *view, boxes []scored) ([]Face, error) {
	faces := make([]Face, 0, len(boxes))
	for _, b := range boxes {
		f, err := a.locate(ctx, v, b)
		if err != nil {
			return nil, err
		}
		faces = append(faces, f)
	}
	sort.SliceStable(faces, func(i, j int) bool { return faces[i].box.W*faces[i].box.H > faces[j].box.W*faces[j].box.H })
	return faces, nil
}

// view is a picture turned by quarters, with its reduction for the detector.
type view struct {
	original *picture.Picture
	turn     int
	full     *picture.Picture
	small    *picture.Picture
	scale    float64 // pixels of full in one of small
}

func newView(p *picture.Picture, turn int) *view {
	v := &view{original: p, turn: turn, full: p.Turn(turn), scale: 1}
	v.small = v.full
	if long := max(v.full.Width, v.full.Height); long > overview {
		v.scale = float64(long) / overview
		v.small = v.full.Resize(max(1, int(math.Round(float64(v.full.Width)/v.scale))), max(1, int(math.Round(float64(v.full.Height)/v.scale))))
	}
	return v
}

// toOriginal maps a point of v.full to the original's pixels.
func (v *view) toOriginal(p Point) Point {
	x, y := p[0], p[1]
	w, h := float64(v.full.Width), float64(v.full.Height)
	switch v.turn {
	case 1:
		x, y = y, w-x
	case 2:
		x, y = w-x, h-y
	case 3:
		x, y = h-y, x
	}
	k := v.original.Reduction()
	return Point{x * k, y * k}
}

type scored struct {
	x1, y1, x2, y2, score float64
}

func (s scored) area() float64 { return max(0, s.x2-s.x1) * max(0, s.y2-s.y1) }

func overlap(a, b scored) float64 {
	w := min(a.x2, b.x2) - max(a.x1, b.x1)
	h := min(a.y2, b.y2) - max(a.y1, b.y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.area() + b.area() - w*h)
}

// suppress keeps the best of overlapping boxes.
func suppress(boxes []scored) []scored {
	sort.SliceStable(boxes, func(i, j int) bool { return boxes[i].score > boxes[j].score })
	var kept []scored
next:
	for _, b := range boxes {
		for _, k := range kept {
			if overlap(b, k) > maxOverlap {
				continue next
			}
		}
		kept = append(kept, b)
	}
	return kept
}

// scan runs the detector on a width × height window of the small picture; m
// maps the window's pixels to the picture's. Boxes are in the window.
func (a *Analyser) scan(ctx context.Context, v *view, m picture.Transform, width, height int) ([]scored, error) {
	t := a.detector.Target
	k := min(float64(t.Width)/float64(width), float64(t.Height)/float64(height))
	inner := t
	inner.Width, inner.Height = max(1, int(math.Round(float64(width)*k))), max(1, int(math.Round(float64(height)*k)))
	ox, oy := (t.Width-inner.Width)/2, (t.Height-inner.Height)/2
	crop := picture.Crop(0, 0, float64(width), float64(height), inner.Width, inner.Height).Then(m)
	part := make([]float32, 3*inner.Width*inner.Height)
	v.small.Warp(part, &inner, crop, picture.Black)
	var boxes []scored
	err := a.detector.Feed(ctx, t, 1, func(_ int, dst []float32) { a.pad(dst, part, &inner, ox, oy) }, func(out []onnx.Output) error {
		scores, corners := out[0].Data, out[1].Data
		if len(scores) < 2 || len(corners) != 2*len(scores) {
			return fmt.Errorf("%s: %w: outputs of %d and %d values", a.detector.Model.Name, ErrUnsuitable, len(scores), len(corners))
		}
		sx, sy := float64(width)/float64(inner.Width), float64(height)/float64(inner.Height)
		for i := range len(scores) / 2 {
			if s := float64(scores[2*i+1]); s > minScore {
				c := corners[4*i : 4*i+4]
				boxes = append(boxes, scored{
					(float64(c[0])*float64(t.Width) - float64(ox)) * sx, (float64(c[1])*float64(t.Height) - float64(oy)) * sy,
					(float64(c[2])*float64(t.Width) - float64(ox)) * sx, (float64(c[3])*float64(t.Height) - float64(oy)) * sy, s,
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return suppress(boxes), nil
}

// pad centres the part on the detector's grey canvas.
func (a *Analyser) pad(dst, part []float32, inner *picture.Target, ox, oy int) {
	t := &a.detector.Target
	c := t.Channels()
	for ch := range c {
		grey := (canvas - t.Mean[ch]) / t.Std[ch]
		for i := range t.Width * t.Height {
			at := ch*t.Width*t.Height + i
			if t.Interleaved {
				at = i*c + ch
			}
			dst[at] = grey
		}
	}
	for y := range inner.Height {
		if t.Interleaved {
			copy(dst[c*((y+oy)*t.Width+ox):], part[c*y*inner.Width:][:c*inner.Width])
			continue
		}
		for ch := range c {
			copy(dst[ch*t.Width*t.Height+(y+oy)*t.Width+ox:], part[(ch*inner.Height+y)*inner.Width:][:inner.Width])
		}
	}
}

// tiles looks for small faces in four overlapping parts.
func (a *Analyser) tiles(ctx context.Context, v *view) ([]scored, error) {
	w, h := tile*float64(v.small.Width), tile*float64(v.small.Height)
	var all []scored
	for _, corner := range [][2]float64{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		x, y := math.Floor(corner[0]*(float64(v.small.Width)-w)), math.Floor(corner[1]*(float64(v.small.Height)-h))
		boxes, err := a.scan(ctx, v, picture.Affine(1, 0, x, 0, 1, y), max(1, int(w)), max(1, int(h)))
		if err != nil {
			return nil, err
		}
		for _, b := range boxes {
			all = append(all, scored{b.x1 + x, b.y1 + y, b.x2 + x, b.y2 + y, b.score})
		}
	}
	return suppress(all), nil
}
