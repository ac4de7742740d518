package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"gatehouse"
	"gatehouse/engine"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
	"gatehouse/engine/picture"
)

// openEngine checks the files inside the binary and opens the engine over the
// built-in model pack, or the one that --models names.
func (c *call) openEngine() (*engine.Engine, error) {
	if c.device != "cpu" {
		if strings.HasPrefix(c.device, "cuda:") {
			return nil, fmt.Errorf("device %s: this binary carries the CPU runtime only; use --device cpu", c.device)
		}
		return nil, fmt.Errorf("%w: unknown device %q; use cpu", errUsage, c.device)
	}
	var (
		p        *pack.Pack
		runtime  onnx.Config
		wg       sync.WaitGroup
		packErr  error
		assetErr error
	)
	// Hashing 85 MB: side by side with each other.
	wg.Go(func() { p, packErr = c.openPack() })
	wg.Go(func() { runtime, assetErr = c.runtime() })
	wg.Wait()
	if err := errors.Join(packErr, assetErr); err != nil {
		return nil, err
	}
	return engine.Open(engine.Config{Runtime: runtime, Pack: p})
}

func (c *call) openPack() (*pack.Pack, error) {
	if c.models != "" {
		return pack.OpenPath(c.models)
	}
	// The pack checks its models itself.
	p, err := pack.Open(gatehouse.DefaultPack.Bytes())
	if err != nil {
		return nil, fmt.Errorf("the built-in model pack: %w", err)
	}
	return p, nil
}

func (c *call) runtime() (onnx.Config, error) {
	cfg := onnx.Config{Workers: c.workers}
	for _, l := range []struct {
		asset gatehouse.Asset
		name  string
		to    func(onnx.Library)
	}{
		{gatehouse.LibGCC, "libgcc_s.so.1", func(l onnx.Library) { cfg.Support = append(cfg.Support, l) }},
		{gatehouse.LibStdCxx, "libstdc++.so.6", func(l onnx.Library) { cfg.Support = append(cfg.Support, l) }},
		{gatehouse.ONNXRuntime, "libonnxruntime.so.1", func(l onnx.Library) { cfg.Runtime = l }},
	} {
		b, err := l.asset.Open()
		if err != nil {
			return cfg, err
		}
		l.to(onnx.Library{SOName: l.name, Bytes: b})
	}
	return cfg, nil
}

// open reads and decodes a picture file.
func open(ctx context.Context, file string) (*picture.Picture, error) {
	b, err := readFile(file)
	if err != nil {
		return nil, err
	}
	p, err := engine.Decode(ctx, b)
	if err != nil {
		return nil, refused(file, err)
	}
	return p, nil
}
