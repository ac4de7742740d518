package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScaleRefuses(t *testing.T) {
	for _, args := range [][]string{{"scale", "--only", "noses"}, {"scale", "--sessions", "0"}, {"scale", "--sessions", "10000001"}} {
		t.Chdir(t.TempDir())
		var out, errOut bytes.Buffer
		if code := run(context.Background(), args, &out, &errOut); code != 2 {
			t.Errorf("%v: exit code %d: %s", args, code, errOut.String())
		}
		if _, err := os.Stat(buildDir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: something was made", args)
		}
	}
}

// Without the program every figure says why it has no value.
func TestScaleWithoutTheProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"scale"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for _, want := range []string{
		"figure restart_1m_ready - s goal < 30 skipped:no-binary", "figure restart_1m_ready_after_kill - s goal < 30 skipped:no-binary",
		"figure catchup_share_of_disk - ratio goal >= 0.5 skipped:no-binary", "figure catchup_p99_ratio - ratio goal <= 1.2 skipped:no-binary",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

// A run of few sessions, with the program where it is built, measures all of it
// under names of its own, and leaves nothing.
func TestScaleOfFewSessions(t *testing.T) {
	program, err := filepath.Abs("../../gatehouse")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil || testing.Short() {
		t.Skip("it needs the built program, and ten seconds")
	}
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"scale", "--only", "restart", "--sessions", "50", "--binary", program}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for _, want := range []string{"50 sessions were made", "figure restart_50_ready ", "figure restart_50_ready_after_kill ", "figure scale_50_state_gb "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	if left, err := filepath.Glob(filepath.Join(buildDir, "bench-scale", "*")); err != nil || len(left) > 0 {
		t.Errorf("directories are left: %v, %v", left, err)
	}
}
