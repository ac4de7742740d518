// Package enginetest opens the built assets for tests and measurements. The
// product never imports it.
package enginetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/engine"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

// Asset reads a file of build/assets, wherever in the tree the test runs.
func Asset(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		t.Fatal("no go.mod above the test")
	}
	b, err := os.ReadFile(filepath.Join(dir, "build", "assets", name))
	if err != nil {
		t.Fatal(fmt.Errorf("%w; run make assets", err))
	}
	return b
}

// Runtime is the configuration of the built runtime.
func Runtime(t testing.TB) onnx.Config {
	return onnx.Config{
		Runtime: onnx.Library{SOName: "libonnxruntime.so.1", Bytes: Asset(t, "libonnxruntime.so")},
		Support: []onnx.Library{
			{SOName: "libgcc_s.so.1", Bytes: Asset(t, "libgcc_s.so.1")},
			{SOName: "libstdc++.so.6", Bytes: Asset(t, "libstdc++.so.6")},
		},
	}
}

// Pack opens the default pack.
func Pack(t testing.TB) *pack.Pack {
	t.Helper()
	p, err := pack.Open(Asset(t, "default.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Open opens an engine over the default pack until the test ends.
func Open(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Config{Runtime: Runtime(t), Pack: Pack(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
