package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/engine/onnx"
	"gatehouse/engine/pack"
)

// TestDefaultPack opens the pack as the engine does and runs every model on
// the input that its contract promises.
func TestDefaultPack(t *testing.T) {
	p, err := pack.OpenPath(filepath.Join(built, packFile))
	if err != nil {
		t.Fatalf("%v; run make assets", err)
	}
	if p.ID != "gatehouse-default" || len(p.Models) != 9 || len(p.Find(pack.FaceEmbed)) != 2 {
		t.Errorf("pack %s has %d models", p.ID, len(p.Models))
	}
	// 0.4516 is where a false match is measured once in 10,000, and published
	// as three times that.
	if got := p.Calibration.Match.FalseMatchRate(.4516); got < 2.999e-4 || got > 3.001e-4 {
		t.Errorf("published FMR at .4516 is %g", got)
	}
	rt := openRuntime(t)
	for i := range p.Models {
		m := &p.Models[i]
		batch, width, height := 2, m.Input.Width, m.Input.Height
		if m.Input.Batch > 0 {
			batch = m.Input.Batch
		}
		if width == 0 {
			width = 64
		}
		if height == 0 {
			height = 64
		}
		shape := []int64{int64(batch), int64(m.Input.Colour.Channels()), int64(height), int64(width)}
		if m.Input.Layout == pack.NHWC {
			shape = []int64{shape[0], shape[2], shape[3], shape[1]}
		}
		s := rt.NewSession(m.Name, p.Bytes(m), m.Input.Name, m.Outputs)
		err := s.Run(t.Context(), shape, make([]float32, shape[0]*shape[1]*shape[2]*shape[3]), func(out []onnx.Output) error {
			for k, o := range out {
				if o.Shape[0] != int64(batch) {
					t.Errorf("%s: output %s has the shape %v", m.Name, m.Outputs[k], o.Shape)
				}
			}
			if m.Dimensions > 0 && len(out[0].Data) != batch*m.Dimensions {
				t.Errorf("%s: %d values for %d embeddings of %d", m.Name, len(out[0].Data), batch, m.Dimensions)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNotice: whoever adds a foreign file or a Go module adds it to NOTICE.
func TestNotice(t *testing.T) {
	b, err := os.ReadFile("../../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	notice := string(b)
	l, err := readLock("../../assets.lock")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range l.Artefacts {
		for _, f := range a.Files {
			for _, name := range f.Becomes {
				if !strings.HasSuffix(name, ".txt") && !(strings.Contains(notice, filepath.Base(name)) && strings.Contains(notice, a.name())) {
					t.Errorf("NOTICE does not name %s of %s", name, a.name())
				}
			}
		}
	}
	modules, err := goLicences(t.Context(), "../..", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		name, ok := strings.CutPrefix(m.from, "Go module ")
		name, _, _ = strings.Cut(name, " ")
		if ok && !strings.Contains(notice, name) {
			t.Errorf("NOTICE does not name the Go module %s", name)
		}
	}
}
