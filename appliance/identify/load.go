package identify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// read makes both lists of a tenant from its snapshots, while the state is walked
// to prove that they are what it had enrolled. Error: errSnapshot or
// gallery.ErrSnapshot where they are not; ctx's.
func (k *Keeper) read(ctx context.Context, id string, p *progress) (_ *tenant, err error) {
	files, err := k.open(id)
	if err != nil {
		return nil, err
	}
	defer files.close()
	t := &tenant{id: id, saved: time.Now(), progress: p, lane: &sync.Mutex{}}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	index := files.index
	var c *census
	var walk sync.WaitGroup
	walk.Go(func() { _ = k.State.PrefetchEnrolments(ctx) }) // the walk is right without
	walk.Go(func() {
		digest, found, err := k.digest(ctx, id, index)
		if err == nil && !slices.Equal(digest, files.digest) {
			err = fmt.Errorf("%w: the state had enrolled others at entry %d", errSnapshot, index)
		}
		if err != nil {
			cancel(err)
		}
		c = found
	})
	for list, r := range files.readers {
		if head, err := gallery.ReadSnapshotHead(r, r.size); err == nil {
			p.of.Add(int64(head.Rows))
		}
		g, inside, err := gallery.ReadSnapshot(ctx, k.config(id, list), r, r.size, func(n int) { p.done.Add(int64(n)) })
		if err == nil {
			t.lists[list] = g
			if inside != index {
				err = fmt.Errorf("%w: it is of two times", errSnapshot)
			}
		}
		if err != nil {
			cancel(err)
			break
		}
	}
	walk.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for list, g := range t.lists {
		if n := g.Len(); n != c.had[list] { // a template was left out as damaged: it is tried again
			return nil, fmt.Errorf("%w: it has %d templates, the state had %d", errSnapshot, n, c.had[list])
		}
	}
	t.foreign = c.foreign
	for _, at := range c.foreign {
		t.others[at]++
	}
	t.enrolled, t.removed = index, index
	return t, nil
}

// opened are the snapshots of a tenant's two lists, of one time.
type opened struct {
	files   []*os.File
	readers []*reader
	index   uint64
	digest  []byte
}

func (o *opened) close() {
	for _, f := range o.files {
		f.Close()
	}
}

func (k *Keeper) open(id string) (_ *opened, err error) {
	var now uint64
	if err := k.State.View(func(v *state.View) error { now = v.Index(); return nil }); err != nil {
		return nil, err
	}
	of, err := k.key(id)
	if err != nil {
		return nil, err
	}
	o := &opened{}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	for list := range 2 {
		f, err := os.Open(k.path(id, list))
		if err != nil {
			return nil, err
		}
		o.files = append(o.files, f)
		h, r, err := openFile(f, func(h *header) ([]byte, error) {
			switch {
			case h.Tenant != id || h.List != nameOf(list):
				return nil, fmt.Errorf("%w: it is of %.40q, list %.20q", errSnapshot, h.Tenant, h.List)
			case h.Index > now:
				return nil, fmt.Errorf("%w: it is newer than the state: entry %d, the state has %d", errSnapshot, h.Index, now)
			case list > 0 && (h.Index != o.index || !slices.Equal(h.Digest, o.digest)):
				return nil, fmt.Errorf("%w: its two lists are of different times", errSnapshot)
			}
			key, err := of.Open(h.place(), h.Key)
			if err != nil && !errors.Is(err, keys.ErrSealed) {
				err = fmt.Errorf("%w: %w", errSnapshot, err)
			}
			return key, err
		})
		if err != nil {
			return nil, err
		}
		o.readers = append(o.readers, r)
		o.index, o.digest = h.Index, h.Digest
	}
	return o, nil
}

// load makes a tenant's galleries: from the snapshots where they hold, else from
// the templates, and up to date.
func (k *Keeper) load(ctx context.Context, id string, p *progress) (*tenant, error) {
	t, err := k.read(ctx, id, p)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, keys.ErrSealed):
		return nil, err
	default:
		if !errors.Is(err, os.ErrNotExist) || k.any(id) { // one of the two alone is no use either
			k.Log.Warn("a gallery's snapshot cannot be used; it is made anew from the templates", "tenant", id, "error", err)
		}
		if t, err = k.empty(id); err != nil {
			return nil, err
		}
		t.stale, t.progress = true, p
	}
	if err := k.forgetParts(id); err != nil {
		return nil, err
	}
	if err := k.catchUp(ctx, t); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// any says whether a tenant has a snapshot of a list.
func (k *Keeper) any(id string) bool {
	for list := range 2 {
		if _, err := os.Lstat(k.path(id, list)); err == nil {
			return true
		}
	}
	return false
}

// forgetParts removes what a save that was cut off has left.
func (k *Keeper) forgetParts(id string) error {
	for list := range 2 {
		if err := os.Remove(k.path(id, list) + temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// catchUp is advance with progress and an end.
func (k *Keeper) catchUp(ctx context.Context, t *tenant) error {
	if t.enrolled == 0 {
		_, c, err := k.digest(ctx, t.id, everything)
		if err != nil {
			return err
		}
		t.progress.of.Add(int64(c.count))
	}
	for before := t.enrolled; ctx.Err() == nil; before = t.enrolled {
		var page []state.Enrolled
		if err := k.State.View(func(v *state.View) (err error) { page, err = v.Enrolments(t.id, t.enrolled, batch); return err }); err != nil {
			return err
		}
		if err := k.enrol(t, page, t.enrolledOne); err != nil {
			return err
		}
		if t.enrolled == before {
			break
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, err := k.advance(t)
	return err
}

// everything is above the index of every entry.
const everything = ^uint64(0) - 1

// enrolledOne counts.
func (t *tenant) enrolledOne() {
	n := t.progress.done.Add(1)
	if t.report != nil {
		t.report(int(n), int(t.progress.of.Load()))
	}
}
