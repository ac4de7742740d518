package onnx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/engine/graph"
	"gatehouse/engine/onnx"
)

// slow multiplies a matrix a hundred times: seconds of a core in small steps.
func slow(t *testing.T) []byte {
	t.Helper()
	const n = 1024
	unit := make([]float32, n*n)
	for i := range n {
		unit[i*n+i] = 1
	}
	g := graph.New("slow", "onnx_test")
	g.Input("x", graph.Float32, n, n)
	g.Floats("unit", []int64{n, n}, unit)
	last := "x"
	for i := range 100 {
		next := "y"
		if i < 99 {
			next = "step" + string(rune('A'+i/26)) + string(rune('a'+i%26))
		}
		g.Node("MatMul", []string{last, "unit"}, []string{next})
		last = next
	}
	g.Output("y", graph.Float32, n, n)
	return marshal(t, g)
}

var square = []int64{1024, 1024}

func TestCancelledInsideTheNetwork(t *testing.T) {
	s := session(t, open(t, 1), slow(t), "x", "y")
	if err := s.Warm(); err != nil {
		t.Fatal(err)
	}
	values := make([]float32, 1024*1024)
	for _, c := range []struct {
		name  string
		ends  func() (context.Context, context.CancelFunc)
		cause error
	}{
		{"by the caller", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			return ctx, cancel
		}, context.Canceled},
		{"by a deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 50*time.Millisecond)
		}, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := c.ends()
			defer cancel()
			start := time.Now()
			err := s.Run(ctx, square, values, func([]onnx.Output) error {
				t.Error("outputs of a cancelled run were handed out")
				return nil
			})
			if !errors.Is(err, c.cause) {
				t.Errorf("%v, want %v", err, c.cause)
			}
			if took := time.Since(start); took > 350*time.Millisecond {
				t.Errorf("it returned %v after the cancellation", took-50*time.Millisecond)
			}
		})
	}
	if runs, _ := s.Spent(); runs != 0 {
		t.Errorf("%d cancelled runs are counted", runs)
	}
}

// A caller that waits for a worker goes when it is told to, and leaves the
// worker to the next one.
func TestCancelledWhileWaiting(t *testing.T) {
	rt := open(t, 1)
	s := session(t, rt, halves(t), "x", "double")
	inside, leave, held := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		held <- s.Run(context.Background(), four, count, func([]onnx.Output) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	never := func() error { return s.Run(cancelledAfter(20*time.Millisecond), four, count, ignore) }
	work := func() error {
		return rt.Do(cancelledAfter(20*time.Millisecond), func() error { return errors.New("it ran without a worker") })
	}
	for name, wait := range map[string]func() error{"run": never, "other work": work} {
		start := time.Now()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("%s: it waited %v", name, took)
		}
	}
	close(leave)
	if err := errors.Join(<-held, s.Run(t.Context(), four, count, ignore)); err != nil {
		t.Error(err)
	}
}

func cancelledAfter(d time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(d, cancel)
	return ctx
}

func TestCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := session(t, open(t, 1), halves(t), "x", "double")
	for range 100 { // a free worker must not win over the cancellation
		if err := s.Run(ctx, four, count, ignore); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
	}
}
