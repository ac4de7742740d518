package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/engine"
	"gatehouse/engine/picture"
)

// limitTime is long enough for 50 templates on one core.
const limitTime = 3 * time.Second

// modelsAlone is what two cores give over one when nothing but the recognisers
// runs, on one picture that stays in the cache: the machine's own limit, which
// shared caches, memory and hosts keep below two.
func (s *speedRun) modelsAlone(ctx context.Context, one, two *engine.Engine) (ratio float64, err error) {
	best := map[int]float64{}
	for range throughputRounds {
		for i, e := range []*engine.Engine{one, two} {
			cores := i + 1
			var rate float64
			err := confine(cores, func() (err error) {
				rate, err = embedRate(ctx, e, cores)
				return err
			})
			if err != nil {
				return 0, err
			}
			best[cores] = max(best[cores], rate)
		}
	}
	return best[2] / best[1], nil
}

// embedRate counts the templates made in a second by so many callers.
func embedRate(ctx context.Context, e *engine.Engine, callers int) (perSecond float64, err error) {
	var wg sync.WaitGroup
	counts, errs := make([]float64, callers), make([]error, callers)
	begin := time.Now()
	for i := range callers {
		wg.Go(func() {
			aligned := picture.New(112, 112)
			for time.Since(begin) < limitTime && errs[i] == nil {
				_, errs[i] = e.Faces.EmbedAligned(ctx, aligned)
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(begin).Seconds()
	for _, n := range counts {
		perSecond += n / took
	}
	return perSecond, errors.Join(errs...)
}
