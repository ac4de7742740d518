// Package pack reads model packs: the networks that the engine runs, with what
// is known of them (licence, origin, limits) and the calibration that gives
// their scores a meaning.
//
// A pack is a directory or one file (a zip whose entries are stored, so that a
// model is read in place). A pack with a wrong hash, or without a licence or a
// calibration, is never opened.
package pack

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Limits on what a pack may claim, checked before anything is allocated.
const (
	maxManifest = 1 << 20 // 1 MiB: the default manifest is 10 KiB
	maxModel    = 1 << 30 // 1 GiB: ONNX files end at 2 GiB
	maxModels   = 64
)

// Pack is an opened model pack. Its bytes must not be changed.
type Pack struct {
	Manifest
	Calibration Calibration
	files       map[string][]byte
}

// OpenPath opens a pack directory or pack file.
func OpenPath(path string) (*Pack, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("model pack %s: %w", path, errors.Unwrap(err))
	}
	if st.IsDir() {
		p, err := open(dirSource(path))
		if err != nil {
			return nil, fmt.Errorf("model pack %s: %w", path, err)
		}
		return p, nil
	}
	if st.Size() > maxModels*maxModel || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("model pack %s: %w: %d bytes", path, ErrFormat, st.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("model pack: %w", err)
	}
	p, err := Open(b)
	if err != nil {
		return nil, fmt.Errorf("model pack %s: %w", path, err)
	}
	return p, nil
}

// Open opens a pack file that lies in memory; models are slices of it.
func Open(b []byte) (*Pack, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return open(zipSource{b, z})
}

// source reads a named file, refusing more than limit bytes before reading.
type source interface {
	read(name string, limit int64) ([]byte, error)
}

func open(src source) (*Pack, error) {
	b, err := src.read(ManifestFile, maxManifest)
	if err != nil {
		if errors.Is(err, ErrFormat) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	p := &Pack{files: map[string][]byte{}}
	if err := decode(b, &p.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrFormat, ManifestFile, err)
	}
	if err := p.Manifest.check(); err != nil {
		return nil, err
	}
	for i := range p.Models {
		m := &p.Models[i]
		if p.files[m.File.Name], err = verified(src, m.File); err != nil {
			return nil, err
		}
		if _, err = verified(src, m.Licence.File); err != nil {
			return nil, fmt.Errorf("licence of %s: %w", m.File.Name, err)
		}
	}
	if b, err = verified(src, p.Manifest.Calibration); err != nil {
		return nil, err
	}
	if err := decode(b, &p.Calibration); err != nil {
		return nil, fmt.Errorf("%s: %w: %v", p.Manifest.Calibration.Name, ErrCalibration, err)
	}
	if err := p.Calibration.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Manifest.Calibration.Name, err)
	}
	return p, nil
}

// Bytes are the contents of a model file.
func (p *Pack) Bytes(m *Model) []byte { return p.files[m.File.Name] }

// Find gives the models of a task, in the manifest's order.
func (p *Pack) Find(t Task) []*Model {
	var found []*Model
	for i := range p.Models {
		if p.Models[i].Task == t {
			found = append(found, &p.Models[i])
		}
	}
	return found
}

// One gives the only model of a task.
func (p *Pack) One(t Task) (*Model, error) {
	if f := p.Find(t); len(f) == 1 {
		return f[0], nil
	}
	return nil, fmt.Errorf("model for %s %w", t, ErrMissing)
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one document")
	}
	return nil
}

func (m *Manifest) check() error {
	if m.Format != FormatVersion {
		return fmt.Errorf("%w: format %d; this gatehouse reads format %d", ErrFormat, m.Format, FormatVersion)
	}
	if m.ID == "" || m.Version == "" || len(m.Models) == 0 || len(m.Models) > maxModels {
		return fmt.Errorf("%w: id, version and 1 to %d models are needed", ErrFormat, maxModels)
	}
	if m.Calibration.Name == "" {
		return fmt.Errorf("the pack %w", ErrCalibration)
	}
	one := map[Task]bool{FaceDetect: true, FaceLandmarks: true, FaceLiveness: true, FacePose: true, FaceEyes: true, TextDetect: true, TextRecognise: true}
	seen := map[Task]bool{}
	for i := range m.Models {
		mod := &m.Models[i]
		if err := mod.check(); err != nil {
			return fmt.Errorf("%s: %w", mod.File.Name, err)
		}
		if !one[mod.Task] && mod.Task != FaceEmbed {
			return fmt.Errorf("%s: %w: unknown task %q", mod.File.Name, ErrFormat, mod.Task)
		}
		if one[mod.Task] && seen[mod.Task] {
			return fmt.Errorf("%s: %w: a second model for %s", mod.File.Name, ErrFormat, mod.Task)
		}
		seen[mod.Task] = true
	}
	return nil
}

