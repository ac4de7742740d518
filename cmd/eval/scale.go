package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"gatehouse/store/disk"
)

// scaleRun measures a node that has a million sessions and templates: its
// restart, and how another one that has nothing catches up with it.
type scaleRun struct {
	*report
	program  string // the built gatehouse
	dir      string
	sessions int
	made     scaleMade
}

// scaleFlags are those of scale alone.
type scaleFlags struct {
	sessions int
	keep     bool
}

func (f *scaleFlags) set(fs *flag.FlagSet) {
	fs.IntVar(&f.sessions, "sessions", scaleUsual, "decide `N` sessions, each with a template (scale)")
	fs.BoolVar(&f.keep, "keep", false, "leave the data directories for the next run, which adds what they lack (scale)")
}

const (
	scaleUsual = 1_000_000 // what the goals are about
	scaleMost  = 10_000_000
	// roomEach session needs: 14 kB of state, which the other node and the file
	// that the disk is measured with have once more; 3 kB of a gallery's snapshot,
	// twice while it is written; 1.5 kB of audit segments on both nodes; and some
	// of the Raft log.
	roomEach = 56_000
	roomMore = 2 << 30
)

// scaleMade says what is in the directory.
type scaleMade struct {
	Sessions int    `json:"sessions"`
	Admin    string `json:"admin"`  // key of the administrator
	Branch   string `json:"branch"` // and of a client that verifies
	Tenant   string `json:"tenant"`
	Client   string `json:"client"`
}

// scalePart of the measurement, over the directory that the first part makes.
type scalePart struct {
	name    string
	figures []figure
	run     func(context.Context) error
}

// scale is behind make bench-scale.
func scale(ctx context.Context, r *report, f *flags) (err error) {
	s := &scaleRun{report: r, program: f.binary, sessions: f.scale.sessions}
	if filepath.Base(s.program) == s.program {
		s.program = "./" + s.program // a file here, not a command of the system
	}
	if s.sessions < 1 || s.sessions > scaleMost {
		return fmt.Errorf("%w: --sessions %d; 1 to %d are possible", errUsage, s.sessions, scaleMost)
	}
	parts := []scalePart{
		{"make", s.makeFigures(), s.make},
		{"restart", s.restartFigures(), s.restart},
		{"join", s.joinFigures(), s.join},
	}
	if f.only != "" {
		i := slices.IndexFunc(parts, func(p scalePart) bool { return p.name == f.only })
		if i < 0 {
			return fmt.Errorf("%w: --only %q; use make, restart or join", errUsage, f.only)
		}
		parts = slices.Delete(parts, 1, len(parts))
		if i > 0 {
			parts = append(parts, []scalePart{{"restart", s.restartFigures(), s.restart}, {"join", s.joinFigures(), s.join}}[i-1])
		}
	}
	for _, p := range parts {
		r.declare(p.figures...)
	}
	if _, err := os.Stat(s.program); err != nil {
		s.skip("no-binary")
		return nil
	}
	if s.dir, err = filepath.Abs(filepath.Join(buildDir, "bench-scale")); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if !f.scale.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	free, _, err := disk.Free(s.dir)
	if err != nil {
		return err
	}
	if need := uint64(s.sessions-s.before())*roomEach + roomMore; free < need {
		fmt.Fprintf(r.out, "%d sessions need %.1f GB of disk, %.1f are free.\n\n", s.sessions, float64(need)/1e9, float64(free)/1e9)
		s.skip("too-little-disk")
		return nil
	}
	fmt.Fprintf(r.out, "%s, %d cores; %d sessions.\n\n", processor(), runtime.NumCPU(), s.sessions)
	t := table{title: "What this measurement took", head: []string{"part", "s"}}
	for _, p := range parts {
		fmt.Fprintf(s.progress, "measuring: %s\n", p.name)
		begin := time.Now()
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		t.add(p.name, fmt.Sprintf("%.0f", time.Since(begin).Seconds()))
	}
	s.table(t)
	return nil
}

// sized names a figure of so many sessions: goals are those of a million.
func (s *scaleRun) sized(name string) string {
	switch {
	case s.sessions == scaleUsual:
		return name
	case strings.Contains(name, "1m"):
		return strings.Replace(name, "1m", sizeName(s.sessions), 1)
	}
	return name + "_" + sizeName(s.sessions)
}

// within is a goal where there are a million sessions.
func (s *scaleRun) within(name, unit string, digits int, op string, value float64) figure {
	if s.sessions < scaleUsual {
		return info(s.sized(name), unit, digits)
	}
	return goal(s.sized(name), unit, digits, op, value)
}

func (s *scaleRun) data() string { return filepath.Join(s.dir, "server-1") }

func (s *scaleRun) note() string { return filepath.Join(s.dir, "made.json") }

// before is how many sessions an earlier run has left; 0: its directory, or none.
func (s *scaleRun) before() int {
	b, err := os.ReadFile(s.note())
	if err != nil || json.Unmarshal(b, &s.made) != nil || s.made.Sessions > s.sessions {
		return 0
	}
	return s.made.Sessions
}

// keep what is known of the directory, for the next run.
func (s *scaleRun) keep() error {
	b, err := json.Marshal(s.made)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(s.note(), b, 0o600), settleDisk(s.dir))
}

// gigabytes for people.
func gigabytes(bytes int64) string { return fmt.Sprintf("%.2f GB", float64(bytes)/1e9) }

// sizeOf all files under a directory, or of a file; links to one count once.
func sizeOf(path string) (bytes int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			bytes += i.Size()
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	return bytes, err
}
