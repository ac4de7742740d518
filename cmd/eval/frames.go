package main

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"gatehouse/engine/face"
)

const (
	framesDir  = "faces/lfw/funneled250_grey"
	framesList = "faces/lfw/funneled250_grey_pairs.csv"
)

func frameFigures() []figure {
	return []figure{
		goal("frames_missed", "of_2622", 0, "<=", 0),
		info("frames_tar_at_review", "ratio", 4), info("frames_tar_at_match", "ratio", 4),
		info("frames_false_matches_at_review", "pairs", 0), info("frames_false_matches_at_match", "pairs", 0),
	}
}

// frames finds, aligns and compares the faces of whole photographs.
func (e *evaluation) frames(ctx context.Context) error {
	rows, err := readCSV(e.path(framesList), 3)
	if err != nil {
		return err
	}
	index := map[string]int{}
	var names []string
	for _, r := range rows {
		for _, n := range r[:2] {
			if _, ok := index[n]; !ok {
				index[n] = len(names)
				names = append(names, n)
			}
		}
	}
	made := make([]face.Template, len(names))
	found := make([]int, len(names))
	err = each(ctx, e.progress, "LFW frames", len(names), e.engine.Workers(), func(ctx context.Context, i int) error {
		p, err := e.open(ctx, framePath(names[i]))
		if err != nil {
			return err
		}
		faces, err := e.engine.Faces.Detect(ctx, p)
		if found[i] = len(faces); err != nil || len(faces) == 0 {
			return err
		}
		made[i], err = e.engine.Faces.Embed(ctx, p, &faces[0])
		return err
	})
	if err != nil {
		return err
	}
	missed, extra := 0, 0
	for i, n := range found {
		if n == 0 {
			missed++
			fmt.Fprintf(e.out, "no face was found in %s\n", names[i])
		} else {
			extra += n - 1
		}
	}
	e.find("frames_missed").unit = fmt.Sprintf("of_%d", len(names))
	e.measure("frames_missed", float64(missed))
	return e.frameRates(rows, index, made, fmt.Sprintf("%d frames, %d without a face, %d further faces (mostly bystanders).\nDetected, aligned and compared from grey frames of 250×250 pixels; the largest face counts. A frame without a face matches nobody.", len(names), missed, extra))
}

func (e *evaluation) frameRates(rows [][]string, index map[string]int, made []face.Template, note string) error {
	var genuine, impostor []float32
	for _, r := range rows {
		score := float32(-1)
		if a, b := made[index[r[0]]], made[index[r[1]]]; a.Vector != nil && b.Vector != nil {
			c, err := e.engine.Faces.Compare(a, b)
			if err != nil {
				return err
			}
			score = float32(c.Similarity)
		}
		if r[2] == "1" {
			genuine = append(genuine, score)
		} else {
			impostor = append(impostor, score)
		}
	}
	t := table{title: "LFW, from whole frames", note: note, head: []string{"pack's threshold", "at", "TAR", "missed of " + strconv.Itoa(len(genuine)), "false matches of " + strconv.Itoa(len(impostor))}}
	c := &e.engine.Pack().Calibration.Match
	for _, at := range []struct {
		name      string
		threshold float64
	}{{"FMR 1e-2", scoreAt(c.FMR, 1e-2)}, {"review", c.Review}, {"match", c.Match}} {
		tar, far := passing(genuine, at.threshold), passing(impostor, at.threshold)
		wrong := far * float64(len(impostor))
		t.add(at.name, fmt.Sprintf("%.4f", at.threshold), fmt.Sprintf("%.4f", tar), fmt.Sprintf("%.0f", (1-tar)*float64(len(genuine))), fmt.Sprintf("%.0f", wrong))
		if at.name == "review" || at.name == "match" {
			e.measure("frames_tar_at_"+at.name, tar)
			e.measure("frames_false_matches_at_"+at.name, wrong)
		}
	}
	e.table(t)
	return nil
}

// framePath adds the person's folder: the list gives the file alone.
func framePath(name string) string {
	person := name[:strings.LastIndexByte(name, '_')]
	return path.Join(framesDir, person, name)
}
