package main

import (
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/engine/pack"
)

// templates are the vectors of named pictures, side by side.
type templates struct {
	Names   []string
	Dim     int
	Vectors []float32
}

func (t *templates) of(i int) []float32 { return t.Vectors[i*t.Dim : (i+1)*t.Dim] }

// cacheFile names the place of templates by what they are made with and from.
func cacheFile(p *pack.Pack, names []string) string {
	h := sha256.New()
	fmt.Fprintln(h, p.Calibration.Match.EmbeddingID)
	for _, m := range p.Find(pack.FaceEmbed) {
		fmt.Fprintln(h, m.SHA256)
	}
	for _, n := range names {
		fmt.Fprintln(h, n)
	}
	return filepath.Join(buildDir, "eval", fmt.Sprintf("templates-%x.gob", h.Sum(nil)[:8]))
}

// readTemplates gives nil where none are kept.
func readTemplates(file string) (*templates, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var t templates
	if err := gob.NewDecoder(f).Decode(&t); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it", file, err)
	}
	if t.Dim < 1 || len(t.Vectors) != t.Dim*len(t.Names) {
		return nil, fmt.Errorf("%s is not whole; remove it", file)
	}
	return &t, nil
}

// write keeps the templates, whole or not at all.
func (t *templates) write(file string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".templates-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := errors.Join(gob.NewEncoder(f).Encode(t), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
