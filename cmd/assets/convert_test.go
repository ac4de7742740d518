package main

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/engine/onnx"
)

// TestConvert compares the converted networks with the TFLite files, for the
// batch that TFLite fixes and for one picture alone.
func TestConvert(t *testing.T) {
	rt := openRuntime(t)
	mobileFaceNet := foreign(t, "package/android/src/main/assets/MobileFaceNet.tflite")
	for name, b := range map[string][]byte{"tiny": tinyNet(), "MobileFaceNet": mobileFaceNet} {
		net, err := readTFLite(b)
		if err != nil {
			t.Fatal(err)
		}
		shape := net.tensors[net.inputs[0]].shape
		random := rand.New(rand.NewPCG(1, 2))
		in := make([]float32, net.tensors[net.inputs[0]].elements())
		for i := range in {
			in[i] = float32(random.IntN(256))/128 - 1
		}
		want, err := interpret(net, in)
		if err != nil {
			t.Fatal(err)
		}
		model, err := convertTFLite(b, name, "test")
		if err != nil {
			t.Fatal(err)
		}
		s := rt.NewSession(name, model, net.tensors[net.inputs[0]].name, []string{net.tensors[net.outputs[0]].name})
		for _, batch := range []int{2, 1} {
			in, want := in[:len(in)*batch/2], want[:len(want)*batch/2]
			err := s.Run(t.Context(), []int64{int64(batch), int64(shape[1]), int64(shape[2]), int64(shape[3])}, in, func(out []onnx.Output) error {
				t.Logf("%s, batch %d: largest difference %.2g", name, batch, difference(t, out[0].Data, want))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func difference(t *testing.T, got, want []float32) (worst float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
	}
	if !(worst <= 1e-4) {
		t.Errorf("largest difference %g", worst)
	}
	return worst
}

// TestRefused: what the conversion would get wrong, it refuses.
func TestRefused(t *testing.T) {
	conv := func(options fbTable, filter ...int32) []byte {
		n := &testNet{}
		x := n.tensor("x", nil, 1, 4, 4, 2)
		size := int32(1)
		for _, d := range filter {
			size *= d
		}
		c := n.op(opConv, n.tensor("c", nil, 1, 4, 4, 2), options, x,
			n.tensor("w", make([]float32, size), filter...), n.tensor("b", make([]float32, 2), 2))
		return n.file(x, n.op(opReshape, n.tensor("y", nil, 1, 32), fbTable{}, c))
	}
	same := fbTable{byte(padSame), int32(1), int32(1)}
	if _, err := convertTFLite(conv(same, 2, 1, 1, 2), "x", "x"); err != nil {
		t.Fatal(err)
	}
	one := func(code byte, options fbTable, in ...int) []byte {
		n := &testNet{}
		x := n.tensor("x", nil, 1, 4, 4, 2)
		ids := make([]int32, len(in))
		for i, v := range in {
			ids[i] = int32(v)
		}
		return n.file(x, n.op(code, n.tensor("y", nil, 1, 32), options, ids...))
	}
	for want, b := range map[string][]byte{
		"fused activation 1, dilation 1":       conv(fbTable{byte(padSame), int32(1), int32(1), byte(1)}, 2, 1, 1, 2),
		"fused activation 0, dilation 2":       conv(fbTable{byte(padSame), int32(1), int32(1), byte(0), int32(2)}, 2, 1, 1, 2),
		"padding 2":                            conv(fbTable{byte(2), int32(1), int32(1)}, 2, 1, 1, 2),
		"stride 0×1":                           conv(fbTable{byte(0), int32(0), int32(1)}, 2, 1, 1, 2),
		"filter [2 1 1 3]":                     conv(same, 2, 1, 1, 3),
		"filter [3 1 1 2]":                     conv(same, 3, 1, 1, 2),
		"RELU: not a TFLite network":           one(opRelu, nil, 0),
		"ADD: not a TFLite network":            one(opAdd, fbTable{byte(0)}, 0),
		"has the code 9":                       one(9, nil, 0),
		"no tensor 7":                          one(opReshape, fbTable{}, 7),
		"RESHAPE: not a TFLite network that c": one(opReshape, fbTable{}),
		"RESHAPE with options of kind 0":       withoutOptions(),
		"no TFL3 file":                         []byte("\x10\x00\x00\x00TFL2"),
	} {
		_, err := convertTFLite(b, "x", "x")
		if !errors.Is(err, errTFLite) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func withoutOptions() []byte {
	n := &testNet{}
	x := n.tensor("x", nil, 1, 4, 4, 2)
	y := n.op(opReshape, n.tensor("y", nil, 1, 32), nil, x)
	n.ops[0][3] = nil
	return n.file(x, y)
}

// TestTFLiteDamaged cuts the file everywhere and damages every byte of it: an
// error or another network may come of it, never a panic.
func TestTFLiteDamaged(t *testing.T) {
	b := tinyNet()
	for n := range b {
		if _, err := convertTFLite(b[:n], "x", "x"); err == nil && n < len(b)-4 {
			t.Errorf("%d of %d bytes passed for the whole", n, len(b))
		}
	}
	for i := range b {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			c := slices.Clone(b)
			c[i] = v
			_, _ = convertTFLite(c, "x", "x")
		}
	}
}

func FuzzTFLite(f *testing.F) {
	f.Add(tinyNet())
	f.Add([]byte("\x10\x00\x00\x00TFL3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := convertTFLite(b, "x", "x"); err == nil && len(out) == 0 {
			t.Error("no error and no model")
		}
	})
}

const built = "../../build/assets"

func openRuntime(t *testing.T) *onnx.Runtime {
	t.Helper()
	lib, err := os.ReadFile(filepath.Join(built, "libonnxruntime.so"))
	if err != nil {
		t.Fatalf("%v; run make assets", err)
	}
	rt, err := onnx.Open(onnx.Config{Runtime: onnx.Library{SOName: "libonnxruntime.so", Bytes: lib}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// foreign gives a file of an artefact that is in the cache.
func foreign(t *testing.T, path string) []byte {
	t.Helper()
	l, err := readLock("../../assets.lock")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := defaultCache()
	if err != nil {
		t.Fatal(err)
	}
	for i := range l.Artefacts {
		a := &l.Artefacts[i]
		for k, f := range a.Files {
			if f.Path != path {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, a.SHA256)); err != nil {
				t.Fatalf("%s: %v; remove build/assets and run make assets", a.name(), err)
			}
			b, file, err := cache{dir: dir}.get(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			found, err := extract(t.Context(), a, b, file)
			if err != nil {
				t.Fatal(err)
			}
			return found[k]
		}
	}
	t.Fatalf("no %s in assets.lock", path)
	return nil
}
