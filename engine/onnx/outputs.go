package onnx

import (
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// maxShapes bounds what a session remembers: text lines come in about 200
// widths.
const maxShapes = 512

// shapes remembers which output shapes an input shape led to, so that the next
// run writes into memory that is there already. Left to itself the binding
// takes new memory for every output and copies into it.
type shapes struct {
	mu    sync.RWMutex
	known map[string][][]int64
}

func (s *shapes) of(input []int64) ([][]int64, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, ok := s.known[fmt.Sprint(input)]
	return out, ok
}

func (s *shapes) learn(input []int64, outputs []Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string][][]int64{}
	}
	if len(s.known) >= maxShapes {
		return
	}
	list := make([][]int64, len(outputs))
	for i, o := range outputs {
		list[i] = o.Shape
	}
	s.known[fmt.Sprint(input)] = list
}

func (s *shapes) forget(input []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, fmt.Sprint(input))
}

// pooled gives outputs over pooled memory where their shapes are known, else
// empty places that the runtime fills.
func (s *Session) pooled(input []int64) (out []ort.Value, known bool) {
	out = make([]ort.Value, len(s.outputs))
	list, ok := s.shapes.of(input)
	if !ok {
		return out, false
	}
	for i, shape := range list {
		n := int(ort.NewShape(shape...).FlattenedSize())
		buf, _ := s.buffers.Get().(*[]float32)
		if buf == nil {
			buf = new([]float32)
		}
		if cap(*buf) < n {
			*buf = make([]float32, n)
		}
		t, err := ort.NewTensor(ort.NewShape(shape...), (*buf)[:n])
		if err != nil {
			s.release(out, true)
			return make([]ort.Value, len(s.outputs)), false
		}
		out[i] = t
	}
	return out, true
}

// release destroys outputs, and gives their memory back where it was pooled.
// They are not to be used after.
func (s *Session) release(out []ort.Value, known bool) {
	for i, v := range out {
		if v == nil {
			continue
		}
		if t, ok := v.(*ort.Tensor[float32]); ok && known {
			buf := t.GetData()
			s.buffers.Put(&buf)
		}
		v.Destroy()
		out[i] = nil
	}
}
