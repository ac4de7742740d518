// Package face finds faces in pictures and says what they are worth: where they
// are, how good the capture is, whether it looks live, and the template that
// tells one person from another.
//
// It reports every face and every score with its threshold; it must never
// decide which face is meant, nor whether a person passes.
package face

import (
	"fmt"

	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

// Analyser holds the face networks of a pack. Safe for concurrent use.
type Analyser struct {
	detector, landmarks, liveness, pose, eyes *onnx.Network
	recognisers                               []*onnx.Network
	calibration                               *pack.Calibration
}

// New takes the face models from a pack. Nothing is loaded before its first
// use.
func New(rt *onnx.Runtime, p *pack.Pack) (*Analyser, error) {
	a := &Analyser{calibration: &p.Calibration}
	for _, n := range []struct {
		net     **onnx.Network
		task    pack.Task
		outputs int
	}{
		{&a.detector, pack.FaceDetect, 2}, {&a.landmarks, pack.FaceLandmarks, 1}, {&a.liveness, pack.FaceLiveness, 1},
		{&a.pose, pack.FacePose, 3}, {&a.eyes, pack.FaceEyes, 1},
	} {
		m, err := p.One(n.task)
		if err != nil {
			return nil, err
		}
		if m.Input.Width == 0 || m.Input.Height == 0 || m.Input.Batch > 1 || len(m.Outputs) != n.outputs {
			return nil, fmt.Errorf("%s: %w: %s needs a fixed size, a batch of 1 and %d outputs", m.File.Name, ErrUnsuitable, n.task, n.outputs)
		}
		*n.net = rt.NewNetwork(p, m)
	}
	for _, m := range p.Find(pack.FaceEmbed) {
		if m.Input.Width != alignedSize || m.Input.Height != alignedSize || m.Input.Batch > 1 || len(m.Outputs) != 1 {
			return nil, fmt.Errorf("%s: %w: a recogniser takes %d×%d pixels in a batch of 1 or any, and has one output", m.File.Name, ErrUnsuitable, alignedSize, alignedSize)
		}
		a.recognisers = append(a.recognisers, rt.NewNetwork(p, m))
	}
	if len(a.recognisers) == 0 {
		return nil, fmt.Errorf("model for %s %w", pack.FaceEmbed, pack.ErrMissing)
	}
	return a, nil
}

// Networks lists the analyser's networks.
func (a *Analyser) Networks() []*onnx.Network {
	return append([]*onnx.Network{a.detector, a.landmarks, a.liveness, a.pose, a.eyes}, a.recognisers...)
}
