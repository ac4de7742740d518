package face

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// alignedSize is the side of an aligned face (ArcFace).
const alignedSize = 112

// arcFace are the reference points of an aligned face (InsightFace's ArcFace
// alignment: eyes, nose, mouth corners).
var arcFace = [][2]float64{{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}}

// Template is a face as a unit vector, in the space of the models that made it.
type Template struct {
	Model  string    `json:"model"` // the pack's embedding id
	Vector []float32 `json:"embedding"`
	// Strength is the length of each recogniser's raw output. A short vector
	// is a poor face: in the weakest tenth of LFW pairs 7 % of genuine pairs
	// fail at FMR 1e-3, elsewhere 0.6 %.
	Strength []float32 `json:"strength"`
}

// Embed makes the template of a face.
func (a *Analyser) Embed(ctx context.Context, p *picture.Picture, f *Face) (Template, error) {
	aligned, err := f.align(p)
	if err != nil {
		return Template{}, err
	}
	return a.EmbedAligned(ctx, aligned)
}

// align warps the face onto the reference points.
func (f *Face) align(p *picture.Picture) (*picture.Picture, error) {
	k := p.Reduction()
	from := make([][2]float64, len(f.Landmarks))
	for i, l := range f.Landmarks {
		from[i] = [2]float64{l[0] / k, l[1] / k}
	}
	m, ok := picture.Similarity(from, arcFace)
	if ok {
		m, ok = m.Invert()
	}
	if !ok {
		return nil, ErrDegenerate
	}
	return p.Extract(alignedSize, alignedSize, m, picture.Black), nil
}

// Dimension of a template: the recognisers' together.
func (a *Analyser) Dimension() int {
	n := 0
	for _, r := range a.recognisers {
		n += r.Model.Dimensions
	}
	return n
}

// EmbedAligned makes a template from a face that is aligned already: the raw
// outputs for the face and its mirror image are added and brought to unit
// length; with several recognisers their vectors stand side by side, so that
// the dot product of two templates is the mean of the recognisers' cosines.
func (a *Analyser) EmbedAligned(ctx context.Context, aligned *picture.Picture) (Template, error) {
	if aligned.Width != alignedSize || aligned.Height != alignedSize {
		return Template{}, fmt.Errorf("%w: %d×%d", ErrNotAlignment, aligned.Width, aligned.Height)
	}
	t := Template{Model: a.calibration.Match.EmbeddingID}
	for _, r := range a.recognisers {
		v, strength, err := recognise(ctx, r, aligned)
		if err != nil {
			return Template{}, err
		}
		t.Vector = append(t.Vector, v...)
		t.Strength = append(t.Strength, strength)
	}
	scale := float32(1 / math.Sqrt(float64(len(a.recognisers))))
	for i := range t.Vector {
		t.Vector[i] *= scale
	}
	return t, nil
}

// recognise gives one recogniser's unit vector, and the length of its raw
// output for the face as it is.
func recognise(ctx context.Context, n *onnx.Network, aligned *picture.Picture) ([]float32, float32, error) {
	dim := n.Model.Dimensions
	sum := make([]float32, dim)
	var strength float32
	straight := picture.Identity()
	mirror := picture.Affine(-1, 0, alignedSize-1, 0, 1, 0)
	fill := func(m picture.Transform, dst []float32) { aligned.Warp(dst, &n.Target, m, picture.Replicate) }
	add := func(v []float32) error {
		if len(v) != dim {
			return fmt.Errorf("%s: %w: %d values, %d declared", n.Model.Name, ErrUnsuitable, len(v), dim)
		}
		if strength == 0 {
			strength = length(v)
		}
		for i, x := range v {
			sum[i] += x
		}
		return nil
	}
	var err error
	if n.Model.Input.Batch == 0 {
		err = n.Feed(ctx, n.Target, 2, func(i int, dst []float32) { fill([]picture.Transform{straight, mirror}[i], dst) }, func(out []onnx.Output) error {
			v := out[0].Data
			if len(v) != 2*dim {
				return fmt.Errorf("%s: %w: %d values for two faces, %d declared each", n.Model.Name, ErrUnsuitable, len(v), dim)
			}
			if err := add(v[:dim]); err != nil {
				return err
			}
			return add(v[dim:])
		})
	} else {
		for _, m := range []picture.Transform{straight, mirror} {
			if err = n.Feed(ctx, n.Target, 1, func(_ int, dst []float32) { fill(m, dst) }, func(out []onnx.Output) error { return add(out[0].Data) }); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, 0, err
	}
	l := length(sum)
	if !(l > 0) || math.IsInf(float64(l), 0) {
		return nil, 0, fmt.Errorf("%s: %w: its output has no direction", n.Model.Name, ErrUnsuitable)
	}
	for i := range sum {
		sum[i] /= l
	}
	return sum, strength, nil
}

// strength is the product of the recognisers' raw lengths: faces that are not
// upright have a small one. 0 for a face that cannot be aligned.
func (a *Analyser) strength(ctx context.Context, p *picture.Picture, f *Face) (float64, error) {
	aligned, err := f.align(p)
	if errors.Is(err, ErrDegenerate) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	product := 1.0
	for _, n := range a.recognisers {
		err = n.Feed(ctx, n.Target, 1, func(_ int, dst []float32) { aligned.Warp(dst, &n.Target, picture.Identity(), picture.Replicate) }, func(out []onnx.Output) error {
			product *= float64(length(out[0].Data))
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return product, nil
}

func length(v []float32) float32 {
	var s float64
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return float32(math.Sqrt(s))
}

// Comparison is the outcome of a 1:1 comparison.
type Comparison struct {
	Similarity float64 `json:"similarity"` // cosine, -1..1
	// FMR is the published false match rate of this similarity: how often two
	// different persons reach it, with the calibration's safety factor.
	FMR       float64 `json:"fmr"`
	Match     bool    `json:"match"`
	Review    bool    `json:"review"` // between the review and match thresholds
	Threshold float64 `json:"threshold"`
	// ThresholdFMR is the published FMR at the threshold.
	ThresholdFMR float64 `json:"threshold_fmr"`
	Model        string  `json:"model"`
}

// Compare compares two templates of this analyser's models.
func (a *Analyser) Compare(x, y Template) (Comparison, error) {
	m := &a.calibration.Match
	if x.Model != m.EmbeddingID || y.Model != m.EmbeddingID || len(x.Vector) != len(y.Vector) {
		return Comparison{}, fmt.Errorf("%w: %q and %q, this pack makes %q", ErrSpace, x.Model, y.Model, m.EmbeddingID)
	}
	var dot float64
	for i := range x.Vector {
		dot += float64(x.Vector[i]) * float64(y.Vector[i])
	}
	return Comparison{
		Similarity: dot, FMR: m.FalseMatchRate(dot), Match: dot >= m.Match, Review: dot >= m.Review && dot < m.Match,
		Threshold: m.Match, ThresholdFMR: m.FalseMatchRate(m.Match), Model: m.EmbeddingID,
	}, nil
}
