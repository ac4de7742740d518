package pack_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/engine/pack"
)

func TestRefuses(t *testing.T) {
	type spoil = func(d *draft)
	first := func(change func(m *pack.Model)) spoil { return func(d *draft) { change(&d.manifest.Models[0]) } }
	moved := func(to string) spoil {
		return func(d *draft) {
			d.content[to] = d.content["embed.onnx"]
			d.manifest.Models[0].File.Name = to
		}
	}
	match := func(change func(m *pack.MatchCalibration)) spoil {
		return func(d *draft) { change(&d.calibration.Match) }
	}
	for _, c := range []struct {
		name  string
		spoil spoil
		want  error
		says  string
	}{
		{"a model's file is missing", func(d *draft) { delete(d.content, "embed.onnx") }, pack.ErrMissing, "embed.onnx"},
		{"a licence's file is missing", func(d *draft) { delete(d.content, "licences/mit.txt") }, pack.ErrMissing, "licences/mit.txt"},
		{"a model names no licence file", first(func(m *pack.Model) { m.Licence.File.Name = "" }), pack.ErrLicence, "embed.onnx"},
		{"a model names no licence", first(func(m *pack.Model) { m.Licence.SPDX = "" }), pack.ErrLicence, "embed.onnx"},
		{"no calibration", func(d *draft) { d.manifest.Calibration.Name = "" }, pack.ErrCalibration, "pack"},
		{"the calibration's file is missing", func(d *draft) { d.manifest.Calibration.Name = "other.json" }, pack.ErrMissing, "other.json"},
		{"no origin", first(func(m *pack.Model) { m.Provenance.TrainingData = "" }), pack.ErrFormat, "provenance"},
		{"another format", func(d *draft) { d.manifest.Format = 2 }, pack.ErrFormat, "format 2"},
		{"no id", func(d *draft) { d.manifest.ID = "" }, pack.ErrFormat, "id"},
		{"no models", func(d *draft) { d.manifest.Models = nil }, pack.ErrFormat, "models"},
		{"65 models", func(d *draft) {
			for len(d.manifest.Models) < 65 {
				d.manifest.Models = append(d.manifest.Models, d.manifest.Models[0])
			}
		}, pack.ErrFormat, "64"},
		{"two detectors", first(func(m *pack.Model) { m.Task = pack.FaceDetect }), pack.ErrFormat, "second model for face-detect"},
		{"an unknown task", first(func(m *pack.Model) { m.Task = "face-swap" }), pack.ErrFormat, "face-swap"},
		{"an unknown layout", first(func(m *pack.Model) { m.Input.Layout = "hwcn" }), pack.ErrFormat, "hwcn"},
		{"an unknown colour", first(func(m *pack.Model) { m.Input.Colour = "cmyk" }), pack.ErrFormat, "cmyk"},
		{"a mean of one channel of three", first(func(m *pack.Model) { m.Input.Mean = []float32{127} }), pack.ErrFormat, "input.mean"},
		{"a division by nothing", first(func(m *pack.Model) { m.Input.Std = []float32{1, 0, 1} }), pack.ErrFormat, "input.std"},
		{"a negative side", first(func(m *pack.Model) { m.Input.Width = -1 }), pack.ErrFormat, "-1"},
		{"a giant input", first(func(m *pack.Model) { m.Input.Height = 1 << 20 }), pack.ErrFormat, "1048576"},
		{"an embedding without a length", first(func(m *pack.Model) { m.Dimensions = 0 }), pack.ErrFormat, "dimensions"},
		{"no output", first(func(m *pack.Model) { m.Outputs = nil }), pack.ErrFormat, "outputs"},
		{"a path upwards", moved("../embed.onnx"), pack.ErrFormat, "../embed.onnx"},
		{"a path up and down", moved("sub/../../embed.onnx"), pack.ErrFormat, "sub/../../embed.onnx"},
		{"an absolute path", moved("/etc/hostname"), pack.ErrFormat, "/etc/hostname"},
		{"a licence outside", func(d *draft) {
			d.content["../mit.txt"] = d.content["licences/mit.txt"]
			d.manifest.Models[0].Licence.File.Name = "../mit.txt"
		}, pack.ErrFormat, "../mit.txt"},
		{"a calibration outside", func(d *draft) { d.manifest.Calibration.Name = "../calibration.json" }, pack.ErrFormat, "../calibration.json"},
		{"a path of another system", moved(`..\embed.onnx`), pack.ErrFormat, "embed.onnx"},
		{"a declared size below nothing", first(func(m *pack.Model) { m.File.Bytes = -1 }), pack.ErrFormat, "embed.onnx"},
		{"a declared size beyond a model's", first(func(m *pack.Model) { m.File.Bytes = 1 << 40 }), pack.ErrFormat, "embed.onnx"},
		{"a hash of something else", first(func(m *pack.Model) { m.File.SHA256 = strings.Repeat("0", 64) }), pack.ErrHash, "embed.onnx"},

		{"no embedding id", match(func(m *pack.MatchCalibration) { m.EmbeddingID = "" }), pack.ErrCalibration, calibrationFile},
		{"no data set", match(func(m *pack.MatchCalibration) { m.DataSet = "" }), pack.ErrCalibration, calibrationFile},
		{"a safety factor of 0", match(func(m *pack.MatchCalibration) { m.SafetyFactor = 0 }), pack.ErrCalibration, "safety_factor"},
		{"a safety factor that flatters", match(func(m *pack.MatchCalibration) { m.SafetyFactor = 0.5 }), pack.ErrCalibration, "safety_factor"},
		{"one rate", match(func(m *pack.MatchCalibration) { m.FMR = m.FMR[:1] }), pack.ErrCalibration, "fmr"},
		{"falling scores", match(func(m *pack.MatchCalibration) { m.FMR[1].Score = 0.1 }), pack.ErrCalibration, "fmr"},
		{"one score twice", match(func(m *pack.MatchCalibration) { m.FMR[1].Score = m.FMR[0].Score }), pack.ErrCalibration, "fmr"},
		{"rising rates", match(func(m *pack.MatchCalibration) { m.FMR[3].Rate = 0.02 }), pack.ErrCalibration, "fmr"},
		{"a rate of 0", match(func(m *pack.MatchCalibration) { m.FMR[3].Rate = 0 }), pack.ErrCalibration, "fmr"},
		{"a rate above 1", match(func(m *pack.MatchCalibration) { m.FMR[0].Rate = 1.5 }), pack.ErrCalibration, "fmr"},
		{"review above match", match(func(m *pack.MatchCalibration) { m.Review = 0.55 }), pack.ErrCalibration, "thresholds"},
		{"match above duplicate", match(func(m *pack.MatchCalibration) { m.Match = 0.65 }), pack.ErrCalibration, "thresholds"},
		{"attack above live", func(d *draft) { d.calibration.Liveness.Attack = 0.6 }, pack.ErrCalibration, "liveness"},
		{"everything is live", func(d *draft) { d.calibration.Liveness = pack.LivenessCalibration{} }, pack.ErrCalibration, "liveness"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, form := range forms {
				d := small()
				c.spoil(d)
				refused(t, form.open, d.files(t), c.want, c.says)
			}
		})
	}
}

