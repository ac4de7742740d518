package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/store/blob"
)

// maxEvents wait for Run to tell them; those beyond are logged alone.
const maxEvents = 10_000

type event struct {
	repaired bool // else lost
	name     string
}

// Run heals and scrubs until ctx ends.
func (r *Replica) Run(ctx context.Context) {
	var parts sync.WaitGroup
	parts.Go(func() { r.heals(ctx) })
	parts.Go(func() { r.scrubs(ctx) })
	parts.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-r.events:
				if tell := map[bool]func(string){true: r.config.Repaired, false: r.config.Lost}[e.repaired]; tell != nil {
					tell(e.name)
				}
			}
		}
	})
	parts.Wait()
}

// Wake has Run look for missing blobs now: the state names a new one, or a node
// is back.
func (r *Replica) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Replica) tell(e event) {
	if e.repaired {
		r.config.Log.Info("a blob is whole again", "blob", e.name)
	} else {
		r.config.Log.Error("no node has a blob that the state names: get it from a backup", "blob", e.name)
	}
	select {
	case r.events <- e:
	default:
		r.config.Log.Error("too many blobs were lost or repaired at once: not all are told of", "blob", e.name)
	}
}

func (r *Replica) heals(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		looked, err := r.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, blob.ErrSync):
			r.stop(err)
			return
		case err != nil:
			r.config.Log.Warn("not all missing blobs could be looked for", "error", err)
		}
		// Looking at all names takes at most half of the time when poked, a tenth
		// when not.
		if !sleep(ctx, max(r.timing.gap, looked)) {
			return
		}
		rest := time.NewTimer(max(r.timing.pass-time.Since(begun), 8*looked))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-rest.C:
		}
		rest.Stop()
	}
}

func (r *Replica) scrubs(ctx context.Context) {
	for wait := r.timing.scrubFirst; sleep(ctx, wait); {
		begun := time.Now()
		err := r.scrub(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, blob.ErrSync):
			r.stop(err)
			return
		case err != nil:
			r.config.Log.Warn("not all blobs could be hashed again", "error", err)
		}
		wait = max(0, r.timing.scrubEvery-time.Since(begun))
	}
}

// sleep gives false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
