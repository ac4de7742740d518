package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gatehouse/store/disk"
)

// auditRun measures the audit log of a node: what an event costs, on the disk
// too, and how soon it is found, exported, verified and forwarded.
type auditRun struct {
	*report
	program string // the built gatehouse
	dir     string
	size    int64 // events of the log
	quick   bool
	log     *auditLog
}

const (
	auditUsual = 1_000_000
	auditMost  = 10_000_000 // the goals of search and disk are for so many
	auditQuick = 100_000
	auditLeast = 10_000
)

// auditPart of the measurement, over the log that the first part fills.
type auditPart struct {
	name    string
	figures []figure
	run     func(context.Context) error
}

// auditLogs is behind make bench-audit.
func auditLogs(ctx context.Context, r *report, f *flags) (err error) {
	s := &auditRun{report: r, program: f.binary, quick: f.quick, size: auditUsual}
	if filepath.Base(s.program) == s.program {
		s.program = "./" + s.program // a file here, not a command of the system
	}
	switch {
	case f.rows != 0 && (f.rows < auditLeast || f.rows > auditMost):
		return fmt.Errorf("%w: --rows %d; %d to %d are possible", errUsage, f.rows, auditLeast, auditMost)
	case f.rows > 0:
		s.size = int64(f.rows)
	case f.long:
		s.size = auditMost
	case f.quick:
		s.size = auditQuick
	}
	parts := []auditPart{
		{"append", s.appendFigures(), s.appends},
		{"search", s.searchFigures(), s.searches},
		{"bundle", s.bundleFigures(), s.bundles},
		{"proofs", proofFigures(), s.proofs},
		{"forward", forwardFigures(), s.forwards},
	}
	if f.only != "" {
		i := slices.IndexFunc(parts, func(p auditPart) bool { return p.name == f.only })
		if i < 0 {
			return fmt.Errorf("%w: --only %q; use append, search, bundle, proofs or forward", errUsage, f.only)
		}
		if i > 0 {
			parts = []auditPart{{"the log", nil, s.prepare}, parts[i]}
		} else {
			parts = parts[:1]
		}
	}
	for _, p := range parts {
		r.declare(p.figures...)
	}
	if err := os.MkdirAll(buildDir, 0o755); err != nil {
		return err
	}
	free, _, err := disk.Free(buildDir)
	if err != nil {
		return err
	}
	if need := s.room(); free < need {
		fmt.Fprintf(r.out, "%d events need %.1f GB of disk, %.1f are free.\n\n", s.size, float64(need)/1e9, float64(free)/1e9)
		s.skip("too-little-disk")
		return nil
	}
	if s.dir, err = os.MkdirTemp(buildDir, "eval-audit-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	defer func() {
		if s.log != nil {
			if e := s.log.close(); err == nil {
				err = e
			}
		}
	}()
	fmt.Fprintf(r.out, "%s, %d cores; %d events.\n\n", processor(), runtime.NumCPU(), s.size)
	return s.all(ctx, parts)
}

func (s *auditRun) all(ctx context.Context, parts []auditPart) error {
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

// room that the run needs, half as much again as was measured: an event has 130
// bytes in segments and their indexes and 780 in a bundle; then what the state
// holds of a segment that is not sealed.
func (s *auditRun) room() uint64 {
	return uint64(200*s.size+1200*s.bundled()) + 1<<29
}

// or gives the shorter measure where the run is a quick one.
func (s *auditRun) or(quick, whole int) int {
	if s.quick {
		return quick
	}
	return whole
}

// enough tells whether the log has as many events as a goal is for; what is
// measured of a smaller one has another name.
func (s *auditRun) enough() bool { return s.size >= auditMost }

// sized names a figure of a log of this size.
func (s *auditRun) sized(name, unit string) string {
	return fmt.Sprintf("%s_%s_%s", name, sizeName(int(s.size)), unit)
}

// Why a figure is skipped.
const (
	needsLong  = "needs-the-flag-long"
	shorterLog = "the-log-is-shorter"
)

// leave settles a figure that cannot be measured here.
func (s *auditRun) leave(name, because string) {
	f := s.find(name)
	f.status, f.because = skipped, because
}

// settle a figure with its value, or with why it has none.
func (s *auditRun) settle(name string, value float64, because string) {
	if because != "" {
		s.leave(name, because)
		return
	}
	s.measure(name, value)
}
