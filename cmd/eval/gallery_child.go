package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"gatehouse/engine/gallery/vectors"
)

//go:embed gallery_peers.py
var galleryScript string

// child runs the other programs, one at a time, and waits while ours runs.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

// startChild on the cores that this process is confined to. One child has one
// number of threads: so no pool of an earlier number is left in it.
func (s *galleryRun) startChild(ctx context.Context, threads int) (*child, error) {
	c := &child{command: exec.CommandContext(ctx, s.python, "-c", galleryScript, fmt.Sprint(threads))}
	c.command.Stderr = s.progress
	c.command.Env = os.Environ()
	for _, pool := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} {
		c.command.Env = append(c.command.Env, fmt.Sprintf("%s=%d", pool, threads))
	}
	out, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.in, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	return c, c.command.Start()
}

func (c *child) close() error {
	if err := errors.Join(c.in.Close(), c.command.Wait()); err != nil {
		return fmt.Errorf("the other programs' process: %w; its own words are above", err)
	}
	return nil
}

// errPeer is the failure of another program: the run goes on without it.
var errPeer = errors.New("another program failed")

func (c *child) ask(question map[string]any, answer any) error {
	b, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	var raw json.RawMessage
	if err := c.out.Decode(&raw); err != nil {
		return fmt.Errorf("%w: it said nothing more: %w", errPeer, err)
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(raw, &failed); err == nil && failed.Error != "" {
		return fmt.Errorf("%w: %s", errPeer, failed.Error)
	}
	return json.Unmarshal(raw, answer)
}

// opened is what it took to have an index.
type opened struct {
	BuildS      float64 `json:"build_s"` // 0: it was kept from an earlier run
	LoadS       float64 `json:"load_s"`
	VectorBytes float64 `json:"vector_bytes"`
}

const (
	graphM            = 16
	graphConstruction = 200
)

// open builds an engine's index over the base, or loads the one kept.
func (c *child) open(engine string, f *faceSet, keep string) (o opened, err error) {
	err = c.ask(map[string]any{"do": "open", "engine": engine, "base": f.base, "rows": f.rows, "m": graphM, "construction": graphConstruction, "keep": keep}, &o)
	return o, err
}

// manner is how another program is asked.
type manner struct {
	batch  int // probes in a call
	blas   int // FAISS's threshold for matrix products; 0: as it is
	effort int // of a graph; 0: it is none
}

type answered struct {
	Seconds []float64 `json:"seconds"` // of each call
	CPU     float64   `json:"cpu_s"`   // of all
	IDs     [][]int32 `json:"ids"`
}

func (a *answered) total() (seconds float64) {
	for _, t := range a.Seconds {
		seconds += t
	}
	return seconds
}

func (c *child) search(f *faceSet, first, count int, m manner, ids bool) (a answered, err error) {
	err = c.ask(map[string]any{"do": "search", "queries": f.queries, "first": first, "count": count, "batch": m.batch, "k": neighbours, "effort": m.effort, "blas": m.blas, "ids": ids}, &a)
	if err == nil && (len(a.Seconds) != (count+m.batch-1)/m.batch || ids && len(a.IDs) != count) {
		err = fmt.Errorf("%w: %d calls and %d answers to %d probes", errPeer, len(a.Seconds), len(a.IDs), count)
	}
	return a, err
}

// truthCount of the probes have their truth computed: all, where that takes
// seconds.
func truthCount(rows int) int { return min(probeCount, max(400, 200_000_000/rows/2*2)) }

// learnTruth has numpy find the nearest, or reads what it found before.
func (s *galleryRun) learnTruth(c *child, f *faceSet) (err error) {
	file := f1(f.dir, "truth", f.rows, "ivecs")
	if f.truth, err = readNumbers(file); err == nil && len(f.truth) == truthCount(f.rows) {
		return nil
	}
	fmt.Fprintln(s.progress, "numpy finds the nearest")
	var a answered
	if err := c.ask(map[string]any{"do": "truth", "base": f.base, "rows": f.rows, "queries": f.queries, "count": truthCount(f.rows), "k": neighbours}, &a); err != nil {
		return err
	}
	f.truth = a.IDs
	return writeNumbers(file, f.truth)
}

func readNumbers(file string) (rows [][]int32, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err := vectors.NewReader[int32](f, st.Size())
	if err != nil {
		return nil, err
	}
	for range r.Len() {
		row := make([]int32, r.Dimension())
		if err := r.Next(row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func writeNumbers(file string, rows [][]int32) error {
	f, err := os.Create(file + ".part")
	if err != nil {
		return err
	}
	w, err := vectors.NewWriter[int32](f, neighbours)
	for i := 0; i < len(rows) && err == nil; i++ {
		err = w.Write(rows[i])
	}
	if err == nil {
		err = w.Flush()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
