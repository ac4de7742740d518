package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

//go:embed peers.py
var peersScript string

// peer is a program that others use to read documents.
type peer struct {
	name     string
	packages []string // of Python, as pip names them
	needs    string   // another program
	about    string
}

func allPeers() []peer {
	return []peer{
		{"rapidocr", []string{"rapidocr==3.10.0", "onnxruntime==1.31.1", "opencv-python-headless"}, "", "lines of text equal to the zone's, of all that it reads"},
		{"passporteye", []string{"passporteye==2.2.2"}, "tesseract", "the zone's lines"},
	}
}

const oursName = "gatehouse"

// peers reads the same photographs with other programs and with ours.
func peers(ctx context.Context, r *report, f *flags) error {
	figures := func(name string) []figure {
		return []figure{info("peers_mrz_right_"+name, "of_16", 0), info("peers_mrz_cpu_ms_"+name, "ms", 0)}
	}
	e := &evaluation{report: r, data: f.data}
	if !e.has(photographsDir) {
		r.declare(figures(oursName)...)
		for _, p := range allPeers() {
			r.declare(figures(p.name)...)
		}
		r.skip(noData)
		fmt.Fprintf(r.out, "There is no %s in %s, so nothing was measured; name the data with --data.\n\n", photographsDir, f.data)
		return nil
	}
	all, err := readPhotographs(e.path(photographsList))
	if err != nil {
		return err
	}
	t := table{title: "Zones of photographs, beside other programs", head: []string{"program", "right", "lines right", "median CPU ms", "what counts"},
		note: fmt.Sprintf("%d photographs in one run. The others are read as they come, without settings of ours.", len(all))}
	settle := func(name, about string, read []peerReading) {
		right, lines, cpu := compareLines(all, read)
		r.find("peers_mrz_right_" + name).unit = fmt.Sprintf("of_%d", len(all))
		r.measure("peers_mrz_right_"+name, float64(right))
		r.measure("peers_mrz_cpu_ms_"+name, cpu)
		t.add(name, fmt.Sprint(right), lines, fmt.Sprintf("%.0f", cpu), about)
	}
	r.declare(figures(oursName)...)
	ours, err := e.readOurs(ctx, all)
	if err != nil {
		return err
	}
	settle(oursName, "the zone's lines", ours)
	for _, p := range allPeers() {
		r.declare(figures(p.name)...)
		read, why, err := p.read(ctx, e, all)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case why != "":
			fmt.Fprintf(r.progress, "%s is skipped: %s: %v\n", p.name, why, err)
			t.add(p.name, "–", "–", "–", "skipped: "+why)
			r.skip(why)
		default:
			settle(p.name, p.about, read)
		}
	}
	r.table(t)
	return nil
}

// peerReading is what a program said of one picture.
type peerReading struct {
	Lines []string `json:"lines"`
	CPU   float64  `json:"cpu_ms"`
}

// compareLines counts the pictures of which every line was read, and the lines.
func compareLines(all []photograph, read []peerReading) (right int, lines string, cpu float64) {
	found, total := 0, 0
	var costs []float64
	for i, k := range all {
		have := map[string]bool{}
		for _, l := range read[i].Lines {
			have[strings.Join(strings.Fields(l), "")] = true
		}
		before := found
		for _, l := range k.lines {
			if have[l] {
				found++
			}
		}
		if total += len(k.lines); found-before == len(k.lines) {
			right++
		}
		costs = append(costs, read[i].CPU)
	}
	return right, fmt.Sprintf("%d of %d", found, total), median(costs)
}

func (e *evaluation) readOurs(ctx context.Context, all []photograph) ([]peerReading, error) {
	var err error
	if e.engine, err = openEngine(1); err != nil {
		return nil, err
	}
	defer e.engine.Close()
	var out []peerReading
	for _, k := range all {
		var one peerReading
		one.CPU, err = cost(func() error {
			p, err := e.open(ctx, path.Join(photographsDir, k.file))
			if err != nil {
				return err
			}
			m, err := e.readZone(ctx, p)
			if m != nil {
				one.Lines = m.Lines
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// read installs the peer, where it is not, and runs it; why says what is
// missing, err in which words.
func (p *peer) read(ctx context.Context, e *evaluation, all []photograph) (read []peerReading, why string, err error) {
	if p.needs != "" {
		if _, err := exec.LookPath(p.needs); err != nil {
			return nil, "no-" + p.needs, err
		}
	}
	python, why, err := p.install(ctx, e.progress)
	if err != nil {
		return nil, why, err
	}
	args := []string{"-c", peersScript, p.name}
	for _, k := range all {
		args = append(args, e.path(path.Join(photographsDir, k.file)))
	}
	fmt.Fprintf(e.progress, "%s reads %d photographs\n", p.name, len(all))
	c := exec.CommandContext(ctx, python, args...)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return nil, "failed", fmt.Errorf("%w: %s", err, lastLine(said.Bytes()))
	}
	for line := range bytes.Lines(out) {
		var one peerReading
		if json.Unmarshal(line, &one) == nil { // the program may print of its own
			read = append(read, one)
		}
	}
	if len(read) != len(all) {
		return nil, "failed", fmt.Errorf("%d readings of %d", len(read), len(all))
	}
	return read, "", nil
}

// install makes a virtual environment with the peer's packages, once.
func (p *peer) install(ctx context.Context, progress io.Writer) (python, why string, err error) {
	base, err := exec.LookPath("python3")
	if err != nil {
		return "", "no-python3", err
	}
	dir := filepath.Join(buildDir, "peers", p.name)
	python, ready := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return python, "", nil
	}
	fmt.Fprintf(progress, "installing %s into %s\n", strings.Join(p.packages, ", "), dir)
	for _, step := range []struct {
		why  string
		args []string
	}{
		{"no-venv", []string{base, "-m", "venv", "--clear", dir}},
		{"no-package", append([]string{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, p.packages...)},
	} {
		out, err := exec.CommandContext(ctx, step.args[0], step.args[1:]...).CombinedOutput()
		if err != nil {
			return "", step.why, fmt.Errorf("%w: %s", err, lastLine(out))
		}
	}
	return python, "no-venv", os.WriteFile(ready, nil, 0o644)
}

func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}
