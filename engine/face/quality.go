package face

import (
	"context"
	"fmt"
	"math"

	"gatehouse/engine/onnx"
	"gatehouse/engine/picture"
)

// Measure is one quality of a capture, with whether it lies in its range.
type Measure struct {
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Passed bool    `json:"passed"`
}

// Quality are the measures of a face by the names of ISO/IEC 29794-5.
// Occlusion is absent: the pack has no model for it.
type Quality map[string]Measure

// Names and ranges of the measures.
const (
	InterEyeDistance  = "inter_eye_distance"      // pixels of the original
	HeadSize          = "head_size"               // face box over picture height
	PoseYaw           = "pose_yaw"                // degrees
	PosePitch         = "pose_pitch"              // degrees
	PoseRoll          = "pose_roll"               // degrees
	Sharpness         = "sharpness"               // variance of the Laplacian of the aligned face
	IlluminationRange = "illumination_uniformity" // shared part of the halves' histograms, 0..1
	UnderExposure     = "under_exposure"          // share of pixels below 25
	OverExposure      = "over_exposure"           // share of pixels above 247
	EyesOpen          = "eyes_open"               // probability for the less open eye

	// MinEyes is refused below, by the caller; passEyes is the range's start
	// (research "faces": at 18 px TAR at FMR 1e-3 falls from .995 to .983, at
	// 9 px to .838).
	MinEyes  = 16
	passEyes = 24
	// Our choice, not the standard's; pitch has more room because the pose
	// network reads it 5–15° low on frontal faces.
	maxYaw, maxPitch, maxRollDegrees = 25, 30, 25
	// Bounds that over 99 % of LFW's 7,701 aligned crops keep. Measured there,
	// least (most), 1st (99th) percentile, median: sharpness 11, 41, 185;
	// uniformity .13, .31, .69; under-exposure .50, .36, .04; over-exposure
	// .30, .11, 0. Head size and eyes are our choice.
	minSharpness, minUniformity, maxUnder, maxOver = 30, 0.25, 0.5, 0.3
	minHeadSize                                    = 0.1
	minEyesOpen                                    = 0.5
)

// QualityNames lists the measures, in the order to read them.
func QualityNames() []string {
	return []string{InterEyeDistance, HeadSize, PoseYaw, PosePitch, PoseRoll, Sharpness, IlluminationRange, UnderExposure, OverExposure, EyesOpen}
}

// Quality measures a face.
func (a *Analyser) Quality(ctx context.Context, p *picture.Picture, f *Face) (Quality, error) {
	aligned, err := f.align(p)
	if err != nil {
		return nil, err
	}
	q := Quality{}
	eyes := f.EyeDistance()
	q[InterEyeDistance] = Measure{eyes, "px", eyes >= passEyes}
	upright := p.Turn(f.turn)
	head := f.box.H / float64(upright.Height)
	q[HeadSize] = Measure{head, "ratio", head >= minHeadSize}
	luma := aligned.Luma(alignedSize, alignedSize)
	s := picture.Sharpness(luma, alignedSize, alignedSize)
	q[Sharpness] = Measure{s, "variance", s >= minSharpness}
	u := uniformity(luma, alignedSize)
	q[IlluminationRange] = Measure{u, "ratio", u >= minUniformity}
	under, over := exposure(luma)
	q[UnderExposure] = Measure{under, "ratio", under <= maxUnder}
	q[OverExposure] = Measure{over, "ratio", over <= maxOver}
	angles, err := a.angles(ctx, upright, f)
	if err != nil {
		return nil, err
	}
	for i, n := range []struct {
		name  string
		limit float64
	}{{PoseYaw, maxYaw}, {PosePitch, maxPitch}, {PoseRoll, maxRollDegrees}} {
		q[n.name] = Measure{angles[i], "degrees", math.Abs(angles[i]) <= n.limit}
	}
	open, err := a.open(ctx, upright, f)
	if err != nil {
		return nil, err
	}
	q[EyesOpen] = Measure{open, "probability", open >= minEyesOpen}
	return q, nil
}

// angles are yaw, pitch and roll: a Hopenet head, 66 bins of 3° from -99°.
func (a *Analyser) angles(ctx context.Context, p *picture.Picture, f *Face) ([3]float64, error) {
	var angles [3]float64
	// The box grown by a quarter on each side, cut at the border.
	x1, y1 := math.Trunc(max(0, f.box.X-f.box.W/4)), math.Trunc(max(0, f.box.Y-f.box.H/4))
	x2 := math.Trunc(min(float64(p.Width), f.box.X+f.box.W*5/4))
	y2 := math.Trunc(min(float64(p.Height), f.box.Y+f.box.H*5/4))
	t := a.pose.Target
	crop := picture.Crop(x1, y1, max(1, x2-x1), max(1, y2-y1), t.Width, t.Height)
	err := a.pose.Feed(ctx, t, 1, func(_ int, dst []float32) { p.Warp(dst, &t, crop, picture.Replicate) }, func(out []onnx.Output) error {
		for i := range angles {
			if len(out[i].Data) != 66 {
				return fmt.Errorf("%s: %w: %d bins", a.pose.Model.Name, ErrUnsuitable, len(out[i].Data))
			}
			angles[i] = -99
			for bin, s := range softmax(out[i].Data) {
				angles[i] += 3 * float64(bin) * s
			}
		}
		return nil
	})
	return angles, err
}

// open is the probability that the less open eye is open.
func (a *Analyser) open(ctx context.Context, p *picture.Picture, f *Face) (float64, error) {
	least := 1.0
	t := a.eyes.Target
	for _, eye := range []struct{ at, outer, inner int }{{0, 36, 39}, {1, 42, 45}} {
		c := f.five[eye.at]
		side := 1.6 * (f.points[eye.inner][0] - f.points[eye.outer][0])
		if side <= 0 {
			return 0, nil // seen from behind the nose: not an eye to judge
		}
		crop := picture.Crop(c[0]-side/2, c[1]-side/2, side, side, t.Width, t.Height)
		err := a.eyes.Feed(ctx, t, 1, func(_ int, dst []float32) { p.Warp(dst, &t, crop, picture.Black) }, func(out []onnx.Output) error {
			if len(out[0].Data) != 2 {
				return fmt.Errorf("%s: %w: %d classes", a.eyes.Model.Name, ErrUnsuitable, len(out[0].Data))
			}
			least = min(least, softmax(out[0].Data)[1])
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return least, nil
}

// uniformity is the shared area of the luminance histograms of the left and
// right half.
func uniformity(luma []float32, w int) float64 {
	var left, right [32]float64
	for i, v := range luma {
		h := &left
		if i%w >= w/2 {
			h = &right
		}
		h[min(31, int(v)/8)]++
	}
	shared := 0.0
	for i := range left {
		shared += min(left[i], right[i])
	}
	return shared / (float64(len(luma)) / 2)
}

func exposure(luma []float32) (under, over float64) {
	for _, v := range luma {
		if v < 25 {
			under++
		}
		if v > 247 {
			over++
		}
	}
	return under / float64(len(luma)), over / float64(len(luma))
}
