package main_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestVerifyPrintsTheContract(t *testing.T) {
	o := one[object](t, succeed(t, "verify", "--document", passport, "--selfie", obama2, "--frame", obama, "--json"))
	o.has(t, "verify", "decision", "reasons", "signals", "document", "face", "timings_ms", "models")
	if d := part[string](t, o, "decision"); d != "accepted" {
		t.Errorf("decision %q because of %s", d, o["reasons"])
	}
	similarities := 0
	for _, s := range part[[]object](t, o, "signals") {
		s.has(t, "signal", "name", "status")
		if part[string](t, s, "status") != "unavailable" {
			s.has(t, "signal", "value", "unit")
		}
		if name := part[string](t, s, "name"); strings.HasPrefix(name, "face.") {
			similarities++
			s.has(t, name, "value", "fmr", "threshold", "model")
			if f := part[float64](t, s, "fmr"); f <= 0 || f > 1 {
				t.Errorf("%s: FMR %g", name, f)
			}
		}
	}
	if similarities != 2 {
		t.Errorf("%d similarities", similarities)
	}
	if ms := part[map[string]float64](t, o, "timings_ms"); ms["total"] <= 0 || ms["document"] <= 0 || ms["face"] <= 0 {
		t.Errorf("timings %v", ms)
	}
	models := part[[]struct{ Name, SHA256 string }](t, o, "models")
	if len(models) != 9 || slices.ContainsFunc(models, func(m struct{ Name, SHA256 string }) bool { return m.Name == "" || len(m.SHA256) != 64 }) {
		t.Errorf("models %+v", models)
	}
}

// A card whose zone is on its back.
func TestVerifyReadsTheBack(t *testing.T) {
	v := one[struct {
		Decision string
		Document readDocument
	}](t, succeed(t, "verify", "--document", savePicture(t, "front.png", blankDocument(t)), "--document-back", passport, "--selfie", obama2, "--json"))
	if v.Decision != "accepted" || v.Document.MRZ == nil || !slices.Equal(v.Document.MRZ.Lines, printed) {
		t.Errorf("%+v", v)
	}
}

// Another person is no failure of the program; a frame of another is seen.
func TestVerifyRejects(t *testing.T) {
	for _, args := range [][]string{{"--selfie", biden}, {"--selfie", obama2, "--frame", biden}} {
		v := one[struct {
			Decision string
			Reasons  []struct{ Signal, Outcome, Text string }
		}](t, succeed(t, append([]string{"verify", "--json", "--document", passport}, args...)...))
		if v.Decision != "rejected" || len(v.Reasons) == 0 || v.Reasons[0].Outcome != "rejected" || v.Reasons[0].Text == "" {
			t.Errorf("%q: %+v", args, v)
		}
	}
}

func TestFacePrintsTheContract(t *testing.T) {
	r := inspect(t, obama)
	if r.File != obama || r.Width != 910 || r.Height != 1137 || len(r.Faces) != 1 {
		t.Fatalf("face inspect: %+v", r)
	}
	f := r.Faces[0]
	if f.Box[2] <= 0 || f.Box[3] <= 0 || f.Score <= 0.7 || f.Score > 1 || len(f.Quality) != 10 {
		t.Errorf("face inspect: %+v", f)
	}
	for _, p := range f.Landmarks {
		if p[0] < f.Box[0] || p[1] < f.Box[1] || p[0] > f.Box[0]+f.Box[2] || p[1] > f.Box[1]+f.Box[3] {
			t.Errorf("landmark %v outside of box %v", p, f.Box)
		}
	}
	for name, q := range f.Quality {
		if q.Value == nil || q.Unit == "" || q.Passed == nil {
			t.Errorf("quality %s: %+v", name, q)
		}
	}
	for _, n := range []string{"live", "verdict", "threshold"} {
		if f.Liveness[n] == nil {
			t.Errorf("liveness %v lacks %s", f.Liveness, n)
		}
	}

	e := one[object](t, succeed(t, "face", "embed", obama, "--json"))
	e.has(t, "face embed", "file", "model", "embedding")
	length := 0.0
	vector := part[[]float64](t, e, "embedding")
	for _, v := range vector {
		length += v * v
	}
	if len(vector) != 704 || math.Abs(length-1) > 1e-3 {
		t.Errorf("a vector of %d dimensions, squared length %g", len(vector), length)
	}

	for file, match := range map[string]bool{obama2: true, biden: false} {
		says := map[bool]string{true: ": match\nFMR", false: ": not the same person"}[match]
		if human := succeed(t, "face", "compare", obama, file); !strings.Contains(human, says) {
			t.Errorf("face compare with %s: %q", file, human)
		}
		c := one[object](t, succeed(t, "face", "compare", obama, file, "--json"))
		c.has(t, "face compare", "similarity", "fmr", "match", "threshold", "model")
		s, limit := part[float64](t, c, "similarity"), part[float64](t, c, "threshold")
		if part[bool](t, c, "match") != match || (s >= limit) != match || string(c["model"]) != string(e["model"]) {
			t.Errorf("face compare with %s: %s", file, c)
		}
	}
}

