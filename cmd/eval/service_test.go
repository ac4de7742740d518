package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/store/command"
	"gatehouse/store/id"
)

func TestServiceWithoutTheProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	for part, want := range map[string]string{
		"api":     "figure api_over_engine - ratio goal >= 0.9 skipped:no-binary",
		"uploads": "figure upload_memory_kb - KB goal < 1024 skipped:no-binary",
		"start":   "figure node_start_10k_s - s goal - - skipped:no-binary",
	} {
		var out, errOut bytes.Buffer
		if code := run(context.Background(), []string{"service", "--only", part}, &out, &errOut); code != 0 {
			t.Errorf("%s: exit code %d: %s", part, code, errOut.String())
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q is not in %s", part, want, out.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(buildDir, "service-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("data directories are left: %v, %v", left, err)
	}
}

func TestServiceRefusesAnUnknownPart(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"service", "--only", "noses"}, &out, &errOut); code != 2 || !strings.Contains(errOut.String(), "uploads") {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
	if _, err := os.Stat(buildDir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was made")
	}
}

func TestPercentile(t *testing.T) {
	v := []float64{40, 10, 30, 20}
	for p, want := range map[float64]float64{25: 10, 50: 20, 51: 30, 95: 40, 100: 40} {
		if got := percentile(v, p); got != want {
			t.Errorf("percentile %g is %g, want %g", p, got, want)
		}
	}
	if v[0] != 40 {
		t.Error("the list was sorted in place")
	}
}

func TestQuantileOfBuckets(t *testing.T) {
	const text = `# TYPE gatehouse_stage_seconds histogram
gatehouse_stage_seconds_bucket{stage="commit",le="0.1"} 10
gatehouse_stage_seconds_bucket{stage="commit",le="0.2"} 30
gatehouse_stage_seconds_bucket{stage="commit",le="+Inf"} 31
gatehouse_stage_seconds_sum{stage="commit"} 3
gatehouse_stage_seconds_bucket{stage="face",le="0.1"} 99
`
	const commits = `gatehouse_stage_seconds_bucket{stage="commit",le="`
	before, err := readBuckets(strings.NewReplacer("10\n", "10\n", "30\n", "10\n", "31\n", "10\n").Replace(text), commits)
	if err != nil {
		t.Fatal(err)
	}
	after, err := readBuckets(text, commits)
	if err != nil {
		t.Fatal(err)
	}
	after.subtract(before)
	if n := after.count(); n != 21 {
		t.Errorf("%g were counted since, want 21", n)
	}
	for q, want := range map[float64]float64{10.0 / 21: 150, 20.0 / 21: 200, 1: math.Inf(1)} {
		if got := after.quantile(q); math.Abs(got-want) > 1e-9 && got != want {
			t.Errorf("quantile %g is %g ms, want %g", q, got, want)
		}
	}
	if _, err := readBuckets(commits+`0.1"} many`, commits); err == nil {
		t.Error("a value that is no number was read")
	}
}

func TestWriterKeepsSizesAndIsNotRefused(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := openMember(ctx, t.TempDir(), "clu_a", newID(id.Node))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	}()
	w, err := m.found(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []writeKind{recordWrites, evidenceWrites} {
		next, whole := w.source(kind), 0
		for range 45 { // more than two sessions take
			c, err := next()
			if err != nil {
				t.Fatal(err)
			}
			b, err := command.Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) == commandSize {
				whole++
			}
			if err := w.propose(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if want := map[writeKind]int{recordWrites: 45, evidenceWrites: 42}[kind]; whole != want {
			t.Errorf("%s: %d commands of 45 have %d bytes, want %d", kind, whole, commandSize, want)
		}
	}
	for range 2 { // the second one is not asked to search again
		if err := w.life(ctx); err != nil {
			t.Error(err)
		}
	}
}
