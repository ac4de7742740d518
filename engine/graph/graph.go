// Package graph writes ONNX model files: just enough of the format to state a
// network that was read from another one, or a tiny network for a test. It
// never reads a model and never runs one.
//
// Names follow the ONNX specification (onnx.proto); field numbers do too.
package graph

import (
	"errors"
	"fmt"
	"math"
)

// The versions written. ONNX Runtime has read both since its release 1.14, so
// a model made here runs on every runtime that Gatehouse supports.
const (
	IRVersion = 8
	Opset     = 17
)

// ErrInvalid is wrapped by every error of Marshal.
var ErrInvalid = errors.New("invalid graph")

// Type is the element type of a tensor, numbered as in TensorProto.DataType.
type Type int

const (
	Float32 Type = 1
	Int64   Type = 7
)

// Attr is one attribute of a node. Value is an int64, a float32, a string or
// an []int64.
type Attr struct {
	Name  string
	Value any
}

// Graph is a network being built. Add its parts in any order but the nodes:
// these must come after the nodes whose outputs they take, as ONNX demands.
type Graph struct {
	name     string
	producer string
	inputs   []value
	outputs  []value
	nodes    []node
	tensors  []tensor
	metadata [][2]string
	err      error
}

type value struct {
	name string
	typ  Type
	dims []int64
}

type node struct {
	op      string
	inputs  []string
	outputs []string
	attrs   []Attr
}

type tensor struct {
	name   string
	dims   []int64
	floats []float32
	ints   []int64
	typ    Type
}

// New starts a graph. The producer is recorded in the file, so that whoever
// finds it knows what made it.
func New(name, producer string) *Graph { return &Graph{name: name, producer: producer} }

// Input declares an input of the network; a dimension of -1 is free. A free
// first dimension is the batch: it has the same name in every input and output.
func (g *Graph) Input(name string, t Type, dims ...int64) {
	g.inputs = append(g.inputs, value{name, t, dims})
}

// Output declares an output of the network, with dimensions as for Input.
func (g *Graph) Output(name string, t Type, dims ...int64) {
	g.outputs = append(g.outputs, value{name, t, dims})
}

// Node adds an operator of the default ONNX domain. An empty input name leaves
// out an optional input.
func (g *Graph) Node(op string, inputs, outputs []string, attrs ...Attr) {
	g.nodes = append(g.nodes, node{op, inputs, outputs, attrs})
}

// Floats adds a constant float32 tensor.
func (g *Graph) Floats(name string, dims []int64, v []float32) {
	g.tensors = append(g.tensors, tensor{name: name, dims: dims, floats: v, typ: Float32})
	g.size(name, dims, len(v))
}

// Ints adds a constant int64 tensor.
func (g *Graph) Ints(name string, dims []int64, v []int64) {
	g.tensors = append(g.tensors, tensor{name: name, dims: dims, ints: v, typ: Int64})
	g.size(name, dims, len(v))
}

// Metadata adds a key and a value to the model's metadata_props.
func (g *Graph) Metadata(key, val string) { g.metadata = append(g.metadata, [2]string{key, val}) }

func (g *Graph) size(name string, dims []int64, n int) {
	want := int64(1)
	for _, d := range dims {
		if d < 0 || d > 0 && want > math.MaxInt32/d {
			g.fail("tensor %q has dimensions %v", name, dims)
			return
		}
		want *= d
	}
	if want != int64(n) {
		g.fail("tensor %q has dimensions %v but %d values", name, dims, n)
	}
}

func (g *Graph) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
}

// check makes sure that every name is defined once, and before it is used.
// ONNX Runtime finds the same faults, but later and in other words.
func (g *Graph) check() error {
	if g.err != nil {
		return g.err
	}
	defined := map[string]bool{}
	define := func(name, what string) {
		if name == "" || defined[name] {
			g.fail("%s %q: the name is empty or taken", what, name)
		}
		defined[name] = true
	}
	for _, v := range g.inputs {
		define(v.name, "input")
	}
	for _, t := range g.tensors {
		define(t.name, "tensor")
	}
	for _, n := range g.nodes {
		if n.op == "" || len(n.outputs) == 0 {
			g.fail("a node needs an operator and an output: %q %v", n.op, n.outputs)
		}
		for _, name := range n.inputs {
			if name != "" && !defined[name] {
				g.fail("%s takes %q, which nothing before it defines", n.op, name)
			}
		}
		for _, name := range n.outputs {
			define(name, "output of "+n.op)
		}
	}
	if len(g.outputs) == 0 {
		g.fail("no output")
	}
	for _, v := range g.outputs {
		if !defined[v.name] {
			g.fail("nothing defines the output %q", v.name)
		}
	}
	return g.err
}