func TestDocumentReadPrintsTheContract(t *testing.T) {
	o := one[object](t, succeed(t, "document", "read", passport, "--json"))
	human := succeed(t, "document", "read", passport)
	for _, said := range append(slices.Clone(printed), passport, "passport", "TD3", "confirmed: the printed text says") {
		if !strings.Contains(human, said) {
			t.Errorf("document read lacks %q: %q", said, human)
		}
	}
	o.has(t, "document read", "file", "type", "country", "mrz", "text", "fields", "conflicts", "quality", "timings_ms")
	mrz := part[object](t, o, "mrz")
	mrz.has(t, "mrz", "format", "lines", "valid", "checks", "repairs", "fields")
	part[object](t, mrz, "fields").has(t, "fields", "surname", "given_names", "number", "issuer", "nationality", "birth", "sex", "expiry")
	if c := part[map[string]bool](t, mrz, "checks"); len(c) != 5 || !c["number"] || !c["birth"] || !c["expiry"] || !c["composite"] {
		t.Errorf("checks %v", c)
	}
	for _, text := range part[[]object](t, o, "text") {
		text.has(t, "text", "text", "score", "box")
	}
	if f, country := part[string](t, o, "file"), part[string](t, o, "country"); f != passport || country != "UTO" {
		t.Errorf("file %q, country %q", f, country)
	}
}

func TestModelsTellLicenceAndOrigin(t *testing.T) {
	models := part[[]object](t, one[object](t, succeed(t, "models", "list", "--json")), "models")
	if len(models) != 9 {
		t.Errorf("%d models", len(models))
	}
	human := succeed(t, "models", "list")
	for _, m := range models {
		m.has(t, "model", "file", "sha256", "name", "task", "licence", "provenance", "limits")
		name, licence, from := part[string](t, m, "name"), part[object](t, m, "licence"), part[map[string]string](t, m, "provenance")
		spdx := part[string](t, licence, "spdx")
		if spdx == "" || from["package"] == "" || from["upstream"] == "" || from["training_data"] == "" {
			t.Errorf("%s: licence %s, provenance %v", name, licence, from)
		}
		for _, said := range []string{name, spdx, from["upstream"], from["training_data"]} {
			if !strings.Contains(human, said) {
				t.Errorf("%s: 'models list' lacks %q", name, said)
			}
		}
	}
	v := one[struct {
		Models []string
		OK     bool
	}](t, succeed(t, "models", "verify", "--json"))
	if len(v.Models) != 9 || !v.OK {
		t.Errorf("models verify: %+v", v)
	}
	texts := one[struct{ Licences string }](t, succeed(t, "licences", "--json")).Licences
	if texts != succeed(t, "licences") || !strings.Contains(texts, "MIT License") || !strings.Contains(texts, "Apache License") {
		t.Errorf("%d bytes of licences", len(texts))
	}
}

func TestSpecimens(t *testing.T) {
	dir := t.TempDir()
	var files []string
	printed := map[string][]string{}
	for _, format := range []string{"td1", "td2", "td3", "mrva", "mrvb"} {
		file := filepath.Join(dir, format+".png")
		files = append(files, file)
		s := one[struct {
			File, Format string
			Lines        []string
		}](t, succeed(t, "specimen", "--portrait", obama, "--out", file, "--format", format, "--seed", "5", "--json"))
		if s.File != file || strings.ToLower(strings.ReplaceAll(s.Format, "-", "")) != format {
			t.Errorf("specimen: %+v", s)
		}
		printed[file] = s.Lines
	}
	for _, d := range decode[readDocument](t, succeed(t, append([]string{"document", "read", "--no-text", "--jsonl"}, files...)...)) {
		if d.MRZ == nil || !slices.Equal(d.MRZ.Lines, printed[d.File]) || !d.MRZ.Valid || d.Country != "UTO" {
			t.Errorf("%s: read %+v, printed %q", filepath.Base(d.File), d.MRZ, printed[d.File])
		}
	}
}

func TestSpecimenFollowsItsSeed(t *testing.T) {
	draw := func(seed, name string) []byte {
		file := filepath.Join(t.TempDir(), name)
		succeed(t, "specimen", "--portrait", obama, "--out", file, "--seed", seed, "--camera")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	once := draw("9", "a.jpg")
	if !bytes.Equal(once, draw("9", "b.jpeg")) || bytes.Equal(once, draw("10", "c.jpg")) {
		t.Error("seed 9 twice and seed 10 once: not two equal and one different")
	}
}
