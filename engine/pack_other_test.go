package engine_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/engine"
	"gatehouse/engine/enginetest"
	"gatehouse/engine/face"
	"gatehouse/engine/graph"
	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

// variant says how another pack's recogniser differs.
type variant struct {
	layout      pack.Layout
	batch       int // 0: any
	values      int // that it gives
	declared    int // that the pack says it gives
	recognisers int
}

const side = 112

// recogniser averages 16×16 blocks of the face and mixes them with weights
// from a seed: not a good recogniser, but one of the right shape.
func recogniser(t *testing.T, v variant) []byte {
	t.Helper()
	batch := int64(v.batch)
	if batch == 0 {
		batch = -1
	}
	const blocks = 3 * (side / 16) * (side / 16)
	r := rand.New(rand.NewPCG(64, 112))
	weights := make([]float32, blocks*v.values)
	for i := range weights {
		weights[i] = float32(r.NormFloat64())
	}
	g := graph.New("blocks", "engine_test")
	planes := "face"
	if v.layout == pack.NHWC {
		g.Input("face", graph.Float32, batch, side, side, 3)
		planes = "planes"
		g.Node("Transpose", []string{"face"}, []string{planes}, graph.Attr{Name: "perm", Value: []int64{0, 3, 1, 2}})
	} else {
		g.Input("face", graph.Float32, batch, 3, side, side)
	}
	g.Floats("weights", []int64{blocks, int64(v.values)}, weights)
	g.Node("AveragePool", []string{planes}, []string{"means"},
		graph.Attr{Name: "kernel_shape", Value: []int64{16, 16}}, graph.Attr{Name: "strides", Value: []int64{16, 16}})
	g.Node("Flatten", []string{"means"}, []string{"row"})
	g.Node("Gemm", []string{"row", "weights"}, []string{"template"})
	g.Output("template", graph.Float32, batch, int64(v.values))
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var otherCalibration = pack.Calibration{
	Match: pack.MatchCalibration{
		EmbeddingID: "test-64", DataSet: "made up", SafetyFactor: 2, Review: 0.6, Match: 0.8, Duplicate: 0.9,
		FMR: []pack.RatePoint{{Score: 0.5, Rate: 0.1}, {Score: 0.8, Rate: 0.01}, {Score: 0.99, Rate: 0.001}},
	},
	Liveness: pack.LivenessCalibration{Live: 0.5, Attack: 0.3, MinContext: 1.5},
}

// otherPack gives the files of a pack with this recogniser; the other models
// and their licences are the default pack's.
func otherPack(t *testing.T, v variant) map[string][]byte {
	t.Helper()
	p := enginetest.Pack(t)
	z, err := zip.NewReader(bytes.NewReader(enginetest.Asset(t, "default.pack")), int64(len(enginetest.Asset(t, "default.pack"))))
	if err != nil {
		t.Fatal(err)
	}
	model := recogniser(t, v)
	m := pack.Manifest{Format: pack.FormatVersion, ID: "test", Version: "1"}
	files := map[string][]byte{"blocks.onnx": model, "licences/mine.txt": []byte("do as you like"), "calibration.json": encoded(t, otherCalibration)}
	for i := range p.Models {
		old := p.Models[i]
		if old.Task == pack.FaceEmbed {
			continue
		}
		files[old.File.Name] = p.Bytes(&old)
		licence, err := z.Open(old.Licence.File.Name)
		if err != nil {
			t.Fatal(err)
		}
		if files[old.Licence.File.Name], err = io.ReadAll(licence); err != nil {
			t.Fatal(err)
		}
		m.Models = append(m.Models, old)
	}
	for range v.recognisers {
		m.Models = append(m.Models, pack.Model{
			File: sealed("blocks.onnx", model), Name: "test.recogniser", Task: pack.FaceEmbed, Outputs: []string{"template"}, Dimensions: v.declared,
			Input: pack.Input{Name: "face", Layout: v.layout, Width: side, Height: side, Colour: pack.RGB, Batch: v.batch,
				Mean: []float32{127.5, 127.5, 127.5}, Std: []float32{128, 128, 128}},
			Licence:    pack.Licence{File: sealed("licences/mine.txt", files["licences/mine.txt"]), SPDX: "0BSD"},
			Provenance: pack.Provenance{Package: "none", Upstream: "engine_test", TrainingData: "none"},
		})
	}
	m.Calibration = sealed("calibration.json", files["calibration.json"])
	files[pack.ManifestFile] = encoded(t, m)
	return files
}

func sealed(name string, b []byte) pack.File {
	sum := sha256.Sum256(b)
	return pack.File{Name: name, Bytes: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asDirectory and asFile write a pack and give its path.
func asDirectory(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func asFile(t *testing.T, files map[string][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.pack")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, b := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func openPack(t *testing.T, path string) *engine.Engine {
	t.Helper()
	p, err := pack.OpenPath(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(engine.Config{Runtime: enginetest.Runtime(t), Pack: p})
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

// Another recogniser, of another dimension, works by its pack alone.
func TestAnotherPack(t *testing.T) {
	ctx := context.Background()
	obama, biden := scaled(sample(t, "obama"), 300), scaled(sample(t, "biden"), 300)
	old, err := look(ctx, enginetest.Open(t).Faces, obama)
	if err != nil {
		t.Fatal(err)
	}
	var first face.Template
	for _, c := range []struct {
		name  string
		write func(*testing.T, map[string][]byte) string
		v     variant
	}{
		{"directory", asDirectory, variant{pack.NCHW, 0, 64, 64, 1}},
		{"file", asFile, variant{pack.NCHW, 0, 64, 64, 1}},
		{"one picture a run", asFile, variant{pack.NCHW, 1, 64, 64, 1}},
		{"interleaved", asFile, variant{pack.NHWC, 0, 64, 64, 1}},
		{"interleaved, one picture a run", asFile, variant{pack.NHWC, 1, 64, 64, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := openPack(t, c.write(t, otherPack(t, c.v)))
			if err := e.Warm(); err != nil {
				t.Fatal(err)
			}
			s, err := look(ctx, e.Faces, obama)
			if err != nil {
				t.Fatal(err)
			}
			if v := s.template; len(v.Vector) != 64 || len(v.Strength) != 1 || !near(length(v.Vector), 1) || v.Model != "test-64" {
				t.Errorf("a template of %d values, length %v, space %q, strength %v", len(v.Vector), length(v.Vector), v.Model, v.Strength)
			}
			if first.Vector == nil {
				first = s.template
			}
			if !slices.EqualFunc(first.Vector, s.template.Vector, func(x, y float32) bool { return near(float64(x), float64(y)) }) {
				t.Errorf("the layout changes the template:\n%v\n%v", first.Vector, s.template.Vector)
			}
			r, err := e.Faces.Compare(s.template, s.template)
			if err != nil || !near(r.Similarity, 1) || !r.Match || r.Model != "test-64" {
				t.Errorf("the same picture compares as %+v, %v", r, err)
			}
			if !near(r.FMR, 2*0.001) || r.Threshold != 0.8 || !near(r.ThresholdFMR, 2*0.01) {
				t.Errorf("%+v: not the new calibration's rates", r)
			}
			other, err := look(ctx, e.Faces, biden)
			if err != nil {
				t.Fatal(err)
			}
			if r, err = e.Faces.Compare(s.template, other.template); err != nil || r.Similarity > 0.99 {
				t.Errorf("another picture compares as %+v, %v", r, err)
			}
			for _, pair := range [][2]face.Template{{old.template, s.template}, {s.template, old.template}, {old.template, old.template}} {
				if _, err := e.Faces.Compare(pair[0], pair[1]); !errors.Is(err, face.ErrSpace) {
					t.Errorf("a template of the default pack: %v", err)
				}
			}
		})
	}
}

func length(v []float32) float64 {
	s := 0.0
	for _, x := range v {
		s += float64(x) * float64(x)
	}
	return math.Sqrt(s)
}

// A second recogniser's vector stands beside the first one's.
func TestPackOfTwoRecognisers(t *testing.T) {
	e := openPack(t, asFile(t, otherPack(t, variant{pack.NCHW, 0, 64, 64, 2})))
	s, err := look(t.Context(), e.Faces, scaled(sample(t, "obama"), 300))
	if err != nil {
		t.Fatal(err)
	}
	if v := s.template; len(v.Vector) != 128 || len(v.Strength) != 2 || !near(length(v.Vector), 1) || !near(float64(v.Vector[0]), float64(v.Vector[64])) {
		t.Errorf("%d values of length %v", len(v.Vector), length(v.Vector))
	}
}

// A model that is not what its pack says is named.
func TestPackThatSaysTheWrongThing(t *testing.T) {
	p := scaled(sample(t, "obama"), 300)
	for _, c := range []struct {
		name string
		v    variant
		want error
	}{
		{"fewer values than it gives", variant{pack.NCHW, 0, 64, 32, 1}, face.ErrUnsuitable},
		{"more values than it gives", variant{pack.NCHW, 1, 64, 128, 1}, face.ErrUnsuitable},
		{"another layout", variant{pack.NHWC, 1, 64, 64, 1}, onnx.ErrModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := otherPack(t, c.v)
			if c.want == onnx.ErrModel {
				files[pack.ManifestFile] = bytes.ReplaceAll(files[pack.ManifestFile], []byte(`"nhwc"`), []byte(`"nchw"`))
			}
			_, err := look(t.Context(), openPack(t, asFile(t, files)).Faces, p)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "test.recogniser") {
				t.Errorf("%v", err)
			}
		})
	}
}

// What the pipeline cannot run is refused before anybody waits for a result.
func TestPackThatDoesNotFit(t *testing.T) {
	manifest := func(change func(*pack.Manifest)) func(map[string][]byte) {
		return func(files map[string][]byte) {
			var m pack.Manifest
			if err := json.Unmarshal(files[pack.ManifestFile], &m); err != nil {
				t.Fatal(err)
			}
			change(&m)
			files[pack.ManifestFile] = encoded(t, m)
		}
	}
	last := func(m *pack.Manifest) *pack.Model { return &m.Models[len(m.Models)-1] }
	for _, c := range []struct {
		name  string
		spoil func(map[string][]byte)
		want  error
		says  string
	}{
		{"no recogniser", manifest(func(m *pack.Manifest) { m.Models = m.Models[:len(m.Models)-1] }), pack.ErrMissing, "face-embed"},
		{"no detector", manifest(func(m *pack.Manifest) { m.Models = m.Models[1:] }), pack.ErrMissing, "face-detect"},
		{"a recogniser of 96 pixels", manifest(func(m *pack.Manifest) { last(m).Input.Width = 96 }), face.ErrUnsuitable, "blocks.onnx"},
		{"a recogniser of eight faces at once", manifest(func(m *pack.Manifest) { last(m).Input.Batch = 8 }), face.ErrUnsuitable, "blocks.onnx"},
		{"a recogniser of two outputs", manifest(func(m *pack.Manifest) { last(m).Outputs = []string{"a", "b"} }), face.ErrUnsuitable, "blocks.onnx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := otherPack(t, variant{pack.NCHW, 0, 64, 64, 1})
			c.spoil(files)
			p, err := pack.OpenPath(asFile(t, files))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := engine.Open(engine.Config{Runtime: enginetest.Runtime(t), Pack: p}); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v\nwant %q, naming %s", err, c.want, c.says)
			}
		})
	}
}
