package onnx

import (
	"context"
	"fmt"
	"sync"

	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
)

// Network is a pack's model with its input contract: pictures in, values out.
type Network struct {
	*Session
	Model  *pack.Model
	Target picture.Target
	inputs sync.Pool // of *[]float32, grown to the largest run
}

// NewNetwork prepares a model of a pack.
func (r *Runtime) NewNetwork(p *pack.Pack, m *pack.Model) *Network {
	colours := map[pack.Colour]picture.Colour{pack.RGB: picture.RGB, pack.BGR: picture.BGR, pack.Grey: picture.Grey}
	return &Network{
		Session: r.NewSession(m.Name, p.Bytes(m), m.Input.Name, m.Outputs),
		Model:   m,
		Target: picture.Target{
			Width: m.Input.Width, Height: m.Input.Height,
			Colour: colours[m.Input.Colour], Interleaved: m.Input.Layout == pack.NHWC,
			Mean: m.Input.Mean, Std: m.Input.Std,
		},
		inputs: sync.Pool{New: func() any { return new([]float32) }},
	}
}

// Feed runs the network on n pictures of the target's size. fill writes each
// into its part of the tensor; use sees the outputs until it returns.
func (n *Network) Feed(ctx context.Context, t picture.Target, count int, fill func(i int, dst []float32), use func([]Output) error) error {
	if b := n.Model.Input.Batch; b != 0 && b != count {
		return fmt.Errorf("%s: %w: it takes %d pictures a run, not %d", n.name, ErrModel, b, count)
	}
	c := t.Channels()
	size := c * t.Width * t.Height
	buf := n.inputs.Get().(*[]float32)
	defer n.inputs.Put(buf)
	if cap(*buf) < count*size {
		*buf = make([]float32, count*size)
	}
	data := (*buf)[:count*size]
	for i := range count {
		fill(i, data[i*size:][:size])
	}
	shape := []int64{int64(count), int64(c), int64(t.Height), int64(t.Width)}
	if t.Interleaved {
		shape = []int64{int64(count), int64(t.Height), int64(t.Width), int64(c)}
	}
	return n.Run(ctx, shape, data, use)
}
