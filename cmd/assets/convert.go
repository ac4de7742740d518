package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"gatehouse/engine/graph"
)

// maxWeights bounds what a file may blow up to when its filters are shared.
const maxWeights = 256 << 20

// convertTFLite turns a TFLite network into an ONNX file. The network keeps
// its names and its NHWC input; inside it is NCHW, as ONNX has it. The batch,
// which TFLite fixes, becomes free. The source is recorded in the file: the
// licences ask that a changed file say so.
func convertTFLite(b []byte, name, source string) ([]byte, error) {
	net, err := readTFLite(b)
	if err != nil {
		return nil, err
	}
	c := converter{net: net, g: graph.New(name, "gatehouse cmd/assets")}
	c.g.Metadata("converted_from", source)
	c.g.Metadata("changes", "TFLite to ONNX; relu(x)+c(x-|x|) written as PRelu with slope 2c; free batch")
	if err := c.convert(); err != nil {
		return nil, err
	}
	return c.g.Marshal()
}

type converter struct {
	net     *tflite
	g       *graph.Graph
	maker   map[int]int   // tensor → operator that computes it
	uses    map[int]int   // tensor → number of operators that take it
	prelus  map[int]prelu // ADD operator → what it computes
	folded  map[int]bool  // operators that are part of a prelu
	weights int           // bytes of constants written
}

// prelu is relu(x) + c·(x-|x|), which is x for x ≥ 0 and 2c·x below.
type prelu struct{ x, c int }

func (c *converter) convert() error {
	c.maker, c.uses = map[int]int{}, map[int]int{}
	for i, op := range c.net.ops {
		if len(op.outputs) != 1 {
			return fmt.Errorf("%w: operator %d has %d outputs", errTFLite, i, len(op.outputs))
		}
		c.maker[op.outputs[0]] = i
		for _, t := range op.inputs {
			c.uses[t]++
		}
	}
	for _, t := range c.net.outputs {
		c.uses[t]++
	}
	c.findPRelus()

	for _, t := range c.net.inputs {
		x := &c.net.tensors[t]
		if len(x.shape) != 4 || x.typ != typeFloat32 {
			return fmt.Errorf("%w: input %q is no float32 picture: shape %v", errTFLite, x.name, x.shape)
		}
		c.g.Input(x.name, graph.Float32, free(x.shape)...)
		c.g.Node("Transpose", []string{x.name}, []string{c.name(t)}, graph.Attr{Name: "perm", Value: []int64{0, 3, 1, 2}})
	}
	for i, op := range c.net.ops {
		if c.folded[i] {
			continue
		}
		if err := c.op(i, op); err != nil {
			return fmt.Errorf("operator %d, %s: %w", i, opNames[op.code], err)
		}
	}
	for _, t := range c.net.outputs {
		x := &c.net.tensors[t]
		if i, ok := c.maker[t]; !ok || c.net.ops[i].code != opReshape {
			return fmt.Errorf("%w: output %q is not made by RESHAPE", errTFLite, x.name)
		}
		c.g.Output(x.name, graph.Float32, free(x.shape)...)
	}
	return nil
}

// free gives a shape with a free batch.
func free(shape []int) []int64 {
	dims := []int64{-1}
	for _, d := range shape[1:] {
		dims = append(dims, int64(d))
	}
	return dims
}

// name is a tensor's name in the ONNX graph. A picture that enters is renamed
// there, for it is NHWC and everything after it is NCHW.
func (c *converter) name(t int) string {
	n := c.net.tensors[t].name
	if slices.Contains(c.net.inputs, t) {
		return n + "/nchw"
	}
	return n
}

// findPRelus looks for the five operators that TFLite's converter made of a
// PReLU, and folds them where nothing else looks at what lies between them.
func (c *converter) findPRelus() {
	c.prelus, c.folded = map[int]prelu{}, map[int]bool{}
	for i, op := range c.net.ops {
		if op.code != opAdd || len(op.inputs) != 2 {
			continue
		}
		relu, ok := c.only(op.inputs[0], opRelu, 1)
		mul, ok2 := c.only(op.inputs[1], opMul, 2)
		if !ok || !ok2 {
			continue
		}
		x, slope := c.net.ops[relu].inputs[0], c.net.ops[mul].inputs[0]
		sub, ok := c.only(c.net.ops[mul].inputs[1], opSub, 2)
		if !ok || c.net.ops[sub].inputs[0] != x || c.net.tensors[slope].data == nil {
			continue
		}
		abs, ok := c.only(c.net.ops[sub].inputs[1], opAbs, 1)
		if !ok || c.net.ops[abs].inputs[0] != x {
			continue
		}
		c.prelus[i] = prelu{x, slope}
		for _, k := range []int{relu, mul, sub, abs} {
			c.folded[k] = true
		}
	}
}

// only gives the operator that makes a tensor, if it is of a kind, has that
// many inputs, and its result is used once.
func (c *converter) only(t, code, inputs int) (int, bool) {
	i, ok := c.maker[t]
	return i, ok && c.uses[t] == 1 && c.net.ops[i].code == code && len(c.net.ops[i].inputs) == inputs
}

func (c *converter) op(i int, op tfOp) error {
	switch op.code {
	case opConv, opDepthwiseConv:
		return c.conv(op)
	case opReshape:
		return c.reshape(op)
	case opAdd:
		if p, ok := c.prelus[i]; ok {
			return c.prelu(p, op)
		}
		return c.add(op)
	}
	return fmt.Errorf("%w: it is not part of relu(x)+c·(x-|x|)", errTFLite)
}