// A manifest or calibration that says more than is understood is not half
// understood.
func TestUnknownJSON(t *testing.T) {
	more := func(b []byte) []byte { return append([]byte(`{"trust_me":true,`), b[1:]...) }
	twice := func(b []byte) []byte { return append(b, b...) }
	for _, form := range forms {
		files := small().files(t)
		for _, spoil := range []func([]byte) []byte{more, twice, func([]byte) []byte { return []byte("[]") }, func([]byte) []byte { return nil }} {
			changed := maps.Clone(files)
			changed[pack.ManifestFile] = spoil(files[pack.ManifestFile])
			refused(t, form.open, changed, pack.ErrFormat, pack.ManifestFile)
		}
		without := maps.Clone(files)
		delete(without, pack.ManifestFile)
		refused(t, form.open, without, pack.ErrFormat, pack.ManifestFile)
		for _, spoil := range []func([]byte) []byte{more, twice} {
			d := small()
			d.content[calibrationFile] = spoil(files[calibrationFile])
			changed := sealed(t, d)
			refused(t, form.open, changed, pack.ErrCalibration, calibrationFile)
		}
	}
}

// sealed gives the draft's files with its own bytes for the calibration, hash
// and size being right.
func sealed(t *testing.T, d *draft) map[string][]byte {
	t.Helper()
	raw := d.content[calibrationFile]
	d.content["raw"] = raw
	d.manifest.Calibration.Name = "raw"
	files := d.files(t)
	delete(files, "raw")
	files[calibrationFile] = raw
	files[pack.ManifestFile] = bytes.Replace(files[pack.ManifestFile], []byte(`"file":"raw"`), []byte(`"file":"`+calibrationFile+`"`), 1)
	return files
}

