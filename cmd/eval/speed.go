package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/engine"
)

// speedRun is one measurement of time and memory.
type speedRun struct {
	*report
	one     *engine.Engine // with one worker
	in      *inputs
	program string // the built gatehouse
	dir     string // for files that other programs read
}

// speed measures what the engine and the built program cost on this machine.
func speed(ctx context.Context, r *report, f *flags) error {
	s := &speedRun{report: r, program: f.binary}
	if filepath.Base(s.program) == s.program {
		s.program = "./" + s.program // a file here, not a command of the system
	}
	var err error
	if s.dir, err = os.MkdirTemp("", "gatehouse-eval-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if s.one, err = openEngine(1); err != nil {
		return err
	}
	defer s.one.Close()
	fmt.Fprintln(r.progress, "making the pictures")
	if s.in, err = makeInputs(ctx, s.one); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%s. A selfie of %.1f MB and a passport of %.1f MB, both JPEG of %d×%d pixels.\n\n", processor(),
		float64(len(s.in.evidence.Selfie))/1e6, float64(len(s.in.evidence.Document))/1e6, longSide, shortSide)
	for _, part := range []struct {
		what     string
		figures  []figure
		confined bool
		run      func(context.Context) error
	}{
		{"stages", stageFigures(), true, s.stages},
		{"throughput", throughputFigures(), false, s.throughput},
		{"overhead", overheadFigures(), true, s.overhead},
		{"decoding", decodeFigures(), true, s.decode},
		{"the program", binaryFigures(), false, s.binary},
	} {
		r.declare(part.figures...)
		fmt.Fprintf(r.progress, "measuring: %s\n", part.what)
		run := func() error { return part.run(ctx) }
		if part.confined {
			err = confine(1, run)
		} else {
			err = run()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return nil
}

// processor names what the figures were measured on.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "Unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return "Unknown processor"
}
