package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFigureLine(t *testing.T) {
	settled := func(f figure, v float64) figure {
		f.value, f.status = v, measured
		return f
	}
	left := goal("lfw_accuracy", "%", 2, ">=", 99.4)
	left.status, left.because = skipped, noData
	unasked := info("auc", "ratio", 4)
	unasked.status, unasked.because = skipped, noData
	for _, k := range []struct {
		f    figure
		want string
	}{
		{settled(goal("lfw_accuracy", "%", 2, ">=", 99.4), 99.45), "figure lfw_accuracy 99.45 % goal >= 99.4 met"},
		{settled(goal("lfw_accuracy", "%", 2, ">=", 99.4), 99.396), "figure lfw_accuracy 99.40 % goal >= 99.4 met"},
		{settled(goal("lfw_accuracy", "%", 2, ">=", 99.4), 99.39), "figure lfw_accuracy 99.39 % goal >= 99.4 missed"},
		{settled(goal("frames_missed", "of_2622", 0, "<=", 0), 0), "figure frames_missed 0 of_2622 goal <= 0 met"},
		{settled(goal("face_cpu_ms", "ms", 1, "<", 250), 250), "figure face_cpu_ms 250.0 ms goal < 250 missed"},
		{settled(goal("runtime_overhead", "%", 2, "<=", 2), -0.001), "figure runtime_overhead 0.00 % goal <= 2 met"},
		{settled(info("auc", "ratio", 4), 0.99934), "figure auc 0.9993 ratio goal - - info"},
		{left, "figure lfw_accuracy - % goal >= 99.4 skipped:no-data"},
		{unasked, "figure auc - ratio goal - - skipped:no-data"},
	} {
		if got := k.f.String(); got != k.want {
			t.Errorf("%s, want %s", got, k.want)
		}
	}
}

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := &report{out: &out, dir: filepath.Join(t.TempDir(), "figures")}
	r.declare(info("a", "ms", 0), info("b", "ms", 0))
	r.measure("a", 7)
	if err := r.close(true); err == nil {
		t.Error("a figure that was never measured is no error")
	}
	r.skip("one-core")
	if err := r.close(true); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"a": "figure a 7 ms goal - - info\n", "b": "figure b - ms goal - - skipped:one-core\n"} {
		got, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	r.vector("good", "")
	r.vector("bad", "1 is not 2")
	if err := r.close(true); !errors.Is(err, errVectors) || strings.Contains(err.Error(), "good") {
		t.Errorf("failed vectors: %v", err)
	}
	if !strings.Contains(out.String(), "vector good ok\nvector bad FAILED (1 is not 2)\n") {
		t.Errorf("vectors: %q", out.String())
	}
}

func TestTable(t *testing.T) {
	x := table{title: "Title", head: []string{"what", "ms"}, note: "A note."}
	x.add("größer", "1.5")
	want := "Title\n  what     ms\n  ───────────\n  größer  1.5\n  A note.\n"
	if got := x.text(); got != want {
		t.Errorf("text\n%s, want\n%s", got, want)
	}
	want = "## Title\n\n| what | ms |\n|---|---:|\n| größer | 1.5 |\n\nA note.\n"
	if got := x.markdown(); got != want {
		t.Errorf("markdown\n%s, want\n%s", got, want)
	}
}

// Without data every figure is skipped, and that is no failure.
func TestNoData(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, k := range []struct {
		args []string
		want []string
	}{
		{[]string{"accuracy", "--data", "absent", "--doc", "docs/accuracy.md"}, []string{"There is no evaluation data at absent", "figure lfw_accuracy - % goal >= 99.4 skipped:no-data", "figure mrz_trusted_wrong - of_208_readings goal <= 1 skipped:no-data"}},
		{[]string{"accuracy", "--data", "absent", "--only", "mrz"}, []string{"figure mrz_lines_exact - ratio goal >= 0.85 skipped:no-data"}},
		{[]string{"peers", "--data", "absent"}, []string{"figure peers_mrz_right_rapidocr - of_16 goal - - skipped:no-data"}},
	} {
		var out, errOut bytes.Buffer
		if code := run(context.Background(), k.args, &out, &errOut); code != 0 {
			t.Errorf("%v: exit code %d: %s", k.args, code, errOut.String())
		}
		for _, want := range k.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q is not in %s", k.args, want, out.String())
			}
		}
	}
	if _, err := os.Stat("docs"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a page without figures was written")
	}
}

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, k := range []struct {
		args string
		code int
	}{
		{"", 2}, {"guess", 2}, {"accuracy --only noses", 2}, {"accuracy --only faces --doc page.md", 2}, {"accuracy extra", 2}, {"speed --unknown", 2},
		{"help", 0}, {"--help", 0}, {"accuracy --help", 0},
	} {
		var out, errOut bytes.Buffer
		if code := run(context.Background(), strings.Fields(k.args), &out, &errOut); code != k.code {
			t.Errorf("%q: exit code %d, want %d", k.args, code, k.code)
		}
		if said := out.String() + errOut.String(); said == "" {
			t.Errorf("%q: nothing was said", k.args)
		}
	}
}
