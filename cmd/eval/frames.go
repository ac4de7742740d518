package main

import (
	"context"
	"fmt"
	"math"
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
	largest, central := make([]face.Template, len(names)), make([]face.Template, len(names))
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
		if largest[i], err = e.engine.Faces.Embed(ctx, p, &faces[0]); err != nil {
			return err
		}
		central[i] = largest[i]
		if middle := nearestCentre(faces, p.FullWidth, p.FullHeight); middle != 0 {
			central[i], err = e.engine.Faces.Embed(ctx, p, &faces[middle])
		}
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
	genuine, impostor, err := e.frameScores(rows, index, largest)
	if err != nil {
		return err
	}
	c := &e.engine.Pack().Calibration.Match
	t := table{title: "LFW, from whole frames", head: []string{"face taken", "pack's threshold", "at", "TAR", "missed of " + strconv.Itoa(len(genuine)), "false matches of " + strconv.Itoa(len(impostor))},
		note: fmt.Sprintf("%d frames, %d without a face, %d further faces.\nDetected, aligned and compared from grey frames of 250×250 pixels. The largest face is the product's choice, the\nmost central is the person whom LFW names: between them lie bystanders. A frame without a face matches nobody.", len(names), missed, extra)}
	thresholds := []frameThreshold{{"FMR 1e-2", scoreAt(c.FMR, 1e-2)}, {"review", c.Review}, {"match", c.Match}}
	for _, at := range thresholds {
		tar, wrong := t.addRates("largest", at, genuine, impostor)
		if at.name == "review" || at.name == "match" {
			e.measure("frames_tar_at_"+at.name, tar)
			e.measure("frames_false_matches_at_"+at.name, float64(wrong))
		}
	}
	if genuine, impostor, err = e.frameScores(rows, index, central); err != nil {
		return err
	}
	for _, at := range thresholds {
		t.addRates("most central", at, genuine, impostor)
	}
	e.table(t)
	return nil
}

type frameThreshold struct {
	name string
	at   float64
}

func (t *table) addRates(faces string, at frameThreshold, genuine, impostor []float32) (tar float64, wrong int) {
	tar = passing(genuine, at.at)
	wrong = int(math.Round(passing(impostor, at.at) * float64(len(impostor))))
	t.add(faces, at.name, fmt.Sprintf("%.4f", at.at), fmt.Sprintf("%.4f", tar), fmt.Sprintf("%.0f", (1-tar)*float64(len(genuine))), strconv.Itoa(wrong))
	return tar, wrong
}

// nearestCentre is the index of the face in the middle of the picture.
func nearestCentre(faces []face.Face, width, height int) int {
	best, least := 0, math.Inf(1)
	for i := range faces {
		b := faces[i].Box
		if d := math.Hypot(b.X+b.W/2-float64(width)/2, b.Y+b.H/2-float64(height)/2); d < least {
			best, least = i, d
		}
	}
	return best
}

// frameScores compares the listed pairs.
func (e *evaluation) frameScores(rows [][]string, index map[string]int, made []face.Template) (genuine, impostor []float32, err error) {
	for _, r := range rows {
		score := float32(-1)
		if a, b := made[index[r[0]]], made[index[r[1]]]; a.Vector != nil && b.Vector != nil {
			c, err := e.engine.Faces.Compare(a, b)
			if err != nil {
				return nil, nil, err
			}
			score = float32(c.Similarity)
		}
		if r[2] == "1" {
			genuine = append(genuine, score)
		} else {
			impostor = append(impostor, score)
		}
	}
	return genuine, impostor, nil
}

// framePath adds the person's folder: the list gives the file alone.
func framePath(name string) string {
	person := name[:strings.LastIndexByte(name, '_')]
	return path.Join(framesDir, person, name)
}
