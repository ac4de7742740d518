package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// errVectors says that the engine does not compute what it should.
var errVectors = errors.New("test vectors failed")

// report takes what a run finds. It prints tables and vectors as they come and
// the figures at the end.
type report struct {
	out, progress io.Writer
	dir           string // keeps a file for each figure

	figures []*figure
	tables  []table
	vectors []vector
}

type vector struct{ name, problem string }

// declare announces figures; each must then be measured or skipped.
func (r *report) declare(figures ...figure) {
	for _, f := range figures {
		r.figures = append(r.figures, &f)
	}
}

func (r *report) find(name string) *figure {
	for _, f := range r.figures {
		if f.name == name {
			return f
		}
	}
	panic("eval: figure " + name + " was not declared")
}

// measure settles a figure.
func (r *report) measure(name string, value float64) {
	f := r.find(name)
	f.value, f.status = value, measured
}

// skip settles every figure that is still open.
func (r *report) skip(because string) {
	for _, f := range r.figures {
		if f.status == pending {
			f.status, f.because = skipped, because
		}
	}
}

func (r *report) table(t table) {
	r.tables = append(r.tables, t)
	fmt.Fprintf(r.out, "%s\n", t.text())
}

// vector reports one test vector; problem is "" where all is as it should be.
func (r *report) vector(name, problem string) {
	v := vector{name, problem}
	r.vectors = append(r.vectors, v)
	fmt.Fprintln(r.out, v)
}

func (v vector) String() string {
	if v.problem == "" {
		return "vector " + v.name + " ok"
	}
	return "vector " + v.name + " FAILED (" + v.problem + ")"
}

// close prints and keeps the figures that are settled. whole says that the run
// came to its end, so that all must be.
func (r *report) close(whole bool) error {
	if len(r.figures) > 0 {
		if err := os.MkdirAll(r.dir, 0o755); err != nil {
			return fmt.Errorf("figures: %w", err)
		}
	}
	for _, f := range r.figures {
		if f.status == pending {
			if whole {
				return fmt.Errorf("figure %s was declared and not measured", f.name)
			}
			continue
		}
		fmt.Fprintln(r.out, f)
		if err := os.WriteFile(filepath.Join(r.dir, f.name), []byte(f.String()+"\n"), 0o644); err != nil {
			return fmt.Errorf("figure %s: %w", f.name, err)
		}
	}
	var failed []string
	for _, v := range r.vectors {
		if v.problem != "" {
			failed = append(failed, v.name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w: %s", errVectors, strings.Join(failed, ", "))
	}
	return nil
}
