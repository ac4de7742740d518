package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// site is a repository with a lock of its own, whose one artefact is already
// in the cache.
type site struct {
	t    *testing.T
	root string
	lock lock
}

func newSite(t *testing.T) *site {
	t.Helper()
	files := map[string]string{"pkg/model.bin": "weights", "pkg/LICENSE": "do as you please\n"}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, name := range []string{"pkg/", "pkg/model.bin", "pkg/LICENSE"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	locked := func(path string, becomes ...string) lockedFile {
		return lockedFile{Path: path, Bytes: int64(len(files[path])), SHA256: sha([]byte(files[path])), Licence: "MIT", Becomes: becomes}
	}
	s := &site{t: t, root: t.TempDir(), lock: lock{
		Format: 1,
		Artefacts: []artefact{{
			Kind: "pip", Package: "pkg", Version: "1", File: "pkg-1.whl", Bytes: int64(archive.Len()), SHA256: sha(archive.Bytes()),
			Licence: "MIT", Upstream: "nobody",
			Files: []lockedFile{
				locked("pkg/model.bin", "sub/model.bin", "default.pack/model.bin"),
				locked("pkg/LICENSE", "THIRD_PARTY.txt", "default.pack/licence.txt"),
			},
		}},
		Own: []ownFile{
			{Path: "pack.json", Becomes: []string{"default.pack/pack.json"}},
			{Path: "calibration.json", Becomes: []string{"default.pack/calibration.json"}},
			{Path: "notice", Title: "A notice", Becomes: []string{"THIRD_PARTY.txt"}},
		},
	}}
	s.write("cache/"+sha(archive.Bytes()), archive.String())
	s.write("pack.json", `{"models": [{"file": "model.bin", "licence": {"file": "licence.txt"}}], "calibration": {"file": "calibration.json"}}`)
	s.write("calibration.json", "{}")
	s.write("notice", "thanks")
	return s
}

func (s *site) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.root, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// run runs the program in the site. No client is found, so a fetch fails.
func (s *site) run(args ...string) error {
	s.t.Helper()
	b, err := json.Marshal(s.lock)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("assets.lock", string(b))
	s.t.Setenv("PATH", s.root)
	return assets(s.t.Context(), append(args, "--lock", filepath.Join(s.root, "assets.lock"),
		"--out", filepath.Join(s.root, "out"), "--cache", filepath.Join(s.root, "cache")))
}

func TestBuild(t *testing.T) {
	s := newSite(t)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if got := s.read("out/sub/model.bin"); got != "weights" {
		t.Errorf("model.bin is %q", got)
	}
	if got := s.read("out/THIRD_PARTY.txt"); !strings.Contains(got, "\npkg 1: pkg/LICENSE\n") || !strings.HasSuffix(got, "\n\nthanks\n\n") {
		t.Errorf("THIRD_PARTY.txt is\n%s", got)
	}
	var sums map[string]string
	if err := json.Unmarshal([]byte(s.read("out/sums.json")), &sums); err != nil || len(sums) != 3 || sums["sub/model.bin"] != sha([]byte("weights")) {
		t.Errorf("sums.json: %v, %v", sums, err)
	}
	first := s.read("out/default.pack")

	// Without the cache nothing can be made, and nothing needs to be.
	if err := os.RemoveAll(filepath.Join(s.root, "cache")); err != nil {
		t.Fatal(err)
	}
	if err := s.run(); err != nil {
		t.Errorf("second run: %v", err)
	}
	if err := s.run("--check"); err != nil {
		t.Errorf("check: %v", err)
	}
	again := newSite(t)
	if err := again.run(); err != nil {
		t.Fatal(err)
	}
	if again.read("out/default.pack") != first {
		t.Error("the same lock gave another pack")
	}
}

// TestChanged changes one thing and expects the program to stop at it, by name.
func TestChanged(t *testing.T) {
	type test struct {
		name, want string
		change     func(s *site)
	}
	flip := func(name string) func(s *site) {
		return func(s *site) {
			b := []byte(s.read(name))
			b[len(b)/2] ^= 1
			s.write(name, string(b))
		}
	}
	wrong := sha(nil)
	for _, c := range []test{
		{"cached artefact", "pkg-1.whl does not match", func(s *site) { flip("cache/" + s.lock.Artefacts[0].SHA256)(s) }},
		{"longer artefact", "does not match", func(s *site) { s.lock.Artefacts[0].Bytes-- }},
		{"extracted file", "pkg-1.whl: pkg/model.bin does not match", func(s *site) { s.lock.Artefacts[0].Files[0].SHA256 = wrong }},
		{"extracted file's size", "pkg-1.whl: pkg/model.bin does not match", func(s *site) { s.lock.Artefacts[0].Files[0].Bytes++ }},
		{"missing file", "pkg-1.whl has no file pkg/nothing", func(s *site) { s.lock.Artefacts[0].Files[0].Path = "pkg/nothing" }},
		{"converter", "pkg/model.bin: not a TFLite network", func(s *site) {
			s.lock.Artefacts[0].Files[0].Converted = &converted{By: "tflite-to-onnx", Bytes: 1, SHA256: wrong}
		}},
		{"not in the cache", "pip is missing: install", func(s *site) { s.lock.Artefacts[0].SHA256 = wrong }},
		{"manifest names too much", `pack.json names "other.bin"`, func(s *site) {
			s.lock.Artefacts[0].Files[0].Becomes[1] = "default.pack/x.bin"
			s.write("pack.json", strings.ReplaceAll(s.read("pack.json"), "model.bin", "other.bin"))
		}},
		{"manifest names too little", `pack.json does not name "x.bin"`, func(s *site) {
			s.lock.Artefacts[0].Files[0].Becomes[0] = "default.pack/x.bin"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.change(s)
			if err := s.run(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
	for _, c := range []test{
		{"output", "sub/model.bin does not match", flip("out/sub/model.bin")},
		{"text", "THIRD_PARTY.txt", flip("out/THIRD_PARTY.txt")},
		{"longer text", "THIRD_PARTY.txt does not match", func(s *site) { s.write("out/THIRD_PARTY.txt", s.read("out/THIRD_PARTY.txt")+"x") }},
		{"sums", "sums.json does not match", flip("out/sums.json")},
		{"pack", "default.pack", flip("out/default.pack")},
		{"own text", "THIRD_PARTY.txt", func(s *site) { s.write("notice", "sorry!") }},
		{"own entry", "calibration.json does not match", func(s *site) { s.write("calibration.json", "[]") }},
		{"own manifest", "default.pack does not match", func(s *site) {
			s.write("pack.json", strings.Replace(s.read("pack.json"), "{", `{"id": "x",`, 1))
		}},
	} {
		t.Run("built "+c.name, func(t *testing.T) {
			s := newSite(t)
			if err := s.run(); err != nil {
				t.Fatal(err)
			}
			c.change(s)
			if err := s.run("--check"); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "run make assets") {
				t.Errorf("%v\nwant %s", err, c.want)
			}
			if err := s.run(); err != nil {
				t.Errorf("it was not made anew: %v", err)
			}
		})
	}
}

// TestPackEveryByte: no byte of a pack can change unnoticed.
func TestPackEveryByte(t *testing.T) {
	s := newSite(t)
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(t.Context(), &s.lock, s.root, true)
	if err != nil {
		t.Fatal(err)
	}
	// The plan of a fresh run has no contents of foreign files: hashes suffice.
	b := []byte(s.read("out/default.pack"))
	if err := verifyPack(b, p.pack); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x10
		if verifyPack(b, p.pack) == nil {
			t.Errorf("a change of byte %d went unnoticed", i)
		}
		b[i] ^= 0x10
	}
}

func TestReadLock(t *testing.T) {
	for want, spoil := range map[string]func(l *lock){
		"format 2":                            func(l *lock) { l.Format = 2 },
		`unknown kind "gem"`:                  func(l *lock) { l.Artefacts[0].Kind = "gem" },
		"licence and upstream are needed":     func(l *lock) { l.Artefacts[0].Upstream = "" },
		`artefact "../x"`:                     func(l *lock) { l.Artefacts[0].File = "../x" },
		"starts with a dash":                  func(l *lock) { l.Artefacts[0].Version = "--index" },
		"pkg-1.whl: bytes":                    func(l *lock) { l.Artefacts[0].SHA256 = "../../x" },
		"pkg/LICENSE: bytes":                  func(l *lock) { l.Artefacts[0].Files[1].Bytes = maxFile + 1 },
		"pkg/LICENSE: licence and becomes":    func(l *lock) { l.Artefacts[0].Files[1].Licence = "" },
		`unknown conversion "magic"`:          func(l *lock) { l.Artefacts[0].Files[0].Converted = &converted{By: "magic"} },
		`becomes "../../etc/x"`:               func(l *lock) { l.Artefacts[0].Files[0].Becomes[0] = "../../etc/x" },
		`becomes "default.pack", which is no`: func(l *lock) { l.Own[0].Becomes[0] = "default.pack" },
		`own file "/etc/passwd"`:              func(l *lock) { l.Own[0].Path = "/etc/passwd" },
		"2 files become sub/model.bin":        func(l *lock) { l.Own[2].Becomes[0] = "sub/model.bin" },
	} {
		s := newSite(t)
		spoil(&s.lock)
		if err := s.run(); !errors.Is(err, errLock) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
