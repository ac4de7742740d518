package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/engine/gallery"
)

// ours is our gallery over the base.
type ours struct {
	*gallery.Gallery
	buildS      float64
	vectorBytes float64 // that it has reserved, by its own count
	vectorRSS   float64 // that the process has grown by
}

// enrol the base. The time includes reading the file, as others' does.
func (s *galleryRun) enrol(ctx context.Context, f *faceSet, workers int) (*ours, error) {
	g, err := gallery.New(gallery.Config{Model: faceName, Dimension: f.dimension, Workers: workers})
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory()
	before, err := ownAnonymous()
	if err != nil {
		return nil, err
	}
	p := &progress{w: s.progress, what: "enrolled", total: f.rows, shown: time.Now()}
	begin := time.Now()
	err = f.eachRow(ctx, func(i int, v []float32) error {
		p.step()
		return g.Enrol(uint64(i+1), gallery.Template{Model: faceName, Vector: v})
	})
	o := &ours{Gallery: g, buildS: time.Since(begin).Seconds()}
	p.end()
	if err == nil {
		debug.FreeOSMemory()
		var after float64
		after, err = ownAnonymous()
		o.vectorRSS = (after - before) / float64(f.rows)
	}
	if err != nil {
		g.Close()
		return nil, err
	}
	o.vectorBytes = float64(g.Stats().Bytes) / float64(f.rows)
	return o, nil
}

// ownAnonymous is the memory of this process that is no file's, in bytes.
func ownAnonymous() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kib); n == 1 {
			return kib * 1024, nil
		}
	}
	return 0, errors.New("/proc: no RssAnon")
}

// search gives the seconds of each call of ours, and what was found. Every
// probe's nearest are asked for, however far: the others know no threshold.
func (o *ours) search(ctx context.Context, f *faceSet, first, count, batch int) (a answered, err error) {
	before, err := cpuTime()
	if err != nil {
		return a, err
	}
	for at := first; at < first+count; at += batch {
		part := f.probes[at:min(at+batch, first+count)]
		begin := time.Now()
		found, err := o.SearchBatch(ctx, part, gallery.Query{K: neighbours, Min: -1})
		a.Seconds = append(a.Seconds, time.Since(begin).Seconds())
		if err != nil {
			return a, err
		}
		for _, c := range found {
			a.IDs = append(a.IDs, rowsOf(c))
		}
	}
	after, err := cpuTime()
	a.CPU = (after - before).Seconds()
	return a, err
}

// walk searches the graph for probes, so many callers at a time, and gives the
// seconds that all took.
func (o *ours) walk(ctx context.Context, f *faceSet, first, count, effort, callers int) (a answered, err error) {
	a.IDs = make([][]int32, count)
	errs := make([]error, callers)
	var next atomic.Int64
	var group sync.WaitGroup
	begin := time.Now()
	for c := range callers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < count && errs[c] == nil; i = int(next.Add(1)) - 1 {
				var found []gallery.Candidate
				found, errs[c] = o.Search(ctx, f.probes[first+i], gallery.Query{K: neighbours, Min: -1, Engine: gallery.Graph, Effort: effort})
				a.IDs[i] = rowsOf(found)
			}
		})
	}
	group.Wait()
	a.Seconds = []float64{time.Since(begin).Seconds()}
	return a, errors.Join(errs...)
}

// rowsOf gives the base's rows, which were enrolled from number 1.
func rowsOf(found []gallery.Candidate) []int32 {
	rows := make([]int32, len(found))
	for i, c := range found {
		rows[i] = int32(c.Number - 1)
	}
	return rows
}
