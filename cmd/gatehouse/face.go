package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"gatehouse/engine"
	"gatehouse/engine/face"
)

func faceCommands() []command {
	none := func(run func(context.Context, *call, []string) error) func(*flag.FlagSet) func(context.Context, *call, []string) error {
		return func(*flag.FlagSet) func(context.Context, *call, []string) error { return run }
	}
	return []command{
		{
			name: "face inspect", args: "FILE…", summary: "find faces; measure quality and liveness", flags: none(faceInspect),
			manual: `
Prints every face of each picture: box (x, y, w, h) and five landmarks in
pixels of the upright original, quality measures by the names of
ISO/IEC 29794-5, each with its unit and whether it lies in its range, and
liveness. A picture without a face gives an empty list.`,
		},
		{
			name: "face compare", args: "A B", summary: "compare the largest faces of two pictures", flags: none(faceCompare),
			manual: `
Prints the similarity (-1 to 1), the false match rate that it corresponds to
(measured, times the calibration's safety factor), and whether it reaches the
pack's match threshold.`,
		},
		{
			name: "face embed", args: "FILE…", summary: "print the template of each picture's largest face", flags: none(faceEmbed),
			manual: `
Prints the template, a unit vector in the space of the pack's recognisers.
Templates of different packs cannot be compared.`,
		},
	}
}

type inspected struct {
	File   string          `json:"file"`
	Width  int             `json:"width"`
	Height int             `json:"height"`
	Faces  []inspectedFace `json:"faces"`
}

type inspectedFace struct {
	face.Face
	Quality  face.Quality  `json:"quality"`
	Liveness face.Liveness `json:"liveness"`
}

func faceInspect(ctx context.Context, c *call, files []string) error {
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	return batch(ctx, c, files, e.Workers(), func(ctx context.Context, file string) (inspected, error) {
		p, err := open(ctx, file)
		if err != nil {
			return inspected{}, err
		}
		out := inspected{File: file, Width: p.FullWidth, Height: p.FullHeight, Faces: []inspectedFace{}}
		found, err := e.Faces.Detect(ctx, p)
		if err != nil {
			return out, err
		}
		for _, f := range found {
			one := inspectedFace{Face: f}
			if one.Quality, err = e.Faces.Quality(ctx, p, &f); err != nil {
				return out, err
			}
			if one.Liveness, err = e.Faces.Liveness(ctx, p, &f); err != nil {
				return out, err
			}
			out.Faces = append(out.Faces, one)
		}
		return out, nil
	}, func(r inspected) {
		var w strings.Builder
		fmt.Fprintf(&w, "%s: %d×%d, %s\n", r.File, r.Width, r.Height, plural(len(r.Faces), "face"))
		for _, f := range r.Faces {
			fmt.Fprintf(&w, "  box %.0f,%.0f %.0f×%.0f score %.3f liveness %s (%.3f)\n", f.Box.X, f.Box.Y, f.Box.W, f.Box.H, f.Score, f.Liveness.Verdict, f.Liveness.Live)
			for _, n := range face.QualityNames() {
				q := f.Quality[n]
				row(&w, "  "+n, fmt.Sprintf("%.3g %s", q.Value, q.Unit), tick(q.Passed))
			}
		}
		fmt.Fprint(c.out, w.String())
	})
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// embed gives the template of a file's largest face.
func embed(ctx context.Context, e *engine.Engine, file string) (face.Template, error) {
	p, err := open(ctx, file)
	if err != nil {
		return face.Template{}, err
	}
	found, err := e.Faces.Detect(ctx, p)
	if err != nil {
		return face.Template{}, err
	}
	if len(found) == 0 {
		return face.Template{}, &inputError{file, fmt.Errorf("%w; use a picture that shows the face whole and lit", face.ErrNoFace)}
	}
	if d := found[0].EyeDistance(); d < face.MinEyes {
		return face.Template{}, &inputError{file, fmt.Errorf("its face is too small: %.0f pixels between the eyes, at least %d are needed; use a larger picture", d, face.MinEyes)}
	}
	return e.Faces.Embed(ctx, p, &found[0])
}

func faceCompare(ctx context.Context, c *call, files []string) error {
	if len(files) != 2 {
		return fmt.Errorf("%w: it needs two files", errUsage)
	}
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	var t [2]face.Template
	for i, f := range files {
		if t[i], err = embed(ctx, e, f); err != nil {
			return err
		}
	}
	r, err := e.Faces.Compare(t[0], t[1])
	if err != nil {
		return err
	}
	if c.json || c.jsonl {
		c.print(r)
		return nil
	}
	verdict := "not the same person at this threshold"
	if r.Match {
		verdict = "match"
	} else if r.Review {
		verdict = "no match; near enough for a human to look"
	}
	fmt.Fprintf(c.out, "similarity %.4f, threshold %.4f: %s\nFMR at this similarity ≤ %.1e, at the threshold %.1e (%s)\n", r.Similarity, r.Threshold, verdict, r.FMR, r.ThresholdFMR, r.Model)
	return nil
}

type embedded struct {
	File string `json:"file"`
	face.Template
}

func faceEmbed(ctx context.Context, c *call, files []string) error {
	e, err := c.openEngine()
	if err != nil {
		return err
	}
	defer e.Close()
	return batch(ctx, c, files, e.Workers(), func(ctx context.Context, file string) (embedded, error) {
		t, err := embed(ctx, e, file)
		return embedded{file, t}, err
	}, func(r embedded) {
		fmt.Fprintf(c.out, "%s: %s, %d dimensions, strength %.2f\n  %.4f …  (--json prints all)\n", r.File, r.Model, len(r.Vector), r.Strength, r.Vector[:min(8, len(r.Vector))])
	})
}
