package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"gatehouse/engine/gallery"
)

// galleryRun compares the 1:N search with programs that others use, on the same
// vectors and as many cores, in turns.
type galleryRun struct {
	*report
	python string // with the peers; "" where they cannot be had
	dir    string // keeps what is slow to make
	long   bool
	quick  bool
}

const (
	// faceDimension is that of the default pack's templates.
	faceDimension = 704
	mostCores     = 2
	neighbours    = 10
)

func gallerySizes() []int { return []int{100_000, 1_000_000} }

// gallerySearch is behind make bench-gallery.
func gallerySearch(ctx context.Context, r *report, f *flags) error {
	sizes := gallerySizes()
	switch {
	case f.only != "" && f.only != "exact" && f.only != "graph" && f.only != "ready":
		return fmt.Errorf("%w: --only %q; use exact, graph or ready", errUsage, f.only)
	case f.rows < 0 || f.rows > gallery.MaxRows || f.rows > 0 && f.rows < leastRows:
		return fmt.Errorf("%w: --rows %d; %d to %d are possible", errUsage, f.rows, leastRows, gallery.MaxRows)
	case f.rows > 0:
		sizes = []int{f.rows}
	}
	s := &galleryRun{report: r, dir: filepath.Join(buildDir, "peers", "faces"), long: f.long, quick: f.quick}
	fmt.Fprintf(r.out, "%s, %d cores; kernel %s.\n\n", processor(), runtime.NumCPU(), gallery.Kernels()[0])
	if f.only == "ready" {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return err
		}
		return s.ready(ctx, sizes[len(sizes)-1])
	}
	if err := s.findPeers(ctx); err != nil {
		return err
	}
	r.declare(goal("gallery_others_busy", "%", 1, "<=", 5))
	others, err := watchOthers()
	if err != nil {
		return err
	}
	for _, rows := range sizes {
		for _, dimension := range []int{faceDimension, 512, 128} {
			if f.only == "graph" || dimension != faceDimension && !s.short(rows) {
				continue
			}
			if err := s.exact(ctx, rows, dimension); err != nil {
				return fmt.Errorf("exact search of %d rows with %d dimensions: %w", rows, dimension, err)
			}
		}
		switch {
		case f.only == "exact":
		case s.short(rows):
			if err := s.graph(ctx, rows); err != nil {
				return fmt.Errorf("graph of %d rows: %w", rows, err)
			}
		default: // to build the others' takes most of an hour
			for cores := 1; cores <= mostCores; cores++ {
				name := fmt.Sprintf("graph_over_hnswlib_%s_%dcore", sizeName(rows), cores)
				s.declare(goal(name, "ratio", 2, ">=", 1.5))
				s.leave(name, "needs-the-flag-long")
			}
		}
	}
	if f.only == "" {
		if err := s.ready(ctx, sizes[len(sizes)-1]); err != nil {
			return fmt.Errorf("a node's galleries: %w", err)
		}
	}
	share, err := others()
	if err != nil {
		return err
	}
	r.measure("gallery_others_busy", 100*share)
	if share > 0.05 {
		fmt.Fprintf(r.out, "Other programs used %.0f %% of the cores meanwhile: run it again when they are idle before you believe a time.\n\n", 100*share)
	}
	return nil
}

// watchOthers begins to count what other programs use; what it gives tells their
// share of all cores since. The children of this one must have ended by then.
func watchOthers() (func() (float64, error), error) {
	type mark struct{ all, own time.Duration }
	look := func() (m mark, err error) {
		var of unix.Rusage
		if m.all, err = busyTime(); err != nil {
			return m, err
		}
		if m.own, err = cpuTime(); err != nil {
			return m, err
		}
		if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &of); err != nil {
			return m, fmt.Errorf("getrusage: %w", err)
		}
		m.own += time.Duration(of.Utime.Nano() + of.Stime.Nano())
		return m, nil
	}
	begin := time.Now()
	from, err := look()
	return func() (float64, error) {
		to, err := look()
		others := (to.all - from.all) - (to.own - from.own)
		return others.Seconds() / time.Since(begin).Seconds() / float64(runtime.NumCPU()), err
	}, err
}

// galleryPackages are the others, and what computes the truth, as pip names them.
func galleryPackages() []string {
	return []string{"faiss-cpu==1.15.1", "hnswlib==0.8.0", "usearch==2.26.6", "numpy==2.4.6"}
}

// findPeers installs the others' packages where they are not yet.
func (s *galleryRun) findPeers(ctx context.Context) error {
	p := &peer{name: "gallery", packages: galleryPackages()}
	python, why, err := p.install(ctx, s.progress)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		fmt.Fprintf(s.out, "The other programs cannot be had here (%s: %v), so only ours is measured.\n\n", why, err)
		return nil
	}
	if s.python, err = filepath.Abs(python); err != nil {
		return err
	}
	return os.MkdirAll(s.dir, 0o755)
}

// short says whether graphs over so many rows, and other dimensions, are
// measured too: minutes each, with more rows only where they are asked for.
func (s *galleryRun) short(rows int) bool { return s.long || rows <= 100_000 }

const noPeer = "no-peer"

// leave settles one figure that cannot be measured.
func (s *galleryRun) leave(name, because string) {
	f := s.find(name)
	f.status, f.because = skipped, because
}

// rounds of turns.
func (s *galleryRun) rounds() int {
	if s.quick {
		return 3
	}
	return 7
}

// sizeName is "100k" for 100,000 rows.
func sizeName(rows int) string {
	switch {
	case rows%1_000_000 == 0:
		return fmt.Sprintf("%dm", rows/1_000_000)
	case rows%1000 == 0:
		return fmt.Sprintf("%dk", rows/1000)
	}
	return fmt.Sprint(rows)
}

// setName names vectors: the default pack's dimension goes without saying.
func setName(rows, dimension int) string {
	if dimension == faceDimension {
		return sizeName(rows)
	}
	return fmt.Sprintf("%dd_%s", dimension, sizeName(rows))
}

func coresName(cores int) string { return fmt.Sprintf("_%dcore", cores) }
