package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/document"
	"gatehouse/engine/face"
	"gatehouse/engine/picture"
)

func stageFigures() []figure {
	return []figure{
		goal("face_cpu_ms", "ms", 1, "<", 250), goal("document_cpu_ms", "ms", 1, "<", 1000), info("document_text_cpu_ms", "ms", 1),
	}
}

// stage is a step of the work on one picture.
type stage struct {
	name string
	run  func() error
}

// spent is what the runs of a stage cost.
type spent struct{ cpu, models, megabytes []float64 }

// stages times the two sides of a verification, step by step, on one core.
func (s *speedRun) stages(ctx context.Context) error {
	for _, side := range []struct {
		title, figure string
		stages        []stage
	}{
		{"Face, 12-megapixel selfie", "face_cpu_ms", s.faceStages(ctx)},
		{"Document, 12-megapixel photograph", "document_cpu_ms", s.documentStages(ctx, document.TextNever)},
		{"Document, with all printed text", "document_text_cpu_ms", s.documentStages(ctx, document.TextAlways)},
	} {
		if err := s.timeSide(side.title, side.figure, side.stages); err != nil {
			return err
		}
	}
	return nil
}

func (s *speedRun) faceStages(ctx context.Context) []stage {
	var p *picture.Picture
	var f face.Face
	faces := s.one.Faces
	return []stage{
		{"decode", func() (err error) { p, err = engine.Decode(ctx, s.in.evidence.Selfie); return err }},
		{"detect and landmarks", func() error {
			found, err := faces.Detect(ctx, p)
			if err == nil {
				f = found[0]
			}
			return err
		}},
		{"align and embed", func() error { _, err := faces.Embed(ctx, p, &f); return err }},
		{"quality", func() error { _, err := faces.Quality(ctx, p, &f); return err }},
		{"liveness", func() error { _, err := faces.Liveness(ctx, p, &f); return err }},
	}
}

func (s *speedRun) documentStages(ctx context.Context, text document.TextMode) []stage {
	var p *picture.Picture
	var f face.Face
	faces := s.one.Faces
	return []stage{
		{"decode", func() (err error) { p, err = engine.Decode(ctx, s.in.evidence.Document); return err }},
		{yes(text == document.TextAlways, "read zone and text", "read zone"), func() error {
			_, err := s.one.Documents.Read(ctx, p, document.Options{Today: time.Now(), Text: text})
			return err
		}},
		{"find portrait", func() error {
			found, err := faces.Detect(ctx, p)
			if err == nil {
				f = found[0]
			}
			return err
		}},
		{"embed portrait", func() error { _, err := faces.Embed(ctx, p, &f); return err }},
	}
}

func (s *speedRun) timeSide(title, figure string, stages []stage) error {
	all := make([]spent, len(stages))
	var totals []float64
	for i := range warmUps + repeats {
		total := 0.0
		for k, st := range stages {
			ms, models, megabytes, err := s.timeStage(st)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", title, st.name, err)
			}
			if total += ms; i >= warmUps {
				all[k].cpu, all[k].models, all[k].megabytes = append(all[k].cpu, ms), append(all[k].models, models), append(all[k].megabytes, megabytes)
			}
		}
		if i >= warmUps {
			totals = append(totals, total)
		}
	}
	t := table{title: title, head: []string{"stage", "CPU ms", "models alone, ms", "memory taken, MB"},
		note: fmt.Sprintf("Medians of %d runs on one core; of the models the least. Theirs is wall time inside ONNX Runtime: too long where other\nprograms take the core away, as CPU time is not.", repeats)}
	row := func(name string, ms, models, megabytes float64) {
		t.add(name, fmt.Sprintf("%.1f", ms), fmt.Sprintf("%.1f", models), fmt.Sprintf("%.1f", megabytes))
	}
	var models, megabytes float64
	for k, st := range stages {
		row(st.name, median(all[k].cpu), slices.Min(all[k].models), median(all[k].megabytes))
		models, megabytes = models+slices.Min(all[k].models), megabytes+median(all[k].megabytes)
	}
	row("all", median(totals), models, megabytes)
	s.table(t)
	s.measure(figure, median(totals))
	return nil
}

// timeStage is one run of a stage: its CPU time, the time within models, and
// the Go memory taken.
func (s *speedRun) timeStage(st stage) (ms, models, megabytes float64, err error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	inside := s.insideModels()
	ms, err = cost(st.run)
	models = milliseconds(s.insideModels() - inside)
	runtime.ReadMemStats(&after)
	return ms, models, float64(after.TotalAlloc-before.TotalAlloc) / 1e6, err
}

func (s *speedRun) insideModels() time.Duration {
	var sum time.Duration
	for _, n := range s.one.Networks() {
		_, d := n.Spent()
		sum += d
	}
	return sum
}
