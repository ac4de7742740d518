package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/engine/gallery/vectors"
	"gatehouse/engine/specimen"
)

func benchCommands() []command { return []command{benchGalleryCommand(), benchVectorsCommand()} }

func benchVectorsCommand() command {
	return command{
		name: "bench vectors", args: "--count N --out FILE", summary: "invent vectors like those of faces, to measure with",
		manual: `
Writes an .fvecs file of invented face templates: unit vectors whose
similarities are spread as those of real faces are (two persons: mean 0, a
standard deviation of 0.12; two pictures of one person: about 0.7). Row i is the
picture --picture of person --first + i. The same flags write the same file.

A base and its queries need the same --seed and --dimension. Queries with the
same persons and another picture are of people who are in the base; those of
later persons are not.

Example, 100,000 people, and another picture of the first 1,000:
  gatehouse bench vectors --count 100000 --picture 0 --out base.fvecs
  gatehouse bench vectors --count 1000 --picture 1 --out query.fvecs
  gatehouse bench gallery --base base.fvecs --query query.fvecs`,
		flags: func(fs *flag.FlagSet) func(context.Context, *call, []string) error {
			var v vectorsFlags
			const dimension = 704 // of the built-in pack's templates
			fs.IntVar(&v.Dimension, "dimension", dimension, "values of a vector, `D`")
			fs.IntVar(&v.Count, "count", 0, "write `N` vectors")
			fs.Uint64Var(&v.Seed, "seed", 1, "`S` chooses the people")
			fs.Uint64Var(&v.Picture, "picture", 0, "`J` chooses the picture of each")
			fs.Uint64Var(&v.First, "first", 0, "begin with person `P`")
			fs.StringVar(&v.File, "out", "", "write the vectors to this `FILE`")
			return v.run
		},
	}
}

// vectorsFlags are what to write, and what was written.
type vectorsFlags struct {
	File      string `json:"file"`
	Count     int    `json:"count"`
	Dimension int    `json:"dimension"`
	Seed      uint64 `json:"seed"`
	Picture   uint64 `json:"picture"`
	First     uint64 `json:"first"`
}

func (v *vectorsFlags) run(ctx context.Context, c *call, args []string) (err error) {
	switch {
	case v.File == "" || v.Count == 0 || len(args) > 0:
		return fmt.Errorf("%w: it needs --count N and --out FILE", errUsage)
	case v.Count < 1 || v.Count > gallery.MaxRows:
		return fmt.Errorf("%w: --count %d; 1 to %d are possible", errUsage, v.Count, gallery.MaxRows)
	case v.Dimension < 1 || v.Dimension > gallery.MaxDimension:
		return fmt.Errorf("%w: --dimension %d; 1 to %d are possible", errUsage, v.Dimension, gallery.MaxDimension)
	}
	out, err := createWhole(v.File)
	if err != nil {
		return err
	}
	defer out.discard()
	w, err := vectors.NewWriter[float32](out, v.Dimension)
	if err != nil {
		return err
	}
	from := specimen.NewTemplates(v.Seed, v.Dimension)
	show := c.progress("vectors")
	const step = 1024 // large enough to keep all cores busy
	rows := make([][]float32, step)
	for at := 0; at < v.Count; at += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := rows[:min(step, v.Count-at)]
		cores := runtime.NumCPU()
		var group sync.WaitGroup
		for core := range cores {
			group.Go(func() {
				for i := core; i < len(part); i += cores {
					part[i] = from.Template(v.First+uint64(at+i), v.Picture)
				}
			})
		}
		group.Wait()
		for _, row := range part {
			if err := w.Write(row); err != nil {
				return out.failed(err)
			}
		}
		show(at+len(part), v.Count)
	}
	if err := w.Flush(); err != nil {
		return out.failed(err)
	}
	if err := out.keep(); err != nil {
		return err
	}
	if c.json || c.jsonl {
		c.print(v)
		return nil
	}
	fmt.Fprintf(c.out, "%s: %d vectors of %d dimensions\n", v.File, v.Count, v.Dimension)
	return nil
}

// progress says on stderr how far long work is, every few seconds.
func (c *call) progress(what string) func(done, total int) {
	const every = 3 * time.Second
	var mu sync.Mutex
	shown := time.Now()
	return func(done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(shown) >= every {
			shown = time.Now()
			fmt.Fprintf(c.err, "%s: %d/%d\n", what, done, total)
		}
	}
}
