package main

import (
	"cmp"
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
	config, err := c.engineConfig()
	if err != nil {
		return nil, err
	}
	return engine.Open(config)
}

func (c *call) engineConfig() (none engine.Config, err error) {
	if c.workers < 0 {
		return none, fmt.Errorf("%w: --workers %d; give a number from 1, or leave it out", errUsage, c.workers)
	}
	if c.device != "cpu" {
		if strings.HasPrefix(c.device, "cuda:") {
			return none, fmt.Errorf("device %s: this binary carries the CPU runtime only; use --device cpu", c.device)
		}
		return none, fmt.Errorf("%w: unknown device %q; use cpu", errUsage, c.device)
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
	if err := cmp.Or(packErr, assetErr); err != nil {
		return none, err
	}
	return engine.Config{Runtime: runtime, Pack: p}, nil
}

func (c *call) openPack() (*pack.Pack, error) {
	var (
		p      *pack.Pack
		err    error
		remedy string
	)
	if c.models != "" {
		p, err = pack.OpenPath(c.models)
		remedy = "give --models the directory or file of a pack, or leave it out"
	} else if p, err = pack.Open(gatehouse.DefaultPack.Bytes()); err != nil { // it checks its models itself
		err = fmt.Errorf("the built-in model pack: %w", err)
		remedy = "copy gatehouse again from its release"
	}
	if err != nil && !errors.Is(err, pack.ErrHash) { // which has its remedy
		err = fmt.Errorf("%w; %s", err, remedy)
	}
	return p, err
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
	b, err := readFile(ctx, file)
	if err != nil {
		return nil, err
	}
	p, err := engine.Decode(ctx, b)
	if err != nil {
		return nil, refused(file, err)
	}
	return p, nil
}
