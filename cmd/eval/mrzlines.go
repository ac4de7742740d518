package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/image/tiff"

	"gatehouse/engine/picture"
)

const linesDir = "documents/mrz-lines"

func lineFigures() []figure {
	return []figure{
		goal("mrz_lines_exact", "ratio", 4, ">=", 0.85), info("mrz_lines_character_error_rate", "ratio", 4),
		info("mrz_lines_exact_without_border", "ratio", 4), info("mrz_lines_character_error_rate_without_border", "ratio", 4),
		info("mrz_lines_exact_greedy", "ratio", 4), info("mrz_lines_character_error_rate_greedy", "ratio", 4),
	}
}

// lineTruth is the picture of one line and what it says.
type lineTruth struct{ file, text string }

// lineTruths lists the lines whose truth has a format's full length.
func lineTruths(dir string) ([]lineTruth, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tif"))
	if err != nil {
		return nil, err
	}
	var out []lineTruth
	for _, f := range files {
		b, err := os.ReadFile(strings.TrimSuffix(f, ".tif") + ".gt.txt")
		if err != nil {
			return nil, err
		}
		text := strings.Join(strings.Fields(string(b)), "")
		if n := len(text); n == 30 || n == 36 || n == 44 {
			out = append(out, lineTruth{f, text})
		}
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no lines")
	}
	return out, nil
}

// lines reads pictures of single lines.
func (e *evaluation) lines(ctx context.Context) error {
	all, err := lineTruths(e.path(linesDir))
	if err != nil {
		return err
	}
	ways := []struct{ name, figure string }{{"grammar and repair, with a border", ""}, {"grammar and repair", "_without_border"}, {"37 classes, greedy, with a border", "_greedy"}}
	read := make([][3]string, len(all)) // as ways
	err = each(ctx, e.progress, "MRZ lines", len(all), e.engine.Workers(), func(ctx context.Context, i int) error {
		p, err := readTIFF(all[i].file)
		if err != nil {
			return err
		}
		with, _, err := e.engine.Documents.ReadLine(ctx, bordered(p))
		if err != nil {
			return err
		}
		without, _, err := e.engine.Documents.ReadLine(ctx, p)
		read[i] = [3]string{with.Text, without.Text, with.Greedy}
		return err
	})
	if err != nil {
		return err
	}
	t := table{title: "Single lines of zones", head: []string{"reading", "exact", "share", "character error rate"},
		note: fmt.Sprintf("%d binarised lines of full length, each read by itself: no other line helps, no format is told. A few truths are misspelt.", len(all))}
	for w, way := range ways {
		exact, edits, characters := 0, 0, 0
		for i, l := range all {
			if read[i][w] == l.text {
				exact++
			} else if e.verbose && w == 0 {
				fmt.Fprintf(e.out, "%s\n  truth  %s\n  read   %s\n", filepath.Base(l.file), l.text, read[i][w])
			}
			edits += distance(l.text, read[i][w])
			characters += len(l.text)
		}
		share, rate := float64(exact)/float64(len(all)), float64(edits)/float64(characters)
		e.measure("mrz_lines_exact"+way.figure, share)
		e.measure("mrz_lines_character_error_rate"+way.figure, rate)
		t.add(way.name, fmt.Sprintf("%d of %d", exact, len(all)), fmt.Sprintf("%.3f", share), fmt.Sprintf("%.4f", rate))
	}
	e.table(t)
	return nil
}

// distance is Levenshtein's: the least insertions, deletions and substitutions.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func readTIFF(name string) (*picture.Picture, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := tiff.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return fromImage(m), nil
}

func fromImage(m image.Image) *picture.Picture {
	b := m.Bounds()
	p := picture.New(b.Dx(), b.Dy())
	for y := range p.Height {
		for x := range p.Width {
			r, g, bl, _ := m.At(b.Min.X+x, b.Min.Y+y).RGBA()
			copy(p.Pix[3*(y*p.Width+x):], []byte{byte(r >> 8), byte(g >> 8), byte(bl >> 8)})
		}
	}
	return p
}

// bordered adds a tenth of the height on each side, white or black as most of
// the picture's edge is.
func bordered(p *picture.Picture) *picture.Picture {
	var edge []int
	for y := range p.Height {
		for x := range p.Width {
			if x == 0 || y == 0 || x == p.Width-1 || y == p.Height-1 {
				edge = append(edge, int(p.Pix[3*(y*p.Width+x)]))
			}
		}
	}
	sort.Ints(edge)
	background := byte(0)
	if edge[len(edge)/2] >= 128 {
		background = 255
	}
	d := (p.Height + 5) / 10
	out := picture.New(p.Width+2*d, p.Height+2*d)
	for i := range out.Pix {
		out.Pix[i] = background
	}
	for y := range p.Height {
		copy(out.Pix[3*((y+d)*out.Width+d):][:3*p.Width], p.Pix[3*y*p.Width:])
	}
	return out
}
