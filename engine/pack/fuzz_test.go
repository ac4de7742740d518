package pack_test

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"gatehouse/engine/pack"
)

// sound fails for what must never be handed out: an untyped error, a model
// without its hash or licence, a calibration without a meaning.
func sound(t *testing.T, p *pack.Pack, err error) {
	if err != nil {
		if p != nil || !typed(err) {
			t.Fatalf("%v with the error %v", p, err)
		}
		return
	}
	for i := range p.Models {
		m := &p.Models[i]
		if sum := sha256.Sum256(p.Bytes(m)); hex.EncodeToString(sum[:]) != m.SHA256 {
			t.Errorf("%s was not checked", m.File.Name)
		}
		if m.Licence.SPDX == "" || m.Licence.File.Name == "" {
			t.Errorf("%s has no licence", m.File.Name)
		}
	}
	c := &p.Calibration.Match
	if c.EmbeddingID == "" || c.FalseMatchRate(-2) != 1 || !(c.FalseMatchRate(1) > 0) {
		t.Errorf("calibration %+v", c)
	}
}

func FuzzOpen(f *testing.F) {
	files := small().files(f)
	whole := zipped(f, files, nil)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(zipped(f, files, func(h *zip.FileHeader) { h.Method = zip.Deflate }))
	f.Add(zipped(f, files, func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 40 }))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := pack.Open(b)
		sound(t, p, err)
	})
}

func FuzzManifest(f *testing.F) {
	files := small().files(f)
	f.Add(files[pack.ManifestFile])
	f.Add([]byte(`{"format":1,"id":"a","version":"1","models":[{}],"calibration":{"file":"calibration.json"}}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		files[pack.ManifestFile] = manifest
		p, err := pack.Open(zipped(t, files, nil))
		sound(t, p, err)
	})
}