func (c *converter) prelu(p prelu, op tfOp) error {
	slope, x := &c.net.tensors[p.c], &c.net.tensors[p.x]
	n := slope.elements()
	if len(slope.shape) != 1 || slope.typ != typeFloat32 || len(x.shape) != 4 || x.shape[3] != n {
		return fmt.Errorf("%w: slope of shape %v for %v", errTFLite, slope.shape, x.shape)
	}
	v, err := c.floats(p.c)
	if err != nil {
		return err
	}
	for i := range v {
		v[i] *= 2
	}
	out := c.name(op.outputs[0])
	c.g.Floats(out+"/slope", []int64{int64(n), 1, 1}, v)
	c.g.Node("PRelu", []string{c.name(p.x), out + "/slope"}, []string{out})
	return nil
}

// add is the sum of a residual connection; broadcasting would need its
// constant turned to NCHW and is not needed.
func (c *converter) add(op tfOp) error {
	if len(op.inputs) != 2 {
		return fmt.Errorf("%w: %d inputs", errTFLite, len(op.inputs))
	}
	a, b := &c.net.tensors[op.inputs[0]], &c.net.tensors[op.inputs[1]]
	if a.data != nil || b.data != nil || !slices.Equal(a.shape, b.shape) {
		return fmt.Errorf("%w: sum of the shapes %v and %v", errTFLite, a.shape, b.shape)
	}
	c.g.Node("Add", []string{c.name(op.inputs[0]), c.name(op.inputs[1])}, []string{c.name(op.outputs[0])})
	return nil
}

func (c *converter) conv(op tfOp) error {
	if len(op.inputs) != 3 {
		return fmt.Errorf("%w: %d inputs", errTFLite, len(op.inputs))
	}
	x, filter, bias := &c.net.tensors[op.inputs[0]], &c.net.tensors[op.inputs[1]], &c.net.tensors[op.inputs[2]]
	if len(x.shape) != 4 || len(filter.shape) != 4 || len(bias.shape) != 1 {
		return fmt.Errorf("%w: shapes %v, filter %v, bias %v", errTFLite, x.shape, filter.shape, bias.shape)
	}
	w, err := c.floats(op.inputs[1])
	if err != nil {
		return err
	}
	b, err := c.floats(op.inputs[2])
	if err != nil {
		return err
	}
	s := filter.shape
	groups, dims := 1, []int64{int64(s[0]), int64(s[3]), int64(s[1]), int64(s[2])}
	if op.code == opConv {
		w = move(w, s, [4]int{0, 3, 1, 2}) // OHWI → OIHW
	} else {
		groups, dims = x.shape[3], []int64{int64(s[3]), 1, int64(s[1]), int64(s[2])}
		w = move(w, s, [4]int{3, 0, 1, 2}) // 1HWO → O1HW
	}
	if len(b) != int(dims[0]) || int(dims[1])*groups != x.shape[3] || op.code == opDepthwiseConv && s[0] != 1 {
		return fmt.Errorf("%w: shapes %v, filter %v, bias %v", errTFLite, x.shape, s, bias.shape)
	}
	pad := "VALID"
	if op.padding == padSame {
		pad = "SAME_UPPER" // TFLite puts the odd pixel at the end
	}
	out := c.name(op.outputs[0])
	c.g.Floats(out+"/filter", dims, w)
	c.g.Floats(out+"/bias", []int64{dims[0]}, b)
	c.g.Node("Conv", []string{c.name(op.inputs[0]), out + "/filter", out + "/bias"}, []string{out},
		graph.Attr{Name: "auto_pad", Value: pad},
		graph.Attr{Name: "group", Value: int64(groups)},
		graph.Attr{Name: "kernel_shape", Value: dims[2:]},
		graph.Attr{Name: "strides", Value: []int64{int64(op.strideH), int64(op.strideW)}})
	return nil
}

// reshape goes back to NHWC first, for that is the order TFLite reshapes.
func (c *converter) reshape(op tfOp) error {
	if len(op.inputs) == 0 {
		return fmt.Errorf("%w: no input", errTFLite)
	}
	x, y := &c.net.tensors[op.inputs[0]], &c.net.tensors[op.outputs[0]]
	if len(x.shape) != 4 || len(y.shape) < 1 || x.shape[0] != y.shape[0] || x.elements() != y.elements() {
		return fmt.Errorf("%w: %v to %v does not keep the batch", errTFLite, x.shape, y.shape)
	}
	out := c.name(op.outputs[0])
	c.g.Ints(out+"/shape", []int64{int64(len(y.shape))}, free(y.shape))
	c.g.Node("Transpose", []string{c.name(op.inputs[0])}, []string{out + "/nhwc"}, graph.Attr{Name: "perm", Value: []int64{0, 2, 3, 1}})
	c.g.Node("Reshape", []string{out + "/nhwc", out + "/shape"}, []string{out})
	return nil
}

// floats gives the values of a constant.
func (c *converter) floats(t int) ([]float32, error) {
	x := &c.net.tensors[t]
	if x.data == nil || x.typ != typeFloat32 {
		return nil, fmt.Errorf("%w: tensor %q is no float32 constant", errTFLite, x.name)
	}
	if c.weights += len(x.data); c.weights > maxWeights {
		return nil, fmt.Errorf("%w: more than %d bytes of weights", errTFLite, maxWeights)
	}
	v := make([]float32, len(x.data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.data[4*i:]))
	}
	return v, nil
}

// move reorders the axes of a tensor.
func move(v []float32, shape []int, axes [4]int) []float32 {
	step := [4]int{shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1}
	out := make([]float32, 0, len(v))
	for a := range shape[axes[0]] {
		for b := range shape[axes[1]] {
			for c := range shape[axes[2]] {
				for d := range shape[axes[3]] {
					out = append(out, v[a*step[axes[0]]+b*step[axes[1]]+c*step[axes[2]]+d*step[axes[3]]])
				}
			}
		}
	}
	return out
}
