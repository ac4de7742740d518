package main_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One byte that changed anywhere in the files inside the binary stops what
// needs them, by the file's name.
func TestDamagedBinaryNamesTheFile(t *testing.T) {
	whole, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "gatehouse")
	copyFile(t, binary, damaged)
	models := []string{"models", "verify"}
	type wound struct {
		asset string
		at    int // in the asset
		args  []string
		names string
	}
	var wounds []wound
	for _, a := range []struct {
		name string
		args []string
	}{
		{"libonnxruntime.so", models}, {"libstdc++.so.6", models}, {"libgcc_s.so.1", models},
		{"libonnxruntime.so", []string{"verify", "--document", passport, "--selfie", obama2}},
		{"OCRB.otf", []string{"specimen", "--portrait", obama, "--out", filepath.Join(t.TempDir(), "x.png")}},
		{"THIRD_PARTY.txt", []string{"licences"}},
	} {
		wounds = append(wounds, wound{a.name, len(asset(t, a.name)) / 2, a.args, a.name})
	}
	// The first byte of the sums is their first brace.
	wounds = append(wounds, wound{"sums.json", 0, []string{"licences"}, "sums.json"})
	z, err := zip.NewReader(bytes.NewReader(asset(t, "default.pack")), int64(len(asset(t, "default.pack"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		start, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		at := int(start) + int(f.UncompressedSize64)/2
		if f.Name == "pack.json" { // a digit: it stays good JSON
			at = int(start) + bytes.Index(asset(t, "default.pack")[start:], []byte(`"version": "1"`)) + len(`"version": "`)
		}
		wounds = append(wounds, wound{"default.pack", at, models, f.Name})
	}
	if len(wounds) < 7+1+9 {
		t.Fatalf("only %d places to damage", len(wounds))
	}
	for _, w := range wounds {
		t.Run(w.asset+" "+w.names, func(t *testing.T) {
			begin := bytes.Index(whole, asset(t, w.asset))
			if begin < 0 {
				t.Fatalf("%s does not lie in the binary as it is", w.asset)
			}
			place := int64(begin + w.at)
			write(t, damaged, place, whole[place]^1)
			defer write(t, damaged, place, whole[place])
			c := command(t, append(w.args, "--json")...)
			c.Path = damaged
			o := run(t, c)
			o.fails(t, 1, "", w.names)
			if !strings.Contains(o.stderr, "release") {
				t.Errorf("no remedy: %q", o.stderr)
			}
		})
	}
	t.Run("two files, one sentence", func(t *testing.T) {
		for _, name := range []string{"default.pack", "libgcc_s.so.1"} {
			place := int64(bytes.Index(whole, asset(t, name)) + len(asset(t, name))/2)
			write(t, damaged, place, whole[place]^1)
			defer write(t, damaged, place, whole[place])
		}
		c := command(t, "models", "verify", "--json")
		c.Path = damaged
		run(t, c).fails(t, 1, "", ".onnx", "release")
	})
}

func asset(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(assets + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write changes one byte of a program that does not run.
func write(t *testing.T, name string, at int64, b byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{b}, at); err != nil {
		t.Fatal(err)
	}
}
