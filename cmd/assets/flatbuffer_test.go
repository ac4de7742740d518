package main

import (
	"encoding/binary"
	"math"
)

// fbTable is a table to be written, by field number: int32, byte, string,
// []int32, []byte, fbTable or []fbTable; nil leaves a field out.
type fbTable []any

// fbWriter writes FlatBuffers front to back: whatever a field refers to
// follows its table, so every offset points forward.
type fbWriter struct{ b []byte }

func (w *fbWriter) u32(v int)    { w.b = binary.LittleEndian.AppendUint32(w.b, uint32(v)) }
func (w *fbWriter) patch(at int) { binary.LittleEndian.PutUint32(w.b[at:], uint32(len(w.b)-at)) }
func (w *fbWriter) bytes(b []byte) {
	w.u32(len(b))
	w.b = append(w.b, b...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

// refer makes the field at a place point to what is written next.
func (w *fbWriter) refer(at int, v any) {
	switch v := v.(type) {
	case fbTable:
		w.table(at, v)
	case string:
		w.patch(at)
		w.bytes([]byte(v))
	case []byte:
		w.patch(at)
		w.bytes(v)
	case []int32:
		w.patch(at)
		w.u32(len(v))
		for _, i := range v {
			w.u32(int(i))
		}
	case []fbTable:
		w.patch(at)
		w.u32(len(v))
		first := len(w.b)
		w.b = append(w.b, make([]byte, 4*len(v))...)
		for i, t := range v {
			w.table(first+4*i, t)
		}
	}
}

// table writes a vtable and its table, each field in four bytes.
func (w *fbWriter) table(from int, t fbTable) {
	vtable := len(w.b)
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(4+2*len(t)))
	w.b = binary.LittleEndian.AppendUint16(w.b, uint16(4+4*len(t)))
	for i, v := range t {
		slot := 4 + 4*i
		if v == nil {
			slot = 0
		}
		w.b = binary.LittleEndian.AppendUint16(w.b, uint16(slot))
	}
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
	w.patch(from)
	at := len(w.b)
	w.u32(at - vtable)
	for _, v := range t {
		switch v := v.(type) {
		case int32:
			w.u32(int(v))
		case byte:
			w.u32(int(v))
		default:
			w.u32(0)
		}
	}
	for i, v := range t {
		w.refer(at+4+4*i, v)
	}
}

// testNet puts a TFLite file together.
type testNet struct {
	tensors, buffers, ops []fbTable
	codes                 []fbTable
}

// tensor adds a tensor of a shape; values make it a constant.
func (n *testNet) tensor(name string, values []float32, shape ...int32) int32 {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	var data any
	if values != nil {
		data = b
	}
	n.buffers = append(n.buffers, fbTable{data})
	n.tensors = append(n.tensors, fbTable{shape, byte(typeFloat32), int32(len(n.buffers) - 1), name})
	return int32(len(n.tensors) - 1)
}

func (n *testNet) op(code byte, out int32, options fbTable, in ...int32) int32 {
	n.codes = append(n.codes, fbTable{code})
	n.ops = append(n.ops, fbTable{int32(len(n.codes) - 1), in, []int32{out}, byte(optionsOf[int(code)]), options})
	return out
}

func (n *testNet) file(in, out int32) []byte {
	w := &fbWriter{b: []byte("\x00\x00\x00\x00TFL3")}
	graph := fbTable{n.tensors, []int32{in}, []int32{out}, n.ops, "main"}
	w.table(0, fbTable{int32(3), n.codes, []fbTable{graph}, "test", n.buffers})
	return w.b
}

// tinyNet has all that MobileFaceNet has: convolutions with both paddings, a
// stride over an odd side, a depthwise one, a PReLU, a sum and a reshape.
func tinyNet() []byte {
	n := &testNet{}
	noise := func(count int, seed uint32) []float32 {
		v := make([]float32, count)
		for i := range v {
			seed = seed*1664525 + 1013904223
			v[i] = float32(int32(seed)>>16) / (1 << 15)
		}
		return v
	}
	none := fbTable{byte(0)}
	x := n.tensor("input", nil, 2, 8, 7, 3)
	c1 := n.op(opConv, n.tensor("c1", nil, 2, 4, 4, 4), fbTable{byte(padSame), int32(2), int32(2), byte(0)},
		x, n.tensor("w1", noise(4*3*3*3, 1), 4, 3, 3, 3), n.tensor("b1", noise(4, 2), 4))
	relu := n.op(opRelu, n.tensor("relu", nil, 2, 4, 4, 4), nil, c1)
	abs := n.op(opAbs, n.tensor("abs", nil, 2, 4, 4, 4), nil, c1)
	sub := n.op(opSub, n.tensor("sub", nil, 2, 4, 4, 4), none, c1, abs)
	mul := n.op(opMul, n.tensor("mul", nil, 2, 4, 4, 4), none, n.tensor("slope", noise(4, 3), 4), sub)
	p := n.op(opAdd, n.tensor("prelu", nil, 2, 4, 4, 4), none, relu, mul)
	d := n.op(opDepthwiseConv, n.tensor("d", nil, 2, 4, 4, 4), fbTable{byte(padSame), int32(1), int32(1), int32(1), byte(0)},
		p, n.tensor("w2", noise(3*2*4, 4), 1, 3, 2, 4), n.tensor("b2", noise(4, 5), 4))
	s := n.op(opAdd, n.tensor("s", nil, 2, 4, 4, 4), none, d, p)
	c2 := n.op(opConv, n.tensor("c2", nil, 2, 2, 3, 5), fbTable{byte(padValid), int32(1), int32(1), byte(0)},
		s, n.tensor("w3", noise(5*3*2*4, 6), 5, 3, 2, 4), n.tensor("b3", noise(5, 7), 5))
	y := n.op(opReshape, n.tensor("embeddings", nil, 2, 30), fbTable{[]int32{2, 30}}, c2)
	return n.file(x, y)
}
