package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func binaryFigures() []figure {
	return []figure{
		goal("binary_size", "MB", 1, "<=", 115), goal("start_ms", "ms", 0, "<=", 1500), info("start_verify_ms", "ms", 0), info("verify_rss", "MB", 0),
	}
}

const starts = 7

// binary measures the built program from outside: its size, and how long a
// command takes from exec to exit.
func (s *speedRun) binary(ctx context.Context) error {
	st, err := os.Stat(s.program)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(s.out, "%s is not there: build it with make, or name it with --binary.\n\n", s.program)
		s.skip("no-binary")
		return nil
	}
	if err != nil {
		return err
	}
	s.measure("binary_size", float64(st.Size())/1e6)
	var files [2]string
	for i, data := range [][]byte{s.in.evidence.Document, s.in.evidence.Selfie} {
		files[i] = filepath.Join(s.dir, []string{"document.jpg", "selfie.jpg"}[i])
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			return err
		}
	}
	t := table{title: "The program from exec to exit", head: []string{"command", "wall ms", "CPU ms", "peak memory, MB"},
		note: fmt.Sprintf("Medians of %d, after one that does not count: the file is in the page cache. Peak memory counts the mapped parts of the file.\nThe pictures compared are the samples as they are, those verified have 12 megapixels.", starts)}
	for _, c := range []struct {
		figure, name string
		args         []string
	}{
		{"start_ms", "face compare", []string{"face", "compare", samplePath("obama.jpg"), samplePath("obama2.jpg")}},
		{"start_verify_ms", "verify", []string{"verify", "--document", files[0], "--selfie", files[1]}},
	} {
		wall, cpu, err := s.start(ctx, c.args)
		if err != nil {
			return err
		}
		rss, err := s.peak(ctx, c.args)
		if err != nil {
			return err
		}
		t.add(c.name, fmt.Sprintf("%.0f", wall), fmt.Sprintf("%.0f", cpu), fmt.Sprintf("%.0f", rss))
		s.measure(c.figure, wall)
		if c.figure == "start_verify_ms" {
			s.measure("verify_rss", rss)
		}
	}
	s.table(t)
	return nil
}

// start runs the program a few times: medians.
func (s *speedRun) start(ctx context.Context, args []string) (wall, cpu float64, err error) {
	var walls, cpus []float64
	for i := range 1 + starts {
		c := exec.CommandContext(ctx, s.program, args...)
		begin := time.Now()
		if err := s.finish(c, c.Run()); err != nil {
			return 0, 0, err
		}
		if i > 0 {
			walls = append(walls, milliseconds(time.Since(begin)))
			cpus = append(cpus, milliseconds(c.ProcessState.UserTime()+c.ProcessState.SystemTime()))
		}
	}
	return median(walls), median(cpus), nil
}

// peak runs the program once more and watches its memory, in megabytes. What
// the system reports of an ended child will not do: it counts what the parent
// had when it made the child.
func (s *speedRun) peak(ctx context.Context, args []string) (float64, error) {
	c := exec.CommandContext(ctx, s.program, args...)
	if err := s.finish(c, c.Start()); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	var seen float64
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			// The mark only rises; once the process has ended there is none.
			if mb, ok := highWaterMark(c.Process.Pid); ok {
				seen = max(seen, mb)
			}
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	err := c.Wait()
	close(ended)
	watch.Wait()
	return seen, s.finish(c, err)
}

func (s *speedRun) finish(c *exec.Cmd, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w; try it by hand", s.program, c.Args[1], err)
	}
	return nil
}

// highWaterMark is the most memory that a process has held, in megabytes.
func highWaterMark(pid int) (float64, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6, true
		}
	}
	return 0, false
}
