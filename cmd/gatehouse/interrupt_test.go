package main_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C ends a long batch at once: what was done has been printed, and the
// last line says that the rest was not.
func TestInterruptedBatch(t *testing.T) {
	const files = 500
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			var took time.Duration
			for range 3 { // a busy machine may delay it, not three times
				c := command(t, append([]string{"document", "read", "--jsonl"}, slices.Repeat([]string{passport}, files)...)...)
				stdout, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewReader(stdout)
				var rest []byte
				var o outcome
				o, took = interrupt(t, c, signal, func() error {
					_, err := lines.ReadString('\n')
					return err
				}, func() { rest, _ = io.ReadAll(lines) })
				if n := bytes.Count(rest, []byte("\n")); n == 0 || n >= files {
					t.Fatalf("%d further lines, stderr %q", n, o.stderr)
				}
				o.stdout = string(rest[bytes.LastIndexByte(bytes.TrimSpace(rest), '\n')+1:])
				o.fails(t, 1, "", "interrupted")
				if took < time.Second {
					return
				}
			}
			t.Errorf("it ended after %v", took)
		})
	}
}

// A pipe that nobody writes to holds no command up.
func TestInterruptedWhileReading(t *testing.T) {
	for _, args := range [][]string{
		{"face", "inspect", obama}, {"face", "compare", obama}, {"document", "read"},
		{"verify", "--document", passport, "--selfie"}, {"specimen", "--out", filepath.Join(t.TempDir(), "x.png"), "--portrait"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe.jpg")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			c := command(t, append(args, pipe)...)
			o, took := interrupt(t, c, os.Interrupt, func() error {
				w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the reader
				if err == nil {
					t.Cleanup(func() { w.Close() })
				}
				return err
			}, func() {})
			if o.code != 1 || took > time.Second {
				t.Errorf("exit code %d after %v", o.code, took)
			}
			o.says(t, "interrupted")
		})
	}
}

// interrupt starts a command, sends the signal when begun returns, and tells how
// long it took to end; meanwhile reads its output.
func interrupt(t *testing.T, c *exec.Cmd, signal os.Signal, begun func() error, meanwhile func()) (outcome, time.Duration) {
	t.Helper()
	var errOut strings.Builder
	c.Stderr = &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	err := begun()
	if err == nil {
		err = c.Process.Signal(signal)
	}
	if err != nil {
		t.Error(err)
		c.Process.Kill()
	}
	sent := time.Now()
	stuck := time.AfterFunc(5*time.Second, func() { c.Process.Kill() })
	defer stuck.Stop()
	meanwhile()
	c.Wait()
	return outcome{code: c.ProcessState.ExitCode(), stderr: errOut.String()}, time.Since(sent)
}
