package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatehouse/engine"
	"gatehouse/engine/picture"
)

// noData is why a figure is skipped where its pictures are absent.
const noData = "no-data"

// evaluation is one run over the data.
type evaluation struct {
	*report
	engine  *engine.Engine
	data    string
	fresh   bool
	verbose bool
	crops   *templates // of LFW, once they are made
}

// part measures one thing on one folder of the data.
type part struct {
	kind    string // faces, mrz or liveness
	needs   string // below the data
	figures []figure
	run     func(*evaluation, context.Context) error
}

func parts() []part {
	return []part{
		{"faces", alignedDir, nil, (*evaluation).templateVectors},
		{"faces", framesDir, nil, (*evaluation).frameVectors},
		{"faces", alignedDir, lfwFigures(), (*evaluation).lfw},
		{"faces", alignedDir, openSetFigures(), (*evaluation).oneAmongMany},
		{"faces", framesDir, frameFigures(), (*evaluation).frames},
		{"mrz", linesDir, nil, (*evaluation).lineVectors},
		{"mrz", photographsDir, nil, (*evaluation).photographVectors},
		{"mrz", photographsDir, photographFigures(), (*evaluation).photographs},
		{"mrz", linesDir, lineFigures(), (*evaluation).lines},
		{"mrz", photographsDir, stressFigures(), (*evaluation).stress},
		{"liveness", livenessDir, nil, (*evaluation).liveness},
	}
}

// accuracy measures how right the engine is.
func accuracy(ctx context.Context, r *report, f *flags) error {
	todo := slices.DeleteFunc(parts(), func(p part) bool { return f.only != "" && p.kind != f.only })
	switch {
	case len(todo) == 0:
		return fmt.Errorf("%w: --only takes faces, mrz or liveness", errUsage)
	case f.only != "" && f.doc != "":
		return fmt.Errorf("%w: --doc needs all parts, --only leaves some out", errUsage)
	}
	e := &evaluation{report: r, data: f.data, fresh: f.fresh, verbose: f.verbose}
	if !e.has("") {
		for _, p := range todo {
			r.declare(p.figures...)
		}
		r.skip(noData)
		fmt.Fprintf(r.out, "There is no evaluation data at %s, so nothing was measured; name its folder with --data.\n\n", f.data)
		return nil
	}
	var err error
	if e.engine, err = openEngine(0); err != nil {
		return err
	}
	defer e.engine.Close()
	for _, p := range todo {
		r.declare(p.figures...)
		if !e.has(p.needs) {
			fmt.Fprintf(r.out, "%s is not in %s: skipped.\n\n", p.needs, f.data)
			r.skip(noData)
			continue
		}
		if err := p.run(e, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.needs, err)
		}
	}
	if f.doc != "" {
		return e.document(f.doc)
	}
	return nil
}

func (e *evaluation) path(name string) string { return filepath.Join(e.data, filepath.FromSlash(name)) }

func (e *evaluation) has(name string) bool {
	_, err := os.Stat(e.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// open decodes a picture of the data as the engine does.
func (e *evaluation) open(ctx context.Context, name string) (*picture.Picture, error) {
	b, err := os.ReadFile(e.path(name))
	if err != nil {
		return nil, err
	}
	p, err := engine.Decode(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// document writes the tables as a page of the manual.
func (e *evaluation) document(name string) error {
	var b bytes.Buffer
	p := e.engine.Pack()
	fmt.Fprintf(&b, `# Accuracy

Measured by `+"`make eval`"+` with model pack %s %s on ONNX Runtime %s. This page is written
by that command; do not edit it.

The data are public: press photographs of public persons (LFW) and specimen
documents. They are not your customers, cameras or documents: measure on your
own before you rely on a rate. The data are not part of the product.

`, p.ID, p.Version, e.engine.RuntimeVersion())
	for _, t := range e.tables {
		b.WriteString(t.markdown() + "\n")
	}
	b.WriteString("## Test vectors\n\n```\n")
	for _, v := range e.vectors {
		fmt.Fprintln(&b, v)
	}
	b.WriteString("```\n\n## Figures\n\n```\n")
	for _, f := range e.figures {
		fmt.Fprintln(&b, f)
	}
	b.WriteString("```\n")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// problem joins what is wrong; "" where nothing is.
func problem(found []string) string { return strings.Join(found, "; ") }
