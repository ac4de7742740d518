package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"gatehouse/appliance/decide"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
)

func throughputFigures() []figure {
	return []figure{
		info("verifications_per_s_1core", "per_s", 3), info("verifications_per_s_2cores", "per_s", 3),
		info("scaling_2cores_models_alone", "ratio", 3), goal("scaling_2cores", "ratio", 3, ">=", 1.9),
	}
}

const (
	throughputTime   = 10 * time.Second
	throughputRounds = 2
	// quiet is what other programs may take of a core: with more their share,
	// not ours, makes the ratio.
	quiet = 0.1
)

// rate is what a load reached.
type rate struct {
	perSecond float64
	busy      float64 // cores, by us
	others    float64 // cores, by other programs
	cpu       float64 // milliseconds for each
}

// throughput runs whole verifications on one core, then on two, with one more
// client than cores: a server's cores do not wait for the next caller.
func (s *speedRun) throughput(ctx context.Context) error {
	if runtime.NumCPU() < 2 {
		s.skip("one-core")
		return nil
	}
	two, err := openEngine(2)
	if err != nil {
		return err
	}
	defer two.Close()
	t := table{title: "Verifications, document and selfie of 12 megapixels", head: []string{"cores", "round", "per second", "cores busy", "by other programs", "CPU ms for each"},
		note: fmt.Sprintf("%d s each, in turn, the process bound to its cores; the better round of each counts.\nWhere other programs take cores the rates are too low, and their ratio would mean nothing.", int(throughputTime.Seconds()))}
	best := map[int]rate{}
	for round := range throughputRounds {
		for i, e := range []*engine.Engine{s.one, two} {
			cores := i + 1
			fmt.Fprintf(s.progress, "verifications on %d core(s), round %d/%d\n", cores, round+1, throughputRounds)
			var r rate
			err := confine(cores, func() (err error) {
				r, err = s.load(ctx, e, cores+1)
				return err
			})
			if err != nil {
				return err
			}
			if r.perSecond > best[cores].perSecond {
				best[cores] = r
			}
			t.add(fmt.Sprint(cores), fmt.Sprint(round+1), fmt.Sprintf("%.3f", r.perSecond), fmt.Sprintf("%.2f", r.busy), fmt.Sprintf("%.2f", r.others), fmt.Sprintf("%.0f", r.cpu))
		}
	}
	s.table(t)
	s.measure("verifications_per_s_1core", best[1].perSecond)
	s.measure("verifications_per_s_2cores", best[2].perSecond)
	if max(best[1].others, best[2].others) > quiet {
		s.skip("busy-machine")
		return nil
	}
	alone, err := s.modelsAlone(ctx, s.one, two)
	if err != nil {
		return err
	}
	s.measure("scaling_2cores_models_alone", alone)
	s.measure("scaling_2cores", best[2].perSecond/best[1].perSecond)
	return nil
}

// load keeps so many verifications under way.
func (s *speedRun) load(ctx context.Context, e *engine.Engine, clients int) (r rate, err error) {
	rules, err := decide.Default()
	if err != nil {
		return r, err
	}
	v := verify.New(e, rules, time.Now)
	if _, err := v.Verify(ctx, s.in.evidence); err != nil {
		return r, err
	}
	before, err := cpuTime()
	if err != nil {
		return r, err
	}
	allBefore, err := busyTime()
	if err != nil {
		return r, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	count := 0
	start := time.Now()
	for range clients {
		wg.Go(func() {
			n := 0
			begin := time.Now()
			for time.Since(begin) < throughputTime {
				if _, err := v.Verify(ctx, s.in.evidence); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
					return
				}
				n++
			}
			mu.Lock()
			defer mu.Unlock()
			count += n
			r.perSecond += float64(n) / time.Since(begin).Seconds()
		})
	}
	wg.Wait()
	wall := time.Since(start)
	after, err := cpuTime()
	allAfter, allErr := busyTime()
	r.busy = (after - before).Seconds() / wall.Seconds()
	r.others = max(0, (allAfter-allBefore).Seconds()/wall.Seconds()-r.busy)
	r.cpu = milliseconds(after-before) / float64(max(count, 1))
	return r, errors.Join(append(errs, err, allErr)...)
}