func TestCompressedEntry(t *testing.T) {
	for _, name := range []string{pack.ManifestFile, "embed.onnx", "licences/mit.txt", calibrationFile} {
		b := zipped(t, small().files(t), func(h *zip.FileHeader) {
			if h.Name == name {
				h.Method = zip.Deflate
			}
		})
		if _, err := pack.Open(b); !errors.Is(err, pack.ErrFormat) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "stored") {
			t.Errorf("%s is compressed: %v", name, err)
		}
	}
}

func TestCutOff(t *testing.T) {
	b := zipped(t, small().files(t), nil)
	for n := range b {
		if _, err := pack.Open(b[:n]); !errors.Is(err, pack.ErrFormat) {
			t.Fatalf("the first %d bytes of %d: %v", n, len(b), err)
		}
	}
}

// What stands for a file in a directory must be a file of that directory.
func TestDirectoryHoldsOtherThings(t *testing.T) {
	outside := directory(t, map[string][]byte{"embed.onnx": small().content["embed.onnx"]})
	for _, c := range []struct {
		name string
		put  func(path string) error
	}{
		{"a link out of the pack", func(path string) error { return os.Symlink(filepath.Join(outside, "embed.onnx"), path) }},
		{"a link to itself", func(path string) error { return os.Symlink("embed.onnx", path) }},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }},
		{"a pipe that nobody writes to", func(path string) error { return unix.Mkfifo(path, 0o600) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := directory(t, small().files(t))
			path := filepath.Join(dir, "embed.onnx")
			if err := errors.Join(os.Remove(path), c.put(path)); err != nil {
				t.Fatal(err)
			}
			refusedAtOnce(t, dir, "embed.onnx")
		})
	}
}

func TestPathIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.pack")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, os.DevNull} {
		refusedAtOnce(t, path, path)
	}
}

func refusedAtOnce(t *testing.T, path, says string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := pack.OpenPath(path)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, pack.ErrFormat) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v\nwant %q, naming %q", err, pack.ErrFormat, says)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("opening %s hangs", path)
	}
}

func TestLinkInsideThePack(t *testing.T) {
	dir := directory(t, small().files(t))
	err := errors.Join(os.Rename(filepath.Join(dir, "embed.onnx"), filepath.Join(dir, "v1.onnx")), os.Symlink("v1.onnx", filepath.Join(dir, "embed.onnx")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pack.OpenPath(dir); err != nil {
		t.Error(err)
	}
}

// Sizes are judged before memory is taken for them.
func TestClaimsCostNothing(t *testing.T) {
	const claim = 1 << 30
	d := small()
	d.manifest.Models[0].File.Bytes, d.manifest.Models[0].File.SHA256 = claim, strings.Repeat("0", 64)
	files := d.files(t)
	for _, c := range []struct {
		name string
		open func(t *testing.T) (*pack.Pack, error)
		want error
	}{
		{"the manifest claims a gigabyte, the directory has less", func(t *testing.T) (*pack.Pack, error) { return pack.OpenPath(directory(t, files)) }, pack.ErrHash},
		{"the manifest claims a gigabyte, the file has less", func(t *testing.T) (*pack.Pack, error) { return pack.Open(zipped(t, files, nil)) }, pack.ErrHash},
		{"the directory has a terabyte", func(t *testing.T) (*pack.Pack, error) {
			dir := directory(t, files)
			if err := os.Truncate(filepath.Join(dir, "embed.onnx"), 1<<40); err != nil {
				t.Fatal(err)
			}
			return pack.OpenPath(dir)
		}, pack.ErrFormat},
		{"a manifest of a gigabyte", func(t *testing.T) (*pack.Pack, error) {
			dir := directory(t, files)
			if err := os.Truncate(filepath.Join(dir, pack.ManifestFile), claim); err != nil {
				t.Fatal(err)
			}
			return pack.OpenPath(dir)
		}, pack.ErrFormat},
		{"an entry claims a gigabyte", func(t *testing.T) (*pack.Pack, error) {
			b := zipped(t, files, func(h *zip.FileHeader) {
				if h.Name == "embed.onnx" {
					h.CompressedSize64, h.UncompressedSize64 = claim, claim
				}
			})
			return pack.Open(b)
		}, pack.ErrFormat},
		{"the directory of the zip claims 65,535 entries", func(t *testing.T) (*pack.Pack, error) {
			b := zipped(t, files, nil)
			end := bytes.LastIndex(b, []byte("PK\x05\x06"))
			binary.LittleEndian.PutUint16(b[end+8:], 65535)
			binary.LittleEndian.PutUint16(b[end+10:], 65535)
			return pack.Open(b)
		}, pack.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.open(t)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
				t.Errorf("it took %d bytes of memory", took)
			}
		})
	}
}
