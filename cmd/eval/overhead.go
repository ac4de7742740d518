package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	ort "github.com/yalue/onnxruntime_go"

	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

func overheadFigures() []figure {
	return []figure{goal("runtime_overhead", "%", 2, "<=", 2)}
}

const overheadRuns = 120

// overhead compares runs through our session with runs of the same model, with
// the same options, through the binding itself with tensors made beforehand.
func (s *speedRun) overhead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx) // as a request's: runs can be stopped
	defer cancel()
	t := table{title: "Our session beside the binding alone", head: []string{"model", "ours, CPU ms", "binding, CPU ms", "overhead"},
		note: fmt.Sprintf("Medians of %d runs each, in turn.", overheadRuns)}
	var ours, bare float64
	for _, n := range s.one.Networks() {
		if n.Model.Task != pack.FaceDetect && n.Model.Task != pack.FaceEmbed {
			continue
		}
		o, b, err := s.compareSessions(ctx, n)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Model.Name, err)
		}
		ours, bare = ours+o, bare+b
		t.add(n.Model.Name, fmt.Sprintf("%.3f", o), fmt.Sprintf("%.3f", b), fmt.Sprintf("%+.2f %%", 100*(o/b-1)))
	}
	t.add("all", fmt.Sprintf("%.3f", ours), fmt.Sprintf("%.3f", bare), fmt.Sprintf("%+.2f %%", 100*(ours/bare-1)))
	s.table(t)
	s.measure("runtime_overhead", 100*(ours/bare-1))
	return nil
}

// compareSessions gives the median CPU time of a run, in milliseconds.
func (s *speedRun) compareSessions(ctx context.Context, n *onnx.Network) (ours, bare float64, err error) {
	in := &n.Model.Input
	count := int64(in.Batch)
	if count == 0 {
		count = 2 // a face and its mirror image
	}
	shape := []int64{count, int64(in.Colour.Channels()), int64(in.Height), int64(in.Width)}
	if in.Layout == pack.NHWC {
		shape = []int64{count, int64(in.Height), int64(in.Width), int64(in.Colour.Channels())}
	}
	data := make([]float32, count*int64(in.Colour.Channels()*in.Height*in.Width))
	r := rand.New(rand.NewPCG(1, 1))
	for i := range data {
		data[i] = r.Float32()*2 - 1
	}
	var shapes [][]int64
	if err := n.Run(ctx, shape, data, func(out []onnx.Output) error {
		for _, o := range out {
			shapes = append(shapes, append([]int64(nil), o.Shape...))
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	straight, done, err := newStraight(s.one.Pack().Bytes(n.Model), n.Model, shape, data, shapes)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	ways := [2]func() error{
		func() error { return n.Run(ctx, shape, data, func([]onnx.Output) error { return nil }) },
		straight,
	}
	var all [2][]float64
	for i := range warmUps + overheadRuns {
		for k := range ways {
			w := (i + k) % 2
			ms, err := cost(ways[w])
			if err != nil {
				return 0, 0, err
			}
			if i >= warmUps {
				all[w] = append(all[w], ms)
			}
		}
	}
	return median(all[0]), median(all[1]), nil
}

// newStraight prepares a run through the binding alone.
func newStraight(model []byte, m *pack.Model, shape []int64, data []float32, outputs [][]int64) (run func() error, done func(), err error) {
	var made []interface{ Destroy() error }
	done = func() {
		for i := len(made) - 1; i >= 0; i-- {
			// At the end of a measurement there is nobody to tell.
			_ = made[i].Destroy()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, nil, err
	}
	made = append(made, o)
	for _, err := range []error{
		o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1), o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	} {
		if err != nil {
			return nil, nil, err
		}
	}
	in, err := ort.NewTensor(ort.NewShape(shape...), data)
	if err != nil {
		return nil, nil, err
	}
	made = append(made, in)
	var out []ort.Value
	for _, s := range outputs {
		v, err := ort.NewEmptyTensor[float32](ort.NewShape(s...))
		if err != nil {
			return nil, nil, err
		}
		made, out = append(made, v), append(out, v)
	}
	session, err := ort.NewAdvancedSessionWithONNXData(model, []string{m.Input.Name}, m.Outputs, []ort.Value{in}, out, o)
	if err != nil {
		return nil, nil, err
	}
	made = append(made, session)
	return session.Run, done, nil
}
