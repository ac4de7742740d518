// Package onnx runs networks through ONNX Runtime, which is loaded from inside
// the binary: one session a model, shared by all goroutines, each run on one
// core, as many runs at once as there are workers.
//
// It must never hand out a result of a run that was cancelled, and never let
// more runs start than it has workers.
package onnx

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Config says where the runtime comes from.
type Config struct {
	// Runtime is libonnxruntime; Support are the libraries that it needs, in
	// the order to load them.
	Runtime Library
	Support []Library
	// Workers bounds the runs at one time; 0 means one a core.
	Workers int
}

// Runtime admits runs to the cores. It is safe for concurrent use.
type Runtime struct {
	slots chan struct{}
}

// The library keeps its state in the process, once: a second load is the same
// load, and it stays loaded until the process ends.
var process struct {
	sync.Mutex
	loaded bool
}

// Open loads the library, if this process has not done so yet.
func Open(c Config) (*Runtime, error) {
	workers := c.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	r := &Runtime{slots: make(chan struct{}, workers)}
	process.Lock()
	defer process.Unlock()
	if process.loaded {
		return r, nil
	}
	for _, l := range c.Support {
		undo, err := l.loadGlobal()
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %v", ErrRuntime, l.SOName, err)
		}
		defer undo()
	}
	path, undo, err := c.Runtime.place()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrRuntime, c.Runtime.SOName, err)
	}
	defer undo()
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("%w: %s on libc %s: %v", ErrRuntime, c.Runtime.SOName, LibcVersion(), err)
	}
	process.loaded = true
	return r, nil
}

// Version is ONNX Runtime's own.
func (r *Runtime) Version() string { return ort.GetVersion() }

// Workers is the number of runs at one time.
func (r *Runtime) Workers() int { return cap(r.slots) }

// Do runs other heavy work in a worker's place, so that all of it together
// keeps to the cores.
func (r *Runtime) Do(ctx context.Context, work func() error) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return work()
}

func (r *Runtime) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Runtime) leave() { <-r.slots }
