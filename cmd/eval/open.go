package main

import (
	"fmt"

	"gatehouse"
	"gatehouse/engine"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

// openEngine opens the engine over the files that the binary carries, with so
// many workers (0: one a core) and all models loaded.
func openEngine(workers int) (*engine.Engine, error) {
	p, err := pack.Open(gatehouse.DefaultPack.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the built-in model pack: %w", err)
	}
	c := onnx.Config{Workers: workers}
	for _, l := range []struct {
		asset gatehouse.Asset
		name  string
	}{{gatehouse.LibGCC, "libgcc_s.so.1"}, {gatehouse.LibStdCxx, "libstdc++.so.6"}, {gatehouse.ONNXRuntime, "libonnxruntime.so.1"}} {
		b, err := l.asset.Open()
		if err != nil {
			return nil, err
		}
		lib := onnx.Library{SOName: l.name, Bytes: b}
		if l.asset == gatehouse.ONNXRuntime {
			c.Runtime = lib
		} else {
			c.Support = append(c.Support, lib)
		}
	}
	e, err := engine.Open(engine.Config{Runtime: c, Pack: p})
	if err != nil {
		return nil, err
	}
	if err := e.Warm(); err != nil {
		return nil, err
	}
	return e, nil
}
