package onnx_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/engine/enginetest"
	"gatehouse/engine/graph"
	"gatehouse/engine/onnx"
)

func open(t *testing.T, workers int) *onnx.Runtime {
	t.Helper()
	c := enginetest.Runtime(t)
	c.Workers = workers
	rt, err := onnx.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// halves gives "double" = x + x and "nothing" = x - x of four values, and
// their "shape", which is not float32.
func halves(t *testing.T) []byte {
	t.Helper()
	g := graph.New("halves", "onnx_test")
	g.Input("x", graph.Float32, -1, 4)
	g.Node("Add", []string{"x", "x"}, []string{"double"})
	g.Node("Sub", []string{"x", "x"}, []string{"nothing"})
	g.Node("Shape", []string{"x"}, []string{"shape"})
	g.Output("double", graph.Float32, -1, 4)
	g.Output("nothing", graph.Float32, -1, 4)
	g.Output("shape", graph.Int64, 2)
	return marshal(t, g)
}

func marshal(t *testing.T, g *graph.Graph) []byte {
	t.Helper()
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func session(t *testing.T, rt *onnx.Runtime, model []byte, input string, outputs ...string) *onnx.Session {
	t.Helper()
	s := rt.NewSession("the model", model, input, outputs)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var (
	four  = []int64{1, 4}
	count = []float32{1, 2, 3, 4}
)

func ignore([]onnx.Output) error { return nil }

func TestOutputsComeAsAsked(t *testing.T) {
	rt := open(t, 1)
	for _, names := range [][]string{{"double", "nothing"}, {"nothing", "double"}, {"double"}} {
		s := session(t, rt, halves(t), "x", names...)
		err := s.Run(t.Context(), four, count, func(out []onnx.Output) error {
			if len(out) != len(names) {
				t.Fatalf("%d outputs, want %v", len(out), names)
			}
			for i, name := range names {
				want := map[string]float32{"double": 8, "nothing": 0}[name]
				if len(out[i].Shape) != 2 || out[i].Shape[1] != 4 || out[i].Data[3] != want {
					t.Errorf("asked for %v: output %d is %+v, want %s", names, i, out[i], name)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if runs, spent := s.Spent(); runs != 1 || spent <= 0 {
			t.Errorf("it says that it ran %d times in %v", runs, spent)
		}
	}
}

func TestErrorOfTheCallerComesBack(t *testing.T) {
	mine := errors.New("mine")
	if err := session(t, open(t, 1), halves(t), "x", "double").Run(t.Context(), four, count, func([]onnx.Output) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
}

// A model that is of no use says so by its name, each time it is asked.
func TestUselessModels(t *testing.T) {
	rt := open(t, 1)
	whole := halves(t)
	for _, c := range []struct {
		name    string
		model   []byte
		input   string
		outputs []string
		shape   []int64
		values  []float32
	}{
		{"nothing", nil, "x", []string{"double"}, four, count},
		{"garbage", []byte("this is no model"), "x", []string{"double"}, four, count},
		{"cut off", whole[:len(whole)/2], "x", []string{"double"}, four, count},
		{"another input", whole, "picture", []string{"double"}, four, count},
		{"another output", whole, "x", []string{"embedding"}, four, count},
		{"an output of integers", whole, "x", []string{"shape"}, four, count},
		{"another shape", whole, "x", []string{"double"}, []int64{1, 2, 2}, count},
		{"fewer values than the shape has", whole, "x", []string{"double"}, four, count[:3]},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := session(t, rt, c.model, c.input, c.outputs...)
			for range 2 {
				err := s.Run(t.Context(), c.shape, c.values, func([]onnx.Output) error {
					t.Error("outputs were handed out")
					return nil
				})
				if !errors.Is(err, onnx.ErrModel) || !strings.Contains(err.Error(), "the model") {
					t.Errorf("%v", err)
				}
			}
		})
	}
	for range 2 {
		if err := session(t, rt, []byte("garbage"), "x", "y").Warm(); !errors.Is(err, onnx.ErrModel) {
			t.Errorf("warming garbage: %v", err)
		}
	}
}

func TestClosed(t *testing.T) {
	rt := open(t, 1)
	for _, used := range []bool{true, false} {
		s := rt.NewSession("the model", halves(t), "x", []string{"double"})
		if used {
			if err := s.Run(t.Context(), four, count, ignore); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("used %t: %v", used, err)
			}
			_, err := s.Metadata("purpose")
			for what, err := range map[string]error{"run": s.Run(t.Context(), four, count, ignore), "warm": s.Warm(), "metadata": err} {
				if !errors.Is(err, onnx.ErrClosed) || !strings.Contains(err.Error(), "the model") {
					t.Errorf("used %t: %s after Close: %v", used, what, err)
				}
			}
		}
	}
}

func TestCloseWaitsForRuns(t *testing.T) {
	s := session(t, open(t, 1), halves(t), "x", "double")
	inside, leave, ran, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		ran <- s.Run(context.Background(), four, count, func(out []onnx.Output) error {
			close(inside)
			<-leave
			if out[0].Data[3] != 8 {
				t.Errorf("the outputs became %v", out[0].Data)
			}
			return nil
		})
	}()
	<-inside
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("closed under a run")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	if err := errors.Join(<-ran, <-closed); err != nil {
		t.Error(err)
	}
}

// Whatever the number of callers, no more runs at a time than workers.
func TestWorkersBoundRuns(t *testing.T) {
	for _, workers := range []int{1, 3} {
		rt := open(t, workers)
		if rt.Workers() != workers {
			t.Errorf("%d workers, want %d", rt.Workers(), workers)
		}
		sessions := []*onnx.Session{session(t, rt, halves(t), "x", "double"), session(t, rt, halves(t), "x", "nothing")}
		var (
			mu        sync.Mutex
			now, most int
			wg        sync.WaitGroup
		)
		step := func(d int) {
			mu.Lock()
			defer mu.Unlock()
			now += d
			most = max(most, now)
		}
		for i := range 32 {
			wg.Go(func() {
				err := sessions[i%2].Run(t.Context(), four, count, func([]onnx.Output) error {
					step(1)
					defer step(-1)
					time.Sleep(5 * time.Millisecond)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != workers {
			t.Errorf("%d runs at a time with %d workers", most, workers)
		}
	}
}
