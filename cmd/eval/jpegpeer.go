package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"gatehouse/engine/picture"
	"gatehouse/engine/specimen"
)

func decodeFigures() []figure {
	return []figure{info("decode_cpu_ms", "ms", 1), info("decode_djpeg_cpu_ms", "ms", 1)}
}

// decodeTool is libjpeg-turbo's own program.
const decodeTool = "djpeg"

// decode compares our decoding at full size with libjpeg-turbo's own tool on
// the same file. Ours is the same library behind a check of the file.
func (s *speedRun) decode(ctx context.Context) error {
	file := s.in.evidence.Selfie
	ours, err := medianCost(func() error {
		_, err := picture.Decode(ctx, file, picture.DefaultLimits())
		return err
	})
	if err != nil {
		return err
	}
	s.measure("decode_cpu_ms", ours)
	t := table{title: "Decoding, 12 megapixels at full size", head: []string{"decoder", "CPU ms"}}
	t.add("ours", fmt.Sprintf("%.1f", ours))
	tool, err := exec.LookPath(decodeTool)
	if err != nil {
		s.skip("no-" + decodeTool)
		t.note = "For libjpeg-turbo's own figure install Debian's libjpeg-turbo-progs."
		s.table(t)
		return nil
	}
	var tiny bytes.Buffer
	if err := specimen.WriteJPEG(&tiny, picture.New(16, 16), jpegQuality); err != nil {
		return err
	}
	start, err := s.toolCost(ctx, tool, "tiny.jpg", tiny.Bytes())
	if err != nil {
		return err
	}
	whole, err := s.toolCost(ctx, tool, "selfie.jpg", file)
	if err != nil {
		return err
	}
	s.measure("decode_djpeg_cpu_ms", whole-start)
	t.add(decodeTool, fmt.Sprintf("%.1f", whole-start))
	t.note = fmt.Sprintf("Medians of %d. %s writes its pixels to nowhere; its start, %.1f ms, is taken off.", repeats, decodeTool, start)
	s.table(t)
	return nil
}

// toolCost is the median CPU time of the tool on a file.
func (s *speedRun) toolCost(ctx context.Context, tool, name string, data []byte) (float64, error) {
	name = filepath.Join(s.dir, name)
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return 0, err
	}
	var all []float64
	for i := range warmUps + repeats {
		c := exec.CommandContext(ctx, tool, name)
		if err := c.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w", tool, err)
		}
		if i >= warmUps {
			all = append(all, milliseconds(c.ProcessState.UserTime()+c.ProcessState.SystemTime()))
		}
	}
	return median(all), nil
}
