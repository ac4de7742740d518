// Black box: the binary is built as the release is, and run as a user runs it.
package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	assets  = "../../build/assets/"
	samples = assets + "samples/"
	obama   = samples + "obama.jpg"
	obama2  = samples + "obama2.jpg"
	biden   = samples + "biden.jpg"
)

// What TestMain makes, in a directory that every user may read.
var (
	binary   string
	passport string   // the picture of a specimen with the portrait of obama
	printed  []string // its machine-readable lines
)

func TestMain(m *testing.M) {
	if root := os.Getenv(enterVariable); root != "" {
		enter(root)
	}
	dir, err := publicDir()
	if err == nil {
		err = prepare(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func publicDir() (string, error) {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func prepare(dir string) error {
	binary, passport = filepath.Join(dir, "gatehouse"), filepath.Join(dir, "passport.png")
	// As make builds it.
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	// The dates on a specimen follow the calendar, and not every drawing is
	// read with certainty on every day: take the first that is.
	for seed := 1; seed <= 10; seed++ {
		drawn, err := exec.Command(binary, "specimen", "--portrait", obama, "--seed", strconv.Itoa(seed), "--out", passport, "--json").Output()
		if err != nil {
			return fmt.Errorf("gatehouse specimen: %w", err)
		}
		read, err := exec.Command(binary, "document", "read", "--no-text", passport, "--json").Output()
		if err != nil {
			return fmt.Errorf("gatehouse document read: %w", err)
		}
		var s struct{ Lines []string }
		var d struct{ MRZ struct{ Trusted bool } }
		if err := errors.Join(json.Unmarshal(drawn, &s), json.Unmarshal(read, &d)); err != nil {
			return err
		}
		if printed = s.Lines; d.MRZ.Trusted {
			return nil
		}
	}
	return errors.New("none of ten specimens is read with certainty")
}

// outcome is how a run of the binary ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func gatehouse(t *testing.T, args ...string) outcome {
	t.Helper()
	return run(t, command(t, args...))
}

// command is killed, and so fails its test, where it does not end.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, binary, args...)
}

func run(t *testing.T, c *exec.Cmd) outcome {
	t.Helper()
	var out, errOut strings.Builder
	c.Stderr = &errOut
	if c.Stdout == nil {
		c.Stdout = &out
	}
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// succeed runs a command that ends with 0 and says nothing on stderr.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	o := gatehouse(t, args...)
	if o.code != 0 || o.stderr != "" {
		t.Fatalf("gatehouse %q: exit code %d, stderr %q", args, o.code, o.stderr)
	}
	return o.stdout
}

// decode reads the JSON documents that a command printed, each as a T.
func decode[T any](t *testing.T, stdout string) []T {
	t.Helper()
	var all []T
	for d := json.NewDecoder(strings.NewReader(stdout)); ; {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in %q", err, stdout)
		}
		all = append(all, v)
	}
}

// one reads the only JSON document that a command printed.
func one[T any](t *testing.T, stdout string) T {
	t.Helper()
	all := decode[T](t, stdout)
	if len(all) != 1 {
		t.Fatalf("%d JSON documents instead of one: %q", len(all), stdout)
	}
	return all[0]
}

// object is a JSON object before its members are looked at.
type object map[string]json.RawMessage

// has checks that an object has members of these names, and no null among
// them.
func (o object) has(t *testing.T, what string, names ...string) {
	t.Helper()
	for _, n := range names {
		if v, ok := o[n]; !ok || string(v) == "null" {
			t.Errorf("%s: member %q is %s; there are %q", what, n, v, slices.Sorted(maps.Keys(o)))
		}
	}
}

// part reads one member of an object.
func part[T any](t *testing.T, o object, name string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(o[name], &v); err != nil {
		t.Fatalf("member %q: %v in %q", name, err, o[name])
	}
	return v
}

// problem is an error as JSON.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	File   string `json:"file"`
	Exit   int    `json:"exit_code"`
}

// fails checks that a command with --json ended with a code, one sentence on
// stderr that holds all the words, and the same as a problem object.
func (o outcome) fails(t *testing.T, code int, file string, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d", o.code, code)
	}
	o.says(t, words...)
	p := one[struct{ Error problem }](t, o.stdout).Error
	if p.Title == "" || p.Exit != code || p.File != file || !strings.Contains(o.stderr, p.Detail) || p.Detail == "" {
		t.Errorf("problem %+v of file %q, exit code %d, stderr %q", p, file, code, o.stderr)
	}
}

// says checks that stderr is one line that holds all the words.
func (o outcome) says(t *testing.T, words ...string) {
	t.Helper()
	if strings.Count(o.stderr, "\n") != 1 || !strings.HasPrefix(o.stderr, "gatehouse") || !strings.HasSuffix(o.stderr, "\n") {
		t.Errorf("stderr is not one line: %q", o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("stderr lacks %q: %q", w, o.stderr)
		}
	}
}
