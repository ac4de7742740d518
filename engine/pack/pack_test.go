package pack_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/engine/pack"
)

// draft is a pack in the making: two models, one licence, a calibration.
type draft struct {
	manifest    pack.Manifest
	calibration pack.Calibration
	content     map[string][]byte // but the manifest and the calibration
}

const calibrationFile = "calibration.json"

func small() *draft {
	model := func(file string, task pack.Task) pack.Model {
		return pack.Model{
			File: pack.File{Name: file}, Name: string(task), Task: task, Dimensions: 4, Outputs: []string{"y"},
			Input: pack.Input{Name: "x", Layout: pack.NCHW, Width: 112, Height: 112, Colour: pack.RGB,
				Mean: []float32{127, 127, 127}, Std: []float32{128, 128, 128}, Batch: 1},
			Licence:    pack.Licence{File: pack.File{Name: "licences/mit.txt"}, SPDX: "MIT"},
			Provenance: pack.Provenance{Package: "test", Upstream: "test", TrainingData: "none"},
			Limits:     []string{"Recognises nobody."},
		}
	}
	return &draft{
		manifest: pack.Manifest{
			Format: pack.FormatVersion, ID: "small", Version: "1", Calibration: pack.File{Name: calibrationFile},
			Models: []pack.Model{model("embed.onnx", pack.FaceEmbed), model("sub/detect.onnx", pack.FaceDetect)},
		},
		calibration: pack.Calibration{
			Match: pack.MatchCalibration{
				EmbeddingID: "small-4", DataSet: "none", SafetyFactor: 3, Match: 0.5, Review: 0.4, Duplicate: 0.6,
				FMR: []pack.RatePoint{{Score: 0.2, Rate: 0.1}, {Score: 0.4, Rate: 0.01}, {Score: 0.5, Rate: 0.01}, {Score: 0.8, Rate: 1e-6}},
			},
			Liveness: pack.LivenessCalibration{Live: 0.5, Attack: 0.3},
		},
		content: map[string][]byte{
			"embed.onnx": []byte("the first model"), "sub/detect.onnx": []byte("the second model"), "licences/mit.txt": []byte("do as you like"),
		},
	}
}

// files gives all of the pack's files, sizes and hashes set where they are not
// yet.
func (d *draft) files(t testing.TB) map[string][]byte {
	t.Helper()
	out := maps.Clone(d.content)
	out[calibrationFile] = encode(t, d.calibration)
	seal := func(f *pack.File) {
		b := out[f.Name]
		sum := sha256.Sum256(b)
		if f.SHA256 == "" {
			f.SHA256 = hex.EncodeToString(sum[:])
		}
		if f.Bytes == 0 {
			f.Bytes = int64(len(b))
		}
	}
	m := d.manifest
	m.Models = slices.Clone(m.Models)
	for i := range m.Models {
		seal(&m.Models[i].File)
		seal(&m.Models[i].Licence.File)
	}
	seal(&m.Calibration)
	out[pack.ManifestFile] = encode(t, m)
	return out
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// zipped makes a pack file, entries stored unless change says otherwise.
func zipped(t testing.TB, files map[string][]byte, change func(*zip.FileHeader)) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		h := &zip.FileHeader{Name: name, CRC32: crc32.ChecksumIEEE(b), CompressedSize64: uint64(len(b)), UncompressedSize64: uint64(len(b))}
		if change != nil {
			change(h)
		}
		create := z.CreateRaw
		if h.Method != zip.Store {
			create = z.CreateHeader
		}
		w, err := create(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// directory writes a pack directory.
func directory(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// forms are the ways to open the same files.
var forms = []struct {
	name string
	open func(t testing.TB, files map[string][]byte) (*pack.Pack, error)
}{
	{"directory", func(t testing.TB, files map[string][]byte) (*pack.Pack, error) {
		return pack.OpenPath(directory(t, files))
	}},
	{"file", func(t testing.TB, files map[string][]byte) (*pack.Pack, error) {
		return pack.OpenPath(filepath.Join(directory(t, map[string][]byte{"small.pack": zipped(t, files, nil)}), "small.pack"))
	}},
	{"memory", func(t testing.TB, files map[string][]byte) (*pack.Pack, error) {
		return pack.Open(zipped(t, files, nil))
	}},
}

func TestOpen(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			d := small()
			p, err := form.open(t, d.files(t))
			if err != nil {
				t.Fatal(err)
			}
			if p.ID != "small" || p.Version != "1" || len(p.Models) != 2 || p.Calibration.Match.EmbeddingID != "small-4" {
				t.Errorf("opened as %+v", p.Manifest)
			}
			for i := range p.Models {
				m := &p.Models[i]
				if want := d.content[m.File.Name]; !bytes.Equal(p.Bytes(m), want) {
					t.Errorf("%s holds %q, want %q", m.File.Name, p.Bytes(m), want)
				}
			}
			if m, err := p.One(pack.FaceDetect); err != nil || m.File.Name != "sub/detect.onnx" {
				t.Errorf("the detector is %+v, %v", m, err)
			}
			if _, err := p.One(pack.FaceEyes); !errors.Is(err, pack.ErrMissing) || !strings.Contains(err.Error(), string(pack.FaceEyes)) {
				t.Errorf("a task without a model: %v", err)
			}
		})
	}
}

