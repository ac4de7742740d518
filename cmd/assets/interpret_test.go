package main

import (
	"encoding/binary"
	"fmt"
	"math"
)

// interpret runs a TFLite network the slow and obvious way, operator by
// operator as the file has them: what the conversion is measured against.
func interpret(net *tflite, input []float32) ([]float32, error) {
	values := map[int][]float32{net.inputs[0]: input}
	for t := range net.tensors {
		if x := &net.tensors[t]; x.data != nil && x.typ == typeFloat32 {
			v := make([]float32, len(x.data)/4)
			for i := range v {
				v[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.data[4*i:]))
			}
			values[t] = v
		}
	}
	for _, op := range net.ops {
		a := values[op.inputs[0]]
		out := make([]float32, net.tensors[op.outputs[0]].elements())
		switch op.code {
		case opRelu:
			for i, v := range a {
				out[i] = max(v, 0)
			}
		case opAbs:
			for i, v := range a {
				out[i] = float32(math.Abs(float64(v)))
			}
		case opAdd, opSub, opMul:
			b := values[op.inputs[1]]
			for i := range out { // the shorter operand is one value a channel
				switch x, y := a[i%len(a)], b[i%len(b)]; op.code {
				case opAdd:
					out[i] = x + y
				case opSub:
					out[i] = x - y
				case opMul:
					out[i] = x * y
				}
			}
		case opReshape:
			copy(out, a)
		case opConv, opDepthwiseConv:
			slowConv(net, op, a, values[op.inputs[1]], values[op.inputs[2]], out)
		default:
			return nil, fmt.Errorf("operator %d", op.code)
		}
		values[op.outputs[0]] = out
	}
	return values[net.outputs[0]], nil
}

func slowConv(net *tflite, op tfOp, in, filter, bias, out []float32) {
	x, f, y := net.tensors[op.inputs[0]].shape, net.tensors[op.inputs[1]].shape, net.tensors[op.outputs[0]].shape
	padH, padW := 0, 0
	if op.padding == padSame {
		padH = max((y[1]-1)*op.strideH+f[1]-x[1], 0) / 2
		padW = max((y[2]-1)*op.strideW+f[2]-x[2], 0) / 2
	}
	at := 0
	for n := range y[0] {
		for i := range y[1] {
			for j := range y[2] {
				sum := out[at : at+y[3]]
				at += y[3]
				copy(sum, bias)
				for h := range f[1] {
					for w := range f[2] {
						r, c := i*op.strideH+h-padH, j*op.strideW+w-padW
						if r < 0 || r >= x[1] || c < 0 || c >= x[2] {
							continue
						}
						px := in[((n*x[1]+r)*x[2]+c)*x[3]:][:x[3]]
						for o := range sum {
							if op.code == opDepthwiseConv {
								sum[o] += px[o*x[3]/y[3]] * filter[(h*f[2]+w)*f[3]+o]
								continue
							}
							k := filter[((o*f[1]+h)*f[2]+w)*f[3]:][:f[3]]
							s := float32(0)
							for d, v := range px {
								s += v * k[d]
							}
							sum[o] += s
						}
					}
				}
			}
		}
	}
}
