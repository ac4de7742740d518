package onnx

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// Session is one model, ready to run. It is made at its first run, so that a
// command pays only for the models that it uses. Safe for concurrent use.
type Session struct {
	rt      *Runtime
	name    string
	model   []byte
	input   string
	outputs []string

	mu     sync.RWMutex // held for reading by runs, for writing by Close
	once   sync.Once
	s      *ort.DynamicAdvancedSession
	err    error
	closed bool

	shapes  shapes
	buffers sync.Pool // of *[]float32, for outputs of known shape

	runs, nanos atomic.Int64
}

// NewSession describes a session over an ONNX model that stays in memory.
func (r *Runtime) NewSession(name string, model []byte, input string, outputs []string) *Session {
	return &Session{rt: r, name: name, model: model, input: input, outputs: outputs}
}

// Warm makes the session now.
func (s *Session) Warm() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ready()
}

func (s *Session) ready() error {
	if s.closed {
		return fmt.Errorf("%s: %w", s.name, ErrClosed)
	}
	s.once.Do(func() { s.s, s.err = s.create() })
	return s.err
}

func (s *Session) create() (*ort.DynamicAdvancedSession, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	defer o.Destroy()
	// One core a run and no spinning: throughput comes from runs side by side
	// (measured, research "ort" section 3).
	for _, err := range []error{
		o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1),
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	} {
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
		}
	}
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(s.model, []string{s.input}, s.outputs, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	return session, nil
}

// Metadata reads an entry of the model's own metadata; "" where absent.
func (s *Session) Metadata(key string) (string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(); err != nil {
		return "", err
	}
	m, err := s.s.GetModelMetadata()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	defer m.Destroy()
	v, _, err := m.LookupCustomMetadataMap(key)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	return v, nil
}

// Output is one result: its shape and values.
type Output struct {
	Shape []int64
	Data  []float32
}

// Run feeds one float32 tensor. use sees the outputs, which are gone when it
// returns. A cancelled run is stopped inside the network and returns ctx's
// error.
func (s *Session) Run(ctx context.Context, shape []int64, data []float32, use func([]Output) error) error {
	if err := s.rt.enter(ctx); err != nil {
		return err
	}
	defer s.rt.leave()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.ready(); err != nil {
		return err
	}
	in, err := ort.NewTensor(ort.NewShape(shape...), data)
	if err != nil {
		return fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	defer in.Destroy()
	out, known := s.pooled(shape)
	defer func() { s.release(out, known) }()
	start := time.Now()
	err = s.run(ctx, in, out)
	if err != nil && known && ctx.Err() == nil {
		// Its outputs do not follow from its input's shape alone.
		s.release(out, known)
		s.shapes.forget(shape)
		out, known = make([]ort.Value, len(s.outputs)), false
		err = s.run(ctx, in, out)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %v", s.name, ErrModel, err)
	}
	s.runs.Add(1)
	s.nanos.Add(int64(time.Since(start)))
	results := make([]Output, len(out))
	for i, v := range out {
		t, ok := v.(*ort.Tensor[float32])
		if !ok {
			return fmt.Errorf("%s: %w: output %s is not float32", s.name, ErrModel, s.outputs[i])
		}
		results[i] = Output{t.GetShape(), t.GetData()}
	}
	if !known {
		s.shapes.learn(shape, results)
	}
	return use(results)
}

// run ends early when ctx does.
func (s *Session) run(ctx context.Context, in ort.Value, out []ort.Value) error {
	if ctx.Done() == nil {
		return s.s.Run([]ort.Value{in}, out)
	}
	o, err := ort.NewRunOptions()
	if err != nil {
		return err
	}
	defer o.Destroy()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		// It can only fail on options that were destroyed: not before ended.
		_ = o.Terminate()
	})
	err = s.s.RunWithOptions([]ort.Value{in}, out, o)
	if !stop() {
		<-ended
	}
	return err
}

// Spent is how often the session ran and how long in all.
func (s *Session) Spent() (runs int64, total time.Duration) {
	return s.runs.Load(), time.Duration(s.nanos.Load())
}

// Close waits for runs under way and gives the session's memory back.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.s == nil {
		return nil
	}
	return s.s.Destroy()
}
