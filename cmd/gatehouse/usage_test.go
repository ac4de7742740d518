package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args string
		says []string
	}{
		{"", []string{"verify", "face inspect", "face compare", "face embed", "document read", "models list", "models verify", "specimen", "version", "licences", "Exit codes: 0"}},
		{"help", []string{"Usage: gatehouse COMMAND", "3 an input was refused"}},
		{"--help", []string{"Usage: gatehouse COMMAND"}},
		{"-h", []string{"Usage: gatehouse COMMAND"}},
		{"help verify", []string{"Usage: gatehouse verify", "--document FILE", "--selfie FILE", "--frame FILE", "--json", "--device"}},
		{"verify --help", []string{"Usage: gatehouse verify", "--document FILE"}},
		{"face embed -h", []string{"Usage: gatehouse face embed"}},
		{"help document read", []string{"--no-text", "TD1"}},
		{"help specimen", []string{"--portrait FILE", "--seed N"}},
		{"models list --help", []string{"licence"}},
	} {
		out := succeed(t, strings.Fields(c.args)...)
		for _, w := range c.says {
			if !strings.Contains(out, w) {
				t.Errorf("gatehouse %s: lacks %q: %q", c.args, w, out)
			}
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"frobnicate", "'frobnicate'"},
		{"--frobnicate", "'--frobnicate'"},
		{"help frobnicate", "'frobnicate'"},
		{"face", "face inspect, face compare, face embed"},
		{"face frobnicate x.jpg", "face inspect"},
		{"face inspect", "at least one file"},
		{"face compare one.jpg", "two files"},
		{"face compare 1.jpg 2.jpg 3.jpg", "two files"},
		{"face inspect --frobnicate x.jpg", "-frobnicate"},
		{"face inspect --workers many x.jpg", "many"},
		{"face inspect --device foo " + obama, `"foo"`},
		{"document read", "at least one file"},
		{"verify", "--selfie FILE"},
		{"verify --document x.jpg", "--selfie FILE"},
		{"verify --document x.jpg --selfie y.jpg z.jpg", "--selfie FILE"},
		{"models list x", "--models"},
		{"models verify x", "--models"},
		{"version x", "no arguments"},
		{"licences x", "no arguments"},
		{"specimen", "--portrait FILE"},
		{"specimen --portrait x.jpg --out y.gif", ".png"},
		{"specimen --portrait x.jpg --out y.png --format td9", `"td9"`},
		{"specimen --portrait x.jpg --out y.png --seed -1", "-1"},
	} {
		t.Run(c.args, func(t *testing.T) {
			o := gatehouse(t, strings.Fields(c.args)...)
			if o.code != 2 || o.stdout != "" {
				t.Errorf("exit code %d, stdout %q", o.code, o.stdout)
			}
			o.says(t, c.says, "gatehouse help")
		})
	}
	gatehouse(t, "verify", "--json").fails(t, 2, "", "--selfie FILE")
	gatehouse(t, "face", "inspect", "--json", "--frobnicate").fails(t, 2, "", "-frobnicate")
}

func TestFlagsAfterArguments(t *testing.T) {
	before := succeed(t, "face", "compare", "--json", obama, obama2)
	for _, args := range [][]string{
		{"face", "compare", obama, "--json", obama2}, {"face", "compare", obama, obama2, "--json"},
		{"face", "compare", "--json", "--", obama, obama2}, {"face", "compare", "--json", "--workers=1", obama, obama2, "--device", "cpu"},
	} {
		if after := succeed(t, args...); after != before {
			t.Errorf("%q: %q, want %q", args, after, before)
		}
	}
	gatehouse(t, "face", "inspect", "--json", "--", "--json").fails(t, 3, "--json", "check the path")
}

// What fails although the inputs are good: 1, the cause and the remedy.
func TestFailures(t *testing.T) {
	garbage := saveFile(t, "garbage.pack", []byte(strings.Repeat("gatehouse", 1000)))
	missing, empty := filepath.Join(t.TempDir(), "missing.pack"), t.TempDir()
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"face", "inspect", obama, "--device", "cuda:0"}, []string{"cuda:0", "use --device cpu"}},
		{[]string{"face", "inspect", obama, "--models", missing}, []string{missing, "--models"}},
		{[]string{"models", "list", "--models", garbage}, []string{garbage, "--models"}},
		{[]string{"models", "verify", "--models", empty}, []string{empty, "pack.json", "--models"}},
		{[]string{"specimen", "--portrait", obama, "--out", "/nowhere/x.png"}, []string{"/nowhere/x.png", "an existing directory"}},
		{[]string{"specimen", "--portrait", obama, "--out", "/proc/x.png"}, []string{"/proc/x.png", "an existing directory"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			gatehouse(t, append(c.args, "--json")...).fails(t, 1, "", c.says...)
		})
	}
}

// A specimen is written whole or not at all.
func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken.png")
	if err := os.Mkdir(taken, 0o755); err != nil {
		t.Fatal(err)
	}
	gatehouse(t, "specimen", "--portrait", obama, "--out", taken, "--json").fails(t, 1, "", taken)
	gatehouse(t, "specimen", "--portrait", obama, "--out", filepath.Join(dir, "missing", "x.png"), "--json").fails(t, 1, "", "missing/x.png")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
