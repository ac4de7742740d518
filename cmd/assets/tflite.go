package main

import (
	"errors"
	"fmt"
)

// Limits on a TFLite file, each far above what MobileFaceNet.tflite needs
// (5 MB, 369 tensors, 230 operators).
const (
	maxTFLite    = 64 << 20
	maxTensors   = 4096
	maxOperators = 4096
	maxOperands  = 8
	maxRank      = 6
	maxName      = 512
	maxElements  = 1 << 24
)

var errTFLite = errors.New("not a TFLite network that can be converted")

// Operators, numbered as BuiltinOperator in TFLite's schema.
const (
	opAdd           = 0
	opConv          = 3
	opDepthwiseConv = 4
	opMul           = 18
	opRelu          = 19
	opReshape       = 22
	opSub           = 41
	opAbs           = 101
)

var opNames = map[int]string{
	opAdd: "ADD", opConv: "CONV_2D", opDepthwiseConv: "DEPTHWISE_CONV_2D", opMul: "MUL",
	opRelu: "RELU", opReshape: "RESHAPE", opSub: "SUB", opAbs: "ABS",
}

// optionsOf is the BuiltinOptions number that an operator must carry.
var optionsOf = map[int]int{opConv: 1, opDepthwiseConv: 2, opAdd: 11, opReshape: 17, opMul: 21, opSub: 28}

// Element types, numbered as TensorType.
const (
	typeFloat32 = 0
	typeInt32   = 2
)

// Padding, numbered as in the schema.
const (
	padSame  = 0
	padValid = 1
)

// tflite is a network as its file has it: tensors are NHWC and filters OHWI.
type tflite struct {
	tensors         []tfTensor
	inputs, outputs []int
	ops             []tfOp
}

type tfTensor struct {
	name  string
	typ   int
	shape []int
	data  []byte // nil unless the tensor is a constant
}

type tfOp struct {
	code             int
	inputs           []int
	outputs          []int
	padding          int
	strideW, strideH int
}

func (t *tfTensor) elements() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// readTFLite reads a TFLite file of one graph made of the eight operators
// above, without fused activations and dilation.
func readTFLite(b []byte) (*tflite, error) {
	if len(b) < 8 || len(b) > maxTFLite || string(b[4:8]) != "TFL3" {
		return nil, fmt.Errorf("%w: no TFL3 file of at most %d bytes", errTFLite, maxTFLite)
	}
	f := &flatbuffer{b: b}
	model := f.table(f.follow(0))
	graphs := model.tables(2, 16)
	if f.err == nil && len(graphs) != 1 {
		return nil, fmt.Errorf("%w: %d graphs; one is expected", errTFLite, len(graphs))
	}
	if f.err != nil {
		return nil, f.err
	}
	net := &tflite{inputs: graphs[0].ints(1, maxOperands), outputs: graphs[0].ints(2, maxOperands)}
	if err := net.readTensors(model, graphs[0]); err != nil {
		return nil, err
	}
	if err := net.readOps(model, graphs[0]); err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, f.err
	}
	return net, net.known(append(net.inputs, net.outputs...))
}

func (net *tflite) readTensors(model, g table) error {
	buffers := model.tables(4, maxTensors+1)
	for _, t := range g.tables(0, maxTensors) {
		x := tfTensor{name: string(t.bytes(3, maxName)), typ: t.u8(1, 0), shape: t.ints(0, maxRank)}
		n := 1
		for _, d := range x.shape {
			if d < 1 || d > maxElements/n {
				return fmt.Errorf("%w: tensor %q has the shape %v", errTFLite, x.name, x.shape)
			}
			n *= d
		}
		i := t.i32(2, 0)
		if i < 0 || i >= len(buffers) {
			return fmt.Errorf("%w: tensor %q has no buffer %d", errTFLite, x.name, i)
		}
		x.data = buffers[i].bytes(0, maxTFLite)
		if x.data != nil && (x.typ != typeFloat32 && x.typ != typeInt32 || len(x.data) != 4*n) {
			return fmt.Errorf("%w: tensor %q: %d bytes of type %d for the shape %v", errTFLite, x.name, len(x.data), x.typ, x.shape)
		}
		net.tensors = append(net.tensors, x)
	}
	return nil
}

func (net *tflite) readOps(model, g table) error {
	var codes []int
	for _, t := range model.tables(1, 256) {
		// Old files have the number in field 0, new ones in field 3.
		codes = append(codes, max(t.u8(0, 0), t.i32(3, 0)))
	}
	for i, t := range g.tables(3, maxOperators) {
		k := t.i32(0, 0)
		if k < 0 || k >= len(codes) {
			return fmt.Errorf("%w: operator %d has no code", errTFLite, i)
		}
		op := tfOp{code: codes[k], inputs: t.ints(1, maxOperands), outputs: t.ints(2, maxOperands)}
		if opNames[op.code] == "" {
			return fmt.Errorf("%w: operator %d has the code %d; known are %v", errTFLite, i, op.code, opNames)
		}
		if err := net.known(append(op.inputs, op.outputs...)); err != nil {
			return fmt.Errorf("operator %d: %w", i, err)
		}
		if err := op.readOptions(t); err != nil {
			return fmt.Errorf("operator %d: %w", i, err)
		}
		net.ops = append(net.ops, op)
	}
	return nil
}

// readOptions reads an operator's options and refuses those that the
// conversion would have to drop.
func (op *tfOp) readOptions(t table) error {
	kind := t.u8(3, 0)
	if want, ok := optionsOf[op.code]; ok && kind != want {
		return fmt.Errorf("%w: %s with options of kind %d", errTFLite, opNames[op.code], kind)
	}
	fused, dilation := 0, 1
	switch o := t.sub(4); op.code {
	case opAdd, opMul, opSub:
		fused = o.u8(0, 0)
	case opConv:
		op.padding, op.strideW, op.strideH = o.u8(0, 0), o.i32(1, 0), o.i32(2, 0)
		fused, dilation = o.u8(3, 0), max(o.i32(4, 1), o.i32(5, 1))
	case opDepthwiseConv:
		op.padding, op.strideW, op.strideH = o.u8(0, 0), o.i32(1, 0), o.i32(2, 0)
		fused, dilation = o.u8(4, 0), max(o.i32(5, 1), o.i32(6, 1))
	}
	if fused != 0 || dilation != 1 {
		return fmt.Errorf("%w: %s with fused activation %d, dilation %d; none is expected", errTFLite, opNames[op.code], fused, dilation)
	}
	if op.code == opConv || op.code == opDepthwiseConv {
		if op.padding != padSame && op.padding != padValid || op.strideW < 1 || op.strideH < 1 || op.strideW > 64 || op.strideH > 64 {
			return fmt.Errorf("%w: padding %d, stride %d×%d", errTFLite, op.padding, op.strideW, op.strideH)
		}
	}
	return nil
}

// known checks that tensors exist; -1, an operand left out, does not.
func (net *tflite) known(tensors []int) error {
	for _, i := range tensors {
		if i < 0 || i >= len(net.tensors) {
			return fmt.Errorf("%w: no tensor %d", errTFLite, i)
		}
	}
	return nil
}
