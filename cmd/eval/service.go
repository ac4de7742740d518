package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gatehouse/engine"
)

// serviceRun is one measurement of a node that serves.
type serviceRun struct {
	*report
	program string // the built gatehouse
	dir     string // for data directories
	workers int    // of the node's engine, and of the one beside it
	quick   bool
}

// servicePart of the measurement; it needs the program where it starts a node.
type servicePart struct {
	name    string
	figures []figure
	needs   bool
	run     func(context.Context) error
}

// service measures the built program as a node: what verifications cost through
// its API, how fast it writes, what an upload holds, how soon it is there.
func service(ctx context.Context, r *report, f *flags) error {
	s := &serviceRun{report: r, program: f.binary, workers: runtime.NumCPU(), quick: f.quick}
	parts := []servicePart{
		{"api", apiFigures(), true, s.api},
		{"writes", writeFigures(), false, s.writes},
		{"uploads", uploadFigures(), true, s.uploads},
		{"start", startFigures(), true, s.start},
	}
	if f.only != "" {
		i := slices.IndexFunc(parts, func(p servicePart) bool { return p.name == f.only })
		if i < 0 {
			return fmt.Errorf("%w: --only %q; use api, writes, uploads or start", errUsage, f.only)
		}
		parts = parts[i : i+1]
	}
	if filepath.Base(s.program) == s.program {
		s.program = "./" + s.program // a file here, not a command of the system
	}
	_, err := os.Stat(s.program)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return err
	}
	// Beside what the build makes: the system's temporary files may lie in
	// memory, where nothing waits for a disk.
	if err := os.MkdirAll(buildDir, 0o755); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(buildDir, "service-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%s, %d cores.\n\n", processor(), runtime.NumCPU())
	for _, p := range parts {
		r.declare(p.figures...)
		if p.needs && absent {
			fmt.Fprintf(r.out, "%s is not there: build it with make, or name it with --binary.\n\n", s.program)
			s.skip("no-binary")
			continue
		}
		fmt.Fprintf(r.progress, "measuring: %s\n", p.name)
		if err := p.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// or gives the shorter measure where the run is a quick one.
func (s *serviceRun) or(quick, whole int) int {
	if s.quick {
		return quick
	}
	return whole
}

func (s *serviceRun) seconds(quick, whole float64) time.Duration {
	if s.quick {
		whole = quick
	}
	return time.Duration(whole * float64(time.Second))
}

// makeEvidence makes the pictures, and the engine that they were made with.
func (s *serviceRun) makeEvidence(ctx context.Context) (*engine.Engine, *inputs, error) {
	fmt.Fprintln(s.progress, "making the pictures")
	e, err := openEngine(s.workers)
	if err != nil {
		return nil, nil, err
	}
	in, err := makeInputs(ctx, e)
	if err != nil {
		return nil, nil, errors.Join(err, e.Close())
	}
	return e, in, nil
}

// percentile p of a list that is not empty: the least value that so many of it
// do not exceed (nearest rank).
func percentile(v []float64, p float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[max(0, int(math.Ceil(p/100*float64(len(v))))-1)]
}
