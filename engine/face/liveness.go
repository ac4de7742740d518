package face

import (
	"context"
	"fmt"
	"math"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// Verdict of presentation attack detection.
type Verdict string

const (
	Live          Verdict = "live"
	Attack        Verdict = "attack"
	Unsure        Verdict = "unsure"         // take another picture
	NotAssessable Verdict = "not_assessable" // too little around the face; never a pass
)

// Liveness is what one frame says of presentation attacks. It is a signal of
// one small network, never proof.
type Liveness struct {
	Live    float64 `json:"live"` // probabilities, 0..1; together 1
	Spoof2D float64 `json:"spoof_2d"`
	Spoof3D float64 `json:"spoof_3d"`
	// ContextRatio is the picture's size over the face box's, along the side
	// where there is less of it.
	ContextRatio float64 `json:"context_ratio"`
	Verdict      Verdict `json:"verdict"`
	Threshold    float64 `json:"threshold"`
}

// surroundings is the side of the network's crop, in face boxes (MiniFASNet
// 2.7 crops).
const surroundings = 2.7

// Liveness judges one face.
func (a *Analyser) Liveness(ctx context.Context, p *picture.Picture, f *Face) (Liveness, error) {
	cal := &a.calibration.Liveness
	l := Liveness{Threshold: cal.Live, Verdict: NotAssessable}
	p = p.Turn(f.turn)
	w, h := float64(p.Width), float64(p.Height)
	if f.box.W <= 0 || f.box.H <= 0 {
		return l, nil
	}
	l.ContextRatio = min((h-1)/f.box.H, (w-1)/f.box.W)
	s := min(l.ContextRatio, surroundings)
	x, y, cw, ch := inside(f.box.X+f.box.W/2, f.box.Y+f.box.H/2, f.box.W*s, f.box.H*s, w, h)
	t := a.liveness.Target
	crop := picture.Crop(x, y, cw, ch, t.Width, t.Height)
	mirror := picture.Affine(-1, 0, float64(t.Width-1), 0, 1, 0).Then(crop)
	for _, m := range []picture.Transform{crop, mirror} {
		err := a.liveness.Feed(ctx, t, 1, func(_ int, dst []float32) { p.Warp(dst, &t, m, picture.Replicate|picture.Point) }, func(out []onnx.Output) error {
			if len(out[0].Data) != 3 {
				return fmt.Errorf("%s: %w: %d classes", a.liveness.Model.Name, ErrUnsuitable, len(out[0].Data))
			}
			c := softmax(out[0].Data)
			l.Live, l.Spoof2D, l.Spoof3D = l.Live+c[0]/2, l.Spoof2D+c[1]/2, l.Spoof3D+c[2]/2
			return nil
		})
		if err != nil {
			return Liveness{}, err
		}
	}
	if l.ContextRatio >= cal.MinContext {
		l.Verdict = a.verdict(l.Live)
	}
	return l, nil
}

func (a *Analyser) verdict(live float64) Verdict {
	switch cal := &a.calibration.Liveness; {
	case live >= cal.Live:
		return Live
	case live < cal.Attack:
		return Attack
	}
	return Unsure
}

// Fuse joins the frames of one capture: the means of the assessable ones, or
// not assessable where none is. Good frames do not outvote an attack: with one
// among them the verdict is unsure at best.
func (a *Analyser) Fuse(frames []Liveness) Liveness {
	if len(frames) == 1 {
		return frames[0]
	}
	out := Liveness{Verdict: NotAssessable, Threshold: a.calibration.Liveness.Live}
	n, attacked := 0.0, false
	for _, f := range frames {
		if f.Verdict == NotAssessable {
			out.ContextRatio = max(out.ContextRatio, f.ContextRatio)
			continue
		}
		n++
		attacked = attacked || f.Verdict == Attack
		out.Live, out.Spoof2D, out.Spoof3D = out.Live+f.Live, out.Spoof2D+f.Spoof2D, out.Spoof3D+f.Spoof3D
		out.ContextRatio = max(out.ContextRatio, f.ContextRatio)
	}
	if n > 0 {
		out.Live, out.Spoof2D, out.Spoof3D = out.Live/n, out.Spoof2D/n, out.Spoof3D/n
		if out.Verdict = a.verdict(out.Live); attacked && out.Verdict == Live {
			out.Verdict = Unsure
		}
	}
	return out
}

// inside shifts a rectangle about cx, cy into the picture and cuts it to whole
// pixels.
func inside(cx, cy, w, h, width, height float64) (x, y, cw, ch float64) {
	l, t, r, b := cx-w/2, cy-h/2, cx+w/2, cy+h/2
	if l < 0 {
		l, r = 0, r-l
	}
	if t < 0 {
		t, b = 0, b-t
	}
	if r > width-1 {
		l, r = l-(r-width+1), width-1
	}
	if b > height-1 {
		t, b = t-(b-height+1), height-1
	}
	l, t, r, b = math.Trunc(max(l, 0)), math.Trunc(max(t, 0)), math.Trunc(r), math.Trunc(b)
	return l, t, r - l + 1, b - t + 1
}

func softmax(v []float32) []float64 {
	top := float64(v[0])
	for _, x := range v {
		top = max(top, float64(x))
	}
	out, sum := make([]float64, len(v)), 0.0
	for i, x := range v {
		out[i] = math.Exp(float64(x) - top)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}
