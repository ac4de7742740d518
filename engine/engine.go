// Package engine is perception: bytes in, signals out. It opens a model pack
// and gives the analyser of faces and the reader of documents over it.
//
// It knows no tenant, no clock, no network, and no disk but model files; it
// must never decide about a person.
package engine

import (
	"context"
	"errors"

	"gatehouse/engine/document"
	"gatehouse/engine/face"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
)

// Config says what the engine runs on.
type Config struct {
	Runtime onnx.Config
	Pack    *pack.Pack
}

// Engine is safe for concurrent use until Close.
type Engine struct {
	Faces     *face.Analyser
	Documents *document.Reader

	runtime *onnx.Runtime
	pack    *pack.Pack
}

// Open loads the runtime. Models are loaded at their first use, or by Warm.
func Open(c Config) (*Engine, error) {
	rt, err := onnx.Open(c.Runtime)
	if err != nil {
		return nil, err
	}
	e := &Engine{runtime: rt, pack: c.Pack}
	if e.Faces, err = face.New(rt, c.Pack); err != nil {
		return nil, err
	}
	if e.Documents, err = document.New(rt, c.Pack); err != nil {
		return nil, err
	}
	return e, nil
}

// Pack is the model pack in use.
func (e *Engine) Pack() *pack.Pack { return e.pack }

// Workers is the number of network runs at one time.
func (e *Engine) Workers() int { return e.runtime.Workers() }

// RuntimeVersion is ONNX Runtime's version.
func (e *Engine) RuntimeVersion() string { return e.runtime.Version() }

// Networks lists all networks of the pack that the engine uses.
func (e *Engine) Networks() []*onnx.Network {
	return append(e.Faces.Networks(), e.Documents.Networks()...)
}

// Warm loads all models now, so that no first caller waits and a model that
// cannot be loaded is known at once.
func (e *Engine) Warm() error {
	for _, n := range e.Networks() {
		if err := n.Warm(); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the models' memory back, after the runs under way.
func (e *Engine) Close() error {
	var errs []error
	for _, n := range e.Networks() {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// Sides to which pictures are reduced while they are decoded: the long side
// keeps at least this many pixels (a face then has 24 px between the eyes down
// to a tenth of the picture's width; an MRZ over half of the width keeps
// 22 px a character).
const workingSide = 2000

// Decode reads a picture as the engine uses it.
func Decode(ctx context.Context, data []byte) (*picture.Picture, error) {
	limits := picture.DefaultLimits()
	limits.LongSide = workingSide
	return picture.Decode(ctx, data, limits)
}

// Decode is the package's Decode in a worker's place: no more pictures are
// decoded at a time than there are workers, whatever the number of callers.
func (e *Engine) Decode(ctx context.Context, data []byte) (p *picture.Picture, err error) {
	err = e.runtime.Do(ctx, func() error {
		p, err = Decode(ctx, data)
		return err
	})
	return p, err
}