func (m *Model) check() error {
	in := &m.Input
	c := in.Colour.Channels()
	switch {
	case m.Licence.SPDX == "" || m.Licence.File.Name == "":
		return ErrLicence
	case m.Provenance.Upstream == "" || m.Provenance.TrainingData == "":
		return fmt.Errorf("%w: provenance is needed (\"unknown\" where it is)", ErrFormat)
	case m.Name == "" || in.Name == "" || len(m.Outputs) == 0:
		return fmt.Errorf("%w: name, input.name and outputs are needed", ErrFormat)
	case in.Layout != NCHW && in.Layout != NHWC, in.Colour != RGB && in.Colour != BGR && in.Colour != Grey:
		return fmt.Errorf("%w: input.layout %q, input.colour %q", ErrFormat, in.Layout, in.Colour)
	case len(in.Mean) != c || len(in.Std) != c:
		return fmt.Errorf("%w: input.mean and input.std need %d values", ErrFormat, c)
	case in.Width < 0 || in.Height < 0 || in.Width > 4096 || in.Height > 4096 || in.Batch < 0 || in.Batch > 64:
		return fmt.Errorf("%w: input of %d×%d, batch %d", ErrFormat, in.Width, in.Height, in.Batch)
	case m.Task == FaceEmbed && (m.Dimensions < 1 || m.Dimensions > 8192):
		return fmt.Errorf("%w: dimensions %d", ErrFormat, m.Dimensions)
	}
	for _, s := range in.Std {
		if s <= 0 {
			return fmt.Errorf("%w: input.std must be positive", ErrFormat)
		}
	}
	return nil
}

func verified(src source, f File) ([]byte, error) {
	if !filepath.IsLocal(f.Name) || strings.ContainsRune(f.Name, '\\') {
		return nil, fmt.Errorf("%w: file name %q leaves the pack", ErrFormat, f.Name)
	}
	if f.Bytes < 0 || f.Bytes > maxModel {
		return nil, fmt.Errorf("%s: %w: %d bytes", f.Name, ErrFormat, f.Bytes)
	}
	b, err := src.read(f.Name, f.Bytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("%s %w: the file was changed or damaged; restore it from the release", f.Name, ErrHash)
	}
	return b, nil
}

type dirSource string

func (d dirSource) read(name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Not to wait where a pipe stands for the file.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w", name, ErrMissing)
	}
	if err != nil { // also a link that leaves the directory
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d expected", name, ErrFormat, st.Size(), limit)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

type zipSource struct {
	all []byte
	z   *zip.Reader
}

func (s zipSource) read(name string, limit int64) ([]byte, error) {
	for _, f := range s.z.File {
		if f.Name != name {
			continue
		}
		if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
			return nil, fmt.Errorf("%s: %w: entries must be stored, not compressed", name, ErrFormat)
		}
		off, err := f.DataOffset()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %v", name, ErrFormat, err)
		}
		n := f.UncompressedSize64
		if n > uint64(limit) || off < 0 || uint64(off) > uint64(len(s.all)) || n > uint64(len(s.all))-uint64(off) {
			return nil, fmt.Errorf("%s: %w: %d bytes, at most %d expected", name, ErrFormat, n, limit)
		}
		b := s.all[off : uint64(off)+n : uint64(off)+n]
		// No hash vouches for the manifest, which holds those of all others.
		if name == ManifestFile && crc32.ChecksumIEEE(b) != f.CRC32 {
			return nil, fmt.Errorf("%s: %w: it was changed or damaged", name, ErrFormat)
		}
		return b, nil
	}
	return nil, fmt.Errorf("%s %w", name, ErrMissing)
}
