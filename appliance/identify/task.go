package identify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// task is long work on a tenant's galleries, in the background.
type task struct {
	mu   sync.Mutex
	name string // of what is under way, or was last
	busy bool
	done int
	of   int
	err  error
}

func (t *task) progress(done, of int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.of = done, of
}

// Task is what is, or was last, under way.
type Task struct {
	Name  string // rebuild, graph
	Busy  bool
	Done  int // templates
	Of    int
	Error string
}

// Start a task: a rebuild from the templates, or the graph of the subjects. It
// goes on in the background; Stats shows how far it is. Errors: ErrLoading,
// ErrBusy.
func (k *Keeper) Start(id string, graph bool) error {
	t, err := k.tenant(id)
	if err != nil {
		return err
	}
	name, work := "rebuild", k.rebuild
	if graph {
		name, work = "graph", k.graph
	}
	t.task.mu.Lock()
	defer t.task.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.working { // one at a time on a node: each takes the memory of a gallery
		return ErrBusy
	}
	if k.tenants[id] != t {
		return keys.ErrSealed
	}
	k.working = true
	t.task.name, t.task.busy, t.task.done, t.task.of, t.task.err = name, true, 0, 0, nil
	ctx, cancel := context.WithCancel(context.Background())
	t.stop = cancel
	k.loads.Go(func() {
		defer cancel()
		err := work(ctx, t)
		t.task.mu.Lock()
		t.task.busy, t.task.err = false, err
		t.task.mu.Unlock()
		k.mu.Lock()
		k.working = false
		k.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			k.Log.Error("work on a gallery failed", "tenant", id, "task", name, "error", err)
		}
	})
	return nil
}

// rebuild makes the galleries anew beside those that serve, and puts them in
// their place.
func (k *Keeper) rebuild(ctx context.Context, t *tenant) error {
	fresh, err := k.empty(t.id)
	if err != nil {
		return err
	}
	fresh.report = t.task.progress
	if err := k.catchUp(ctx, fresh); err != nil {
		fresh.close()
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		fresh.close()
		return ctx.Err()
	}
	t.close()
	t.lists, t.others, t.foreign, t.enrolled, t.removed = fresh.lists, fresh.others, fresh.foreign, fresh.enrolled, fresh.removed
	t.changes, t.stale = fresh.changes, true
	if err := k.forget(t); err != nil {
		return err
	}
	_, err = k.advance(t) // who was erased since must not wait for a search
	return err
}

func (k *Keeper) graph(ctx context.Context, t *tenant) error {
	t.mu.Lock()
	g := t.lists[subjects]
	t.mu.Unlock()
	return g.BuildGraph(ctx, gallery.GraphConfig{Progress: t.task.progress})
}

// Stats of a tenant's galleries.
type Stats struct {
	Subjects  List
	Blocklist List
	Model     string
	Snapshot  uint64 // entry that the newest one holds; 0: there is none
	Task      Task
}

// List of a tenant.
type List struct {
	gallery.Stats
	Others    int     // templates that cannot be compared
	Threshold float64 // that keeps pack.DefaultFPIR
	Recall    float64 // of the graph, recall@1 as measured; 0: there is none
}

// Stats counts.
func (k *Keeper) Stats(id string) (*Stats, error) {
	t, err := k.tenant(id)
	if err != nil {
		return nil, err
	}
	if err := k.sync(t); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &Stats{Model: k.Calibration.EmbeddingID}
	for list, to := range []*List{&s.Subjects, &s.Blocklist} {
		g := t.lists[list]
		to.Stats, to.Others = g.Stats(), t.others[list]
		to.Threshold, _ = k.Calibration.Threshold(pack.DefaultFPIR, to.Templates)
		to.Recall, _, _ = g.GraphRecall()
	}
	s.Snapshot = k.snapshot(id)
	t.task.mu.Lock()
	defer t.task.mu.Unlock()
	s.Task = Task{Name: t.task.name, Busy: t.task.busy, Done: t.task.done, Of: t.task.of}
	if t.task.err != nil {
		s.Task.Error = t.task.err.Error()
	}
	return s, nil
}

// Report of Verify.
type Report struct {
	Templates int // of the state
	Others    int // of other models
	Damaged   int // cannot be opened
	Missing   int // in the gallery
	Different int
	Extra     int    // in the gallery alone
	First     string // session or entry of the first that differs
}

// OK says whether the gallery is what the state says.
func (r *Report) OK() bool { return r.Damaged+r.Missing+r.Different+r.Extra == 0 }

// Verify opens every template of the state and compares it, bit for bit, with
// the gallery's. Errors: as Search's.
func (k *Keeper) Verify(ctx context.Context, id string) (*Report, error) {
	t, err := k.tenant(id)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	for after, more := uint64(0), true; more; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.mu.Lock() // nothing is enrolled or removed between the two looks at a page
		after, more, err = k.page(t, after, r)
		t.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return r, k.extra(ctx, t, r)
}

// page verifies the templates after one, as many as one view reads, and gives the
// last of them.
func (k *Keeper) page(t *tenant, after uint64, r *Report) (last uint64, more bool, err error) {
	if _, err := k.advance(t); err != nil {
		return 0, false, err
	}
	var page []state.Enrolled
	if err := k.State.View(func(v *state.View) (err error) { page, err = v.Enrolments(t.id, after, batch); return err }); err != nil {
		return 0, false, err
	}
	for _, e := range page {
		if e.Index > t.enrolled { // since
			return after, true, nil
		}
		after = e.Index
		if e.Model != k.Calibration.EmbeddingID {
			r.Templates++
			r.Others++
			continue
		}
		v, err := k.template(t.id, e)
		switch {
		case errors.Is(err, keys.ErrSealed):
			return 0, false, err
		case errors.Is(err, errRemoved):
			continue
		}
		r.Templates++
		if err != nil {
			r.Damaged++
			r.First = cmp.Or(r.First, e.Id)
			continue
		}
		there, same := t.lists[listOf(e.List)].Holds(e.Index, v)
		clear(v)
		switch {
		case !there:
			r.Missing++
		case !same:
			r.Different++
		}
		if !same {
			r.First = cmp.Or(r.First, e.Id)
		}
	}
	return after, len(page) > 0, nil
}

// extra counts what the galleries alone have.
func (k *Keeper) extra(ctx context.Context, t *tenant, r *Report) error {
	t.mu.Lock()
	lists := t.lists
	t.mu.Unlock()
	for list, g := range lists {
		var all, suspect []uint64
		g.Numbers(func(n uint64) bool { all = append(all, n); return true })
		for part := range slices.Chunk(all, batch) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := k.State.View(func(v *state.View) error {
				for _, n := range part {
					if e, err := v.Enrolment(t.id, n); err != nil || listOf(e.List) != list {
						suspect = append(suspect, n)
					}
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if err := k.sync(t); err != nil { // some may have been removed since
			return err
		}
		for _, n := range suspect {
			if there, _ := g.Holds(n, nil); there {
				r.Extra++
			}
		}
	}
	return nil
}
