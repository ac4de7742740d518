package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"time"

	"gatehouse/engine/pack"
)

const (
	alignedDir  = "faces/lfw/aligned112"
	alignedList = "faces/lfw/aligned112_pairs.csv"
)

func lfwFigures() []figure {
	return []figure{
		goal("lfw_accuracy", "%", 2, ">=", 99.4), info("lfw_auc", "ratio", 4),
		info("tar_at_fmr_1e-2", "ratio", 4), goal("tar_at_fmr_1e-3", "ratio", 4, ">=", 0.988),
		goal("tar_at_fmr_1e-4", "ratio", 4, ">=", 0.97), info("tar_at_fmr_1e-5", "ratio", 4),
		info("threshold_at_fmr_1e-3", "cosine", 4), info("threshold_at_fmr_1e-4", "cosine", 4),
	}
}

// calibrationSlack is how far a measured threshold may lie from the pack's.
const calibrationSlack = 0.01

// lfw compares LFW's aligned crops: the 6,000 pairs of View 2, then all pairs.
func (e *evaluation) lfw(ctx context.Context) error {
	t, err := e.alignedTemplates(ctx)
	if err != nil {
		return err
	}
	e.crops = t // the open set comes after
	pairs, err := e.view2(t)
	if err != nil {
		return err
	}
	mean, deviation := meanAndDeviation(tenFold(pairs))
	auc := areaUnderCurve(pairs)
	e.measure("lfw_accuracy", 100*mean)
	e.measure("lfw_auc", auc)
	view := table{title: "LFW, View 2", head: []string{"pairs", "accuracy %", "± deviation of the folds", "± standard error", "AUC"},
		note: "Ten folds, each with the threshold that is best on the other nine. Aligned crops, all recognisers of the pack, mirrored too."}
	folds := math.Sqrt(10)
	view.add(strconv.Itoa(len(pairs)), fmt.Sprintf("%.2f", 100*mean), fmt.Sprintf("%.2f", 100*deviation), fmt.Sprintf("%.2f", 100*deviation/folds), fmt.Sprintf("%.4f", auc))
	e.table(view)
	return e.everyPair(ctx, t)
}

// everyPair gives the rates that 6,000 pairs are too few for.
func (e *evaluation) everyPair(ctx context.Context, t *templates) error {
	person := make([]int, len(t.Names))
	ids := map[string]int{}
	for i, n := range t.Names {
		who := path.Dir(n)
		if _, ok := ids[who]; !ok {
			ids[who] = len(ids)
		}
		person[i] = ids[who]
	}
	start := time.Now()
	impostors, genuine, err := allPairs(ctx, e.progress, t.Vectors, t.Dim, person, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	fmt.Fprintf(e.progress, "comparing all pairs took %.0f s\n", time.Since(start).Seconds())
	c := &e.engine.Pack().Calibration.Match
	rates := table{title: "LFW, all pairs", head: []string{"FMR", "threshold", "TAR", "pack's threshold", "difference", "TAR there"},
		note: fmt.Sprintf("%d crops of %d persons: %d pairs of two persons, %d of one.\nThe pack was calibrated on these same pairs: agreement proves the arithmetic, not the rate on other people.\nBelow 1e-5 a few wrong labels of LFW make the curve. The pack publishes its FMR with a factor of %g on top.",
			len(t.Names), len(ids), impostors.total, len(genuine), c.SafetyFactor)}
	for _, r := range []struct {
		name string
		fmr  float64
	}{{"1e-2", 1e-2}, {"1e-3", 1e-3}, {"1e-4", 1e-4}, {"1e-5", 1e-5}} {
		at := impostors.threshold(r.fmr)
		tar := passing(genuine, at)
		e.measure("tar_at_fmr_"+r.name, tar)
		packs := scoreAt(c.FMR, r.fmr)
		far := ""
		if math.Abs(at-packs) > calibrationSlack {
			far = fmt.Sprintf(", more than %g", calibrationSlack)
		}
		rates.add(r.name, fmt.Sprintf("%.4f", at), fmt.Sprintf("%.4f", tar), fmt.Sprintf("%.4f", packs), fmt.Sprintf("%+.4f%s", at-packs, far), fmt.Sprintf("%.4f", passing(genuine, packs)))
		if r.name == "1e-3" || r.name == "1e-4" {
			e.measure("threshold_at_fmr_"+r.name, at)
		}
	}
	e.table(rates)
	return nil
}

// scoreAt is the score at which a calibration's table has this rate.
func scoreAt(t []pack.RatePoint, rate float64) float64 {
	i := sort.Search(len(t), func(i int) bool { return t[i].Rate <= rate })
	switch i {
	case 0:
		return t[0].Score
	case len(t):
		return t[len(t)-1].Score
	}
	a, b := t[i-1], t[i]
	return a.Score + (b.Score-a.Score)*math.Log(a.Rate/rate)/math.Log(a.Rate/b.Rate)
}

// view2 scores the official pairs.
func (e *evaluation) view2(t *templates) ([]pair, error) {
	index := map[string]int{}
	for i, n := range t.Names {
		index[n] = i
	}
	rows, err := readCSV(e.path(alignedList), 4)
	if err != nil {
		return nil, err
	}
	var out []pair
	for _, r := range rows {
		fold, err := strconv.Atoi(r[0])
		a, okA := index[r[1]]
		b, okB := index[r[2]]
		if err != nil || !okA || !okB {
			return nil, fmt.Errorf("%s: pair %q", alignedList, r)
		}
		var dot float64
		for k, x := range t.of(a) {
			dot += float64(x) * float64(t.of(b)[k])
		}
		out = append(out, pair{fold, dot, r[3] == "1"})
	}
	return out, nil
}

// alignedTemplates makes the templates of all crops, or takes the kept ones.
func (e *evaluation) alignedTemplates(ctx context.Context) (*templates, error) {
	files, err := filepath.Glob(filepath.Join(e.path(alignedDir), "*", "*.jpg"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("it holds no pictures")
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = path.Join(filepath.Base(filepath.Dir(f)), filepath.Base(f))
	}
	file := cacheFile(e.engine.Pack(), names)
	if !e.fresh {
		t, err := readTemplates(file)
		if err != nil {
			return nil, err
		}
		if t != nil {
			fmt.Fprintf(e.out, "LFW: templates are taken from %s, not made anew (--fresh does).\n\n", file)
			return t, nil
		}
	}
	vectors := make([][]float32, len(names))
	err = each(ctx, e.progress, "LFW templates", len(names), e.engine.Workers(), func(ctx context.Context, i int) error {
		p, err := e.open(ctx, path.Join(alignedDir, names[i]))
		if err != nil {
			return err
		}
		made, err := e.engine.Faces.EmbedAligned(ctx, p)
		vectors[i] = made.Vector
		return err
	})
	if err != nil {
		return nil, err
	}
	t := &templates{Names: names, Dim: len(vectors[0])}
	for _, v := range vectors {
		t.Vectors = append(t.Vectors, v...)
	}
	return t, t.write(file)
}

// readCSV reads the rows below the heading, which have so many columns.
func readCSV(name string, columns int) ([][]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = columns
	if _, err := r.Read(); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rows, nil
}
