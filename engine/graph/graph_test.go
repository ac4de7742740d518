package graph_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"gatehouse/engine/graph"
	"gatehouse/engine/onnx"
)

// tiny is a 3×3 convolution that sums a padded 1×4×4 picture, a PReLU with
// slope 1/2, and a layer that adds all 16 values and subtracts 1.
func tiny() *graph.Graph {
	g := graph.New("tiny", "graph_test")
	g.Metadata("purpose", "test")
	g.Input("x", graph.Float32, -1, 1, 4, 4)
	g.Floats("filter", []int64{1, 1, 3, 3}, []float32{1, 1, 1, 1, 1, 1, 1, 1, 1})
	g.Floats("slope", []int64{1, 1, 1}, []float32{.5})
	g.Floats("weights", []int64{16, 1}, sixteen(1))
	g.Floats("bias", []int64{1}, []float32{-1})
	g.Ints("flat", []int64{2}, []int64{-1, 16})
	g.Node("Conv", []string{"x", "filter"}, []string{"sum"}, graph.Attr{Name: "pads", Value: []int64{1, 1, 1, 1}})
	g.Node("PRelu", []string{"sum", "slope"}, []string{"bent"})
	g.Node("Reshape", []string{"bent", "flat"}, []string{"row"})
	g.Node("Gemm", []string{"row", "weights", "bias"}, []string{"y"},
		graph.Attr{Name: "alpha", Value: float32(2)}, graph.Attr{Name: "transB", Value: int64(0)})
	g.Output("y", graph.Float32, -1, 1)
	return g
}

func sixteen(v float32) []float32 {
	f := make([]float32, 16)
	for i := range f {
		f[i] = v
	}
	return f
}

// TestRun lets ONNX Runtime judge the file: it loads, it takes any batch, and
// it computes what the graph says.
func TestRun(t *testing.T) {
	b, err := tiny().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	lib, err := os.ReadFile("../../build/assets/libonnxruntime.so")
	if err != nil {
		t.Fatalf("%v; run make assets", err)
	}
	rt, err := onnx.Open(onnx.Config{Runtime: onnx.Library{SOName: "libonnxruntime.so", Bytes: lib}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := rt.NewSession("tiny", b, "x", []string{"y"})
	defer s.Close()

	// On a picture of ones the windows hold 4 (corner), 6 (edge) or 9 ones: 100
	// in all. On minus ones the PReLU halves that.
	in := append(sixteen(1), sixteen(-1)...)
	for _, batch := range []int{1, 2} {
		err := s.Run(t.Context(), []int64{int64(batch), 1, 4, 4}, in[:16*batch], func(out []onnx.Output) error {
			for i, want := range []float32{2*100 - 1, 2*-50 - 1}[:batch] {
				if got := out[0].Data[i]; math.Abs(float64(got-want)) > 1e-4 {
					t.Errorf("batch %d, picture %d: %v, want %v", batch, i, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Metadata("purpose"); err != nil || got != "test" {
		t.Errorf("metadata %q, %v", got, err)
	}
}

func TestMarshalIsDeterministic(t *testing.T) {
	a, _ := tiny().Marshal()
	b, _ := tiny().Marshal()
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Error("the same graph gave other bytes")
	}
}

func TestInvalid(t *testing.T) {
	for want, spoil := range map[string]func(*graph.Graph){
		`tensor "w" has dimensions [2 2] but 3 values`: func(g *graph.Graph) { g.Floats("w", []int64{2, 2}, make([]float32, 3)) },
		`tensor "w" has dimensions [-1]`:               func(g *graph.Graph) { g.Ints("w", []int64{-1}, nil) },
		`tensor "w" has dimensions [65536 65536]`:      func(g *graph.Graph) { g.Ints("w", []int64{1 << 16, 1 << 16}, nil) },
		`Relu takes "later", which nothing before it`:  func(g *graph.Graph) { g.Node("Relu", []string{"later"}, []string{"z"}) },
		`output of Relu "y": the name is empty or`:     func(g *graph.Graph) { g.Node("Relu", []string{"x"}, []string{"y"}) },
		`a node needs an operator and an output`:       func(g *graph.Graph) { g.Node("Relu", []string{"x"}, nil) },
		`nothing defines the output "none"`:            func(g *graph.Graph) { g.Output("none", graph.Float32, 1) },
		`input "x": the name is empty or taken`:        func(g *graph.Graph) { g.Input("x", graph.Float32, 1) },
		`attribute a is a int;`: func(g *graph.Graph) {
			g.Node("Relu", []string{"x"}, []string{"z"}, graph.Attr{Name: "a", Value: 1})
		},
	} {
		g := tiny()
		spoil(g)
		if _, err := g.Marshal(); !errors.Is(err, graph.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if _, err := graph.New("empty", "").Marshal(); !errors.Is(err, graph.ErrInvalid) {
		t.Errorf("empty graph: %v", err)
	}
}
