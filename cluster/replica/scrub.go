package replica

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/store/blob"
)

// scrub hashes every blob again and replaces the damaged ones. It begins at any
// name and goes round: a node that is often started again gets to all of them.
func (r *Replica) scrub(ctx context.Context) error {
	var start [32]byte
	rand.Read(start[:])
	from := hex.EncodeToString(start[:])
	limit := rate.NewLimiter(rate.Limit(r.limits.scrubRate), burst)
	for _, above := range []bool{true, false} {
		err := r.config.Blobs.Walk(ctx, func(name string, stored int64) error {
			if (name >= from) != above {
				return nil
			}
			for ; stored > 0; stored -= burst { // pictures: their bytes may come at once after it
				if err := limit.WaitN(ctx, int(min(stored, burst))); err != nil {
					return err
				}
			}
			return r.again(ctx, name)
		})
		if err != nil {
			return err
		}
	}
	r.count(func(s *Stats) { s.LastScrub = time.Now() })
	return nil
}

// again hashes one blob. An error ends the scrub.
func (r *Replica) again(ctx context.Context, name string) error {
	err := r.config.Blobs.Check(ctx, name)
	if errors.Is(err, blob.ErrRotten) {
		// One that has no copy is found missing by the next pass, which knows
		// whether the state names it.
		err = r.heal(ctx, name, r.others(), false)
	}
	switch {
	case errors.Is(err, blob.ErrSync), ctx.Err() != nil:
		return err
	case errors.Is(err, blob.ErrNotFound): // removed meanwhile
		return nil
	case err != nil:
		r.config.Log.Warn("a blob could not be repaired", "error", err)
	}
	r.count(func(s *Stats) { s.Scrubbed++ })
	return nil
}
