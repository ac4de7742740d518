package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"gatehouse/engine/document"
	"gatehouse/engine/document/mrz"
	"gatehouse/engine/picture"
)

const (
	photographsDir  = "documents/passporteye"
	photographsList = photographsDir + "/truth.csv"
)

func photographFigures() []figure {
	return []figure{
		goal("mrz_photographs_right", "of_16", 0, ">=", 15),
		info("mrz_photographs_valid", "of_16", 0), info("mrz_photographs_trusted", "of_16", 0), info("mrz_photographs_trusted_wrong", "of_16", 0),
		info("mrz_photograph_cpu_ms_median", "ms", 0), info("mrz_photograph_cpu_ms_max", "ms", 0),
	}
}

// photograph is a picture with the lines that it shows.
type photograph struct {
	file       string
	lines      []string
	misprinted bool // with check digits that do not hold
}

func readPhotographs(list string) ([]photograph, error) {
	rows, err := readCSV(list, 7)
	if err != nil {
		return nil, err
	}
	var out []photograph
	for _, r := range rows {
		p := photograph{file: r[0], misprinted: r[5] == "no"}
		for _, l := range r[2:5] {
			if l != "" {
				p.lines = append(p.lines, l)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// outcome of reading one picture whose truth is known.
type outcome struct{ found, right, valid, trusted bool }

func judge(m *mrz.Reading, truth []string) outcome {
	if m == nil {
		return outcome{}
	}
	return outcome{true, slices.Equal(m.Lines, truth), m.Valid, m.Trusted}
}

// tally counts outcomes.
type tally struct{ found, right, valid, trusted, trustedWrong int }

func (t *tally) add(o outcome) {
	for _, c := range []struct {
		count *int
		holds bool
	}{{&t.found, o.found}, {&t.right, o.right}, {&t.valid, o.valid}, {&t.trusted, o.trusted}, {&t.trustedWrong, o.trusted && !o.right}} {
		if c.holds {
			*c.count++
		}
	}
}

func (e *evaluation) readZone(ctx context.Context, p *picture.Picture) (*mrz.Reading, error) {
	d, err := e.engine.Documents.Read(ctx, p, document.Options{Today: time.Now()})
	if err != nil {
		return nil, err
	}
	return d.MRZ, nil
}

// photographs reads the zones of photographs as they are.
func (e *evaluation) photographs(ctx context.Context) error {
	all, err := readPhotographs(e.path(photographsList))
	if err != nil {
		return err
	}
	t := table{title: "Zones of photographs", head: []string{"photograph", "format", "lines", "check digits", "trusted", "repairs", "CPU ms"},
		note: "Specimen documents. The reader's thresholds were chosen with these pictures in view: expect less of others.\nTrusted and yet wrong is what must not happen; Ñ counts as N."}
	var sum tally
	misprinted := 0
	var cost []float64
	for _, k := range all {
		start, err := cpuTime()
		if err != nil {
			return err
		}
		p, err := e.open(ctx, path.Join(photographsDir, k.file))
		if err != nil {
			return err
		}
		m, err := e.readZone(ctx, p)
		if err != nil {
			return err
		}
		end, err := cpuTime()
		if err != nil {
			return err
		}
		cost = append(cost, milliseconds(end-start))
		o := judge(m, k.lines)
		sum.add(o)
		if k.misprinted {
			misprinted++
		}
		row := []string{k.file, "–", "not found", "–", "–", "–", fmt.Sprintf("%.0f", cost[len(cost)-1])}
		if m != nil {
			row = []string{k.file, string(m.Format), yes(o.right, "right", "WRONG"), yes(o.valid, "hold", "fail"), yes(o.trusted, "yes", "no"), fmt.Sprint(len(m.Repairs)), row[6]}
		}
		t.add(row...)
		if e.verbose && !o.right {
			e.misread(k.file, k.lines, m)
		}
	}
	t.note += fmt.Sprintf(" %d specimens are printed with check digits that do not hold.", misprinted)
	e.table(t)
	n := fmt.Sprintf("of_%d", len(all))
	for _, f := range []struct {
		name  string
		count int
	}{{"right", sum.right}, {"valid", sum.valid}, {"trusted", sum.trusted}, {"trusted_wrong", sum.trustedWrong}} {
		e.find("mrz_photographs_" + f.name).unit = n
		e.measure("mrz_photographs_"+f.name, float64(f.count))
	}
	e.measure("mrz_photograph_cpu_ms_median", median(cost))
	e.measure("mrz_photograph_cpu_ms_max", slices.Max(cost))
	return nil
}

func (e *evaluation) misread(what string, truth []string, m *mrz.Reading) {
	got := "nothing"
	if m != nil {
		got = strings.Join(m.Lines, "\n         ")
	}
	fmt.Fprintf(e.out, "%s\n  truth  %s\n  read   %s\n", what, strings.Join(truth, "\n         "), got)
	if m != nil && len(m.Repairs) > 0 {
		fmt.Fprintf(e.out, "  mended %v\n", m.Repairs)
	}
}

func yes(holds bool, then, otherwise string) string {
	if holds {
		return then
	}
	return otherwise
}
