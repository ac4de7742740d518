package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/store/blob"
)

const (
	maxEvents = 10_000 // wait for Run to tell them; those beyond are logged alone
	maxWanted = 10_000 // names wait to be pulled; those beyond are found by the next pass
)

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

// Wake has Run pull blobs that the state names since now. Without names it has
// Run look through all of them: a node is back.
func (r *Replica) Wake(names ...string) {
	for _, name := range names {
		select {
		case r.wanted <- name:
		default:
		}
	}
	if len(names) > 0 {
		return
	}
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
		// Looking at all names takes at most half of the time when woken, a
		// twentieth when not; of many a fifth.
		soon := time.NewTimer(max(r.limits.gap, looked))
		late := time.NewTimer(max(r.limits.gap, r.limits.pass-time.Since(begun), 19*looked))
		if err := r.rest(ctx, soon.C, late.C); errors.Is(err, blob.ErrSync) {
			r.stop(err)
			return
		}
		soon.Stop()
		late.Stop()
	}
}

// rest until the next pass: late, or once woken, but not before soon. Meanwhile
// what is wanted is pulled.
func (r *Replica) rest(ctx context.Context, soon, late <-chan time.Time) error {
	var wake <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-soon:
			wake = r.wake
		case <-wake:
			return nil
		case <-late:
			return nil
		case name := <-r.wanted:
			if err := r.want(ctx, name); err != nil && ctx.Err() == nil {
				if errors.Is(err, blob.ErrSync) {
					return err
				}
				r.config.Log.Warn("not all new blobs could be pulled", "error", err)
			}
		}
	}
}

func (r *Replica) scrubs(ctx context.Context) {
	for wait := r.limits.scrubFirst; sleep(ctx, wait); {
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
		wait = max(0, r.limits.scrubEvery-time.Since(begun))
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