func TestModelsKeepTheirOrder(t *testing.T) {
	d := small()
	second := d.manifest.Models[0]
	second.File.Name, second.Name = "a.onnx", "second"
	d.content["a.onnx"] = []byte("the third model")
	d.manifest.Models = append(d.manifest.Models, second)
	for _, form := range forms {
		p, err := form.open(t, d.files(t))
		if err != nil {
			t.Fatal(err)
		}
		if f := p.Find(pack.FaceEmbed); len(f) != 2 || f[0].File.Name != "embed.onnx" || f[1].Name != "second" {
			t.Errorf("%s: the recognisers are %+v", form.name, f)
		}
	}
}

func TestOpenPathNamesThePack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.pack")
	if _, err := pack.OpenPath(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no such file: %v", err)
	}
	if err := os.WriteFile(path, []byte("not a pack"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack.OpenPath(path); !errors.Is(err, pack.ErrFormat) || !strings.Contains(err.Error(), path) {
		t.Errorf("some other file: %v", err)
	}
}

// One flipped bit in any file is noticed, and the file is named. In a
// directory nothing vouches for the manifest itself; in a pack file its
// CRC-32 does.
func TestAnyChangedByte(t *testing.T) {
	clean := small().files(t)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			for name, b := range clean {
				if name == pack.ManifestFile {
					continue
				}
				for _, at := range []int{0, len(b) / 2, len(b) - 1} {
					files := maps.Clone(clean)
					files[name] = flipped(b, at)
					refused(t, form.open, files, pack.ErrHash, name)
				}
				files := maps.Clone(clean)
				files[name] = b[:len(b)-1]
				refused(t, form.open, files, pack.ErrHash, name)
				files[name] = append(slices.Clone(b), 0)
				refused(t, form.open, files, pack.ErrFormat, name)
			}
		})
	}
	t.Run("manifest of a file", func(t *testing.T) {
		whole := zipped(t, clean, nil)
		manifest := clean[pack.ManifestFile]
		start := bytes.Index(whole, manifest)
		for at := range manifest {
			if _, err := pack.Open(flipped(whole, start+at)); !errors.Is(err, pack.ErrFormat) || !strings.Contains(err.Error(), pack.ManifestFile) {
				t.Fatalf("byte %d changed: %v", at, err)
			}
		}
	})
}

func flipped(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

// refused checks that the files are no pack, for the right reason.
func refused(t *testing.T, open func(testing.TB, map[string][]byte) (*pack.Pack, error), files map[string][]byte, want error, says string) {
	t.Helper()
	p, err := open(t, files)
	if p != nil || !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v\nwant %q, naming %q", err, want, says)
	}
}

// typed says whether an error is one of the package's own.
func typed(err error) bool {
	for _, e := range []error{pack.ErrFormat, pack.ErrHash, pack.ErrMissing, pack.ErrLicence, pack.ErrCalibration} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
