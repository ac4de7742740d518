package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gatehouse/store/blob"
)

// pass pulls every blob that the state names and that is not here, and gives the
// time that looking for them took. What cannot be had now is left for the next.
func (r *Replica) pass(ctx context.Context) (looked time.Duration, err error) {
	begun, lacking, failed := time.Now(), 0, 0
	for more := true; more; {
		// Those that failed come first again, as the order is the same.
		names, took, err := r.missing(ctx, failed)
		looked += took
		if err != nil {
			return looked, err
		}
		more = len(names) == r.limits.missing
		for some := range slices.Chunk(names, maxNames) {
			left, without, err := r.some(ctx, some)
			if err != nil {
				return looked, err
			}
			failed, lacking = failed+left, lacking+without
		}
	}
	r.ills.forget(begun)
	r.count(func(s *Stats) { s.Lacking, s.LastPass = lacking, time.Now() })
	return looked, nil
}

// After lookAtOnce names there is a pause, lookRest times as long as they took: there
// may be millions, and whatever is asked of the node waits for the same disk and
// cores.
const (
	lookAtOnce   = 200
	lookRest     = 3
	lookRestMost = time.Second
)

// pause for a while, and pull meanwhile what is wanted.
func (r *Replica) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		case name := <-r.wanted:
			if err := r.want(ctx, name); err != nil {
				return err
			}
		}
	}
}

// missing lists the names of blobs that are not here, all but the first skip,
// counts them all, and gives the time that it took, without the pauses.
func (r *Replica) missing(ctx context.Context, skip int) (names []string, took time.Duration, err error) {
	all, odd := 0, error(nil)
	var begun time.Time
	seen := 0
	err = r.config.Named(ctx, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch seen++; {
		case seen == 1:
			begun = time.Now()
		case seen%lookAtOnce == 0:
			some := time.Since(begun)
			took += some
			if err := r.pause(ctx, min(lookRest*some, lookRestMost)); err != nil {
				return err
			}
			begun = time.Now()
		}
		_, here, err := r.config.Blobs.Exists(name)
		if err != nil && odd == nil {
			odd = fmt.Errorf("blob %q: %w", name, err)
		}
		if here || err != nil {
			return nil
		}
		r.ills.missed(name)
		if all++; all > skip && len(names) < r.limits.missing {
			names = append(names, name)
		}
		return nil
	})
	if seen > 0 {
		took += time.Since(begun)
	}
	if err != nil {
		return nil, took, err
	}
	if odd != nil {
		r.config.Log.Error("the disk does not say whether a blob is here", "error", odd)
	}
	r.count(func(s *Stats) { s.Missing = all })
	return names, took, nil
}

// want pulls a blob that the state names anew, and others that wait.
func (r *Replica) want(ctx context.Context, name string) error {
	var names []string
	for more := true; more; {
		if _, here, err := r.config.Blobs.Exists(name); err == nil && !here && !slices.Contains(names, name) {
			names = append(names, name)
		}
		if more = len(names) < maxNames; more {
			select {
			case name = <-r.wanted:
			default:
				more = false
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	r.count(func(s *Stats) { s.Missing += len(names) })
	_, _, err := r.some(ctx, names)
	return err
}

// some asks the others which of the names they have, and pulls those. It gives
// how many are still missing, and how many copies lacked on the nodes that
// answered, this one included. An error ends the pass.
func (r *Replica) some(ctx context.Context, names []string) (left, lacking int, err error) {
	have, all := r.ask(ctx, names)
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	var parts sync.WaitGroup
	next := make(chan int)
	for range pulls {
		parts.Go(func() {
			for i := range next {
				mu.Lock()
				over := err != nil
				mu.Unlock()
				if over {
					continue
				}
				one := r.one(ctx, names[i], i, have[names[i]], all)
				mu.Lock()
				if one != nil {
					left++
				}
				if errors.Is(one, blob.ErrSync) || errors.Is(one, blob.ErrFull) || ctx.Err() != nil {
					err = one
				}
				mu.Unlock()
			}
		})
	}
	for i, name := range names {
		next <- i
		lacking += 1 + all.answered - len(have[name])
	}
	close(next)
	parts.Wait()
	return left, lacking, err
}

// one pulls a blob, the i-th, from the nodes that have it.
func (r *Replica) one(ctx context.Context, name string, i int, holders []string, all answers) error {
	well := slices.DeleteFunc(slices.Clone(holders), func(node string) bool { return r.nodes.shunned(node, r.limits.shun) })
	if len(well) == 0 {
		if len(holders) == 0 && all.answered == all.nodes {
			r.absent(name)
			return ErrNoCopy
		}
		return ErrUnreached
	}
	// The holders take turns.
	from := slices.Concat(well[i%len(well):], well[:i%len(well)])
	for _, node := range r.others() {
		if !slices.Contains(from, node) {
			from = append(from, node)
		}
	}
	err := r.heal(ctx, name, from, false)
	switch {
	case err == nil:
		r.count(func(s *Stats) { s.Missing-- })
	case errors.Is(err, ErrNoCopy):
		r.absent(name)
	default:
		r.config.Log.Debug("a blob could not be pulled", "error", err)
	}
	return err
}

func (r *Replica) absent(name string) {
	if r.ills.absent(name, r.limits.pass) {
		r.tell(event{name: name})
	}
}

// answers says how many of the other nodes answered.
type answers struct{ nodes, answered int }

// ask gives the holders of each blob, in the order in which to try them. A node
// that failed lately is not asked.
func (r *Replica) ask(ctx context.Context, names []string) (holders map[string][]string, all answers) {
	nodes := r.others()
	have := make([][]string, len(nodes))
	good := make([]bool, len(nodes))
	var parts sync.WaitGroup
	for i, node := range nodes {
		if r.nodes.shunned(node, r.limits.shun) {
			continue
		}
		parts.Go(func() {
			var err error
			have[i], err = r.have(ctx, node, names)
			switch {
			case err == nil:
				good[i] = true
				r.nodes.good(node)
			case ctx.Err() == nil:
				r.nodes.bad(node)
				r.config.Log.Warn("a node does not say which blobs it has", "node", node, "error", err)
			}
		})
	}
	parts.Wait()
	all.nodes, holders = len(nodes), map[string][]string{}
	for i, node := range nodes {
		if good[i] {
			all.answered++
		}
		for _, name := range have[i] {
			holders[name] = append(holders[name], node)
		}
	}
	return holders, all
}
