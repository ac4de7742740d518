package identify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Config of a keeper.
type Config struct {
	State *state.State
	Keys  *keys.Store
	// Dir for the snapshots; Room says whether the disk has room for one.
	Dir  string
	Room func(bytes uint64) bool
	// Calibration and Dimension of the templates of the loaded models.
	Calibration *pack.MatchCalibration
	Dimension   int
	Workers     int // cores that one search may use; 0: all
	Log         *slog.Logger
	Rand        io.Reader
	// Fatal is told when what the disk holds is not what was promised.
	Fatal func(error)
	// Loaded is told when all galleries are complete.
	Loaded func()
}

// Keeper is safe for concurrent use.
type Keeper struct {
	Config

	mu      sync.Mutex
	tenants map[string]*tenant
	loading context.CancelFunc // of the load under way
	loads   sync.WaitGroup
	ready   bool
	trouble error // of the last load
	working bool  // on a task
	reading progress
}

// progress of templates that are being read.
type progress struct{ done, of atomic.Int64 }

func (p *progress) String() string {
	return fmt.Sprintf("%d of %d templates are loaded", p.done.Load(), p.of.Load())
}

// New makes a keeper without galleries: Load reads them.
func New(c Config) *Keeper {
	if c.Workers <= 0 {
		c.Workers = runtime.NumCPU()
	}
	return &Keeper{Config: c, tenants: map[string]*tenant{}}
}

// tenant has the galleries of one.
type tenant struct {
	id string

	mu       sync.Mutex // of what follows, while it is brought up to date
	lists    [2]*gallery.Gallery
	enrolled uint64 // the newest enrolment and removal that the galleries have
	removed  uint64
	others   [2]int         // templates that cannot be compared: of another model, or damaged
	foreign  map[uint64]int // they, with their lists
	changes  int            // since the last snapshot
	stale    bool           // a snapshot must not outlive what was removed
	saved    time.Time

	lane     *sync.Mutex // of decisions
	progress *progress
	task     task
	report   func(done, of int) // of a rebuild; nil: nobody asks
	stop     context.CancelFunc // of the task
}

// Lists of a tenant.
const (
	subjects = iota
	blocklist
)

func listOf(name string) int {
	if name == state.InBlocklist {
		return blocklist
	}
	return subjects
}

func nameOf(list int) string { return [...]string{state.InSubjects, state.InBlocklist}[list] }

func (k *Keeper) config(tenant string, list int) gallery.Config {
	return gallery.Config{Name: tenant + "/" + nameOf(list), Model: k.Calibration.EmbeddingID, Dimension: k.Dimension, Workers: k.Workers}
}

// empty galleries of a tenant.
func (k *Keeper) empty(id string) (*tenant, error) {
	t := &tenant{id: id, foreign: map[uint64]int{}, saved: time.Now(), lane: &sync.Mutex{}, progress: &progress{}}
	for list := range t.lists {
		g, err := gallery.New(k.config(id, list))
		if err != nil {
			return nil, err
		}
		t.lists[list] = g
	}
	return t, nil
}

func (t *tenant) close() {
	for _, g := range t.lists {
		if g != nil {
			g.Close()
		}
	}
}

// Load reads all galleries, in the background; Loaded is told when they are
// complete, at once where they are. What is wrong with them Ready says; Run
// tries again.
func (k *Keeper) Load() {
	ctx, cancel := context.WithCancel(context.Background())
	k.mu.Lock()
	if k.loading != nil || k.ready {
		ready := k.ready
		k.mu.Unlock()
		cancel()
		if ready {
			k.Loaded()
		}
		return
	}
	k.loading = cancel
	k.loads.Add(1)
	k.mu.Unlock()
	go func() {
		defer k.loads.Done()
		start := time.Now()
		n, err := k.all(ctx)
		k.mu.Lock()
		k.loading, k.ready = nil, err == nil && ctx.Err() == nil
		if ctx.Err() == nil { // else Drop has ended it
			k.trouble = err
		}
		k.mu.Unlock()
		switch {
		case ctx.Err() != nil || errors.Is(err, keys.ErrSealed):
		case err != nil:
			k.Log.Error("the face galleries could not be loaded; verifications wait for them", "error", err)
		case !k.Keys.Sealed(): // else they are about to be dropped
			k.Log.Info("the face galleries are complete", "templates", n, "seconds", time.Since(start).Seconds())
			if !k.locked() {
				k.Log.Warn("face templates may be written to swap: raise the limit of locked memory (LimitMEMLOCK=infinity in the unit, or ulimit -l)")
			}
			k.Loaded()
		}
		cancel()
	}()
}

// all loads every tenant that has no galleries yet.
func (k *Keeper) all(ctx context.Context) (templates int, err error) {
	var ids []string
	if err := k.State.View(func(v *state.View) error {
		all, err := v.Tenants()
		for _, t := range all {
			ids = append(ids, t.Id)
		}
		return err
	}); err != nil {
		return 0, err
	}
	k.reading.done.Store(0)
	k.reading.of.Store(0)
	for _, id := range ids {
		k.mu.Lock()
		t := k.tenants[id]
		k.mu.Unlock()
		if t == nil {
			if t, err = k.load(ctx, id, &k.reading); err != nil {
				return templates, fmt.Errorf("tenant %s: %w", id, err)
			}
			k.mu.Lock()
			if ctx.Err() != nil { // sealed meanwhile
				k.mu.Unlock()
				t.close()
				return templates, ctx.Err()
			}
			k.tenants[id] = t
			k.mu.Unlock()
			// Who was erased since the load's last look must not wait for a search.
			if err := k.sync(t); err != nil {
				return templates, fmt.Errorf("tenant %s: %w", id, err)
			}
		}
		templates += t.lists[subjects].Len() + t.lists[blocklist].Len()
	}
	return templates, nil
}

// Drop wipes all galleries: the node is being sealed or stopped.
func (k *Keeper) Drop() {
	k.mu.Lock()
	if k.loading != nil {
		k.loading()
	}
	k.ready = false
	all := k.tenants
	k.tenants = map[string]*tenant{}
	for _, t := range all {
		if t.stop != nil {
			t.stop()
		}
	}
	k.mu.Unlock()
	k.loads.Wait()
	for _, t := range all {
		t.mu.Lock()
		t.close()
		t.mu.Unlock()
	}
}

// Ready says whether every gallery is complete, and if not, why.
func (k *Keeper) Ready() (bool, string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.ready:
		return true, ""
	case k.loading != nil:
		return false, k.reading.String()
	case k.trouble != nil:
		return false, k.trouble.Error()
	}
	return false, "the galleries are not loaded"
}

// tenant gives one's galleries, complete. A new tenant has empty ones.
func (k *Keeper) tenant(id string) (*tenant, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.tenants[id]; t != nil {
		return t, nil
	}
	if !k.ready {
		return nil, ErrLoading
	}
	if err := k.State.View(func(v *state.View) error { _, err := v.Tenant(id); return err }); err != nil {
		return nil, err
	}
	t, err := k.empty(id) // it was made after the load
	if err == nil {
		k.tenants[id] = t
	}
	return t, err
}

// locked says whether all templates are kept out of swap.
func (k *Keeper) locked() bool {
	locked := true
	for _, t := range k.every() {
		t.mu.Lock()
		for _, g := range t.lists {
			locked = locked && g.Stats().Locked
		}
		t.mu.Unlock()
	}
	return locked
}

// Size of all galleries in memory.
func (k *Keeper) Size() (templates int, bytes int64) {
	for _, t := range k.every() {
		t.mu.Lock()
		for _, g := range t.lists {
			s := g.Stats()
			templates, bytes = templates+s.Templates, bytes+s.Bytes+s.GraphSize
		}
		t.mu.Unlock()
	}
	return templates, bytes
}

// retry is how long after a failed load the next is tried.
const retry = 30 * time.Second

// Run writes snapshots, closes holes and repeats what failed, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if k.Keys.Sealed() {
			continue
		}
		if ready, _ := k.Ready(); !ready {
			k.Load()
		}
		for _, t := range k.every() {
			if err := k.tend(ctx, t); err != nil && ctx.Err() == nil && !errors.Is(err, keys.ErrSealed) {
				k.Log.Warn("a gallery could not be looked after", "tenant", t.id, "error", err)
			}
		}
	}
}

func (k *Keeper) every() []*tenant {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []*tenant
	for _, t := range k.tenants {
		all = append(all, t)
	}
	return all
}

// tend brings a tenant up to date, closes the holes, and writes a snapshot where
// one is due.
func (k *Keeper) tend(ctx context.Context, t *tenant) error {
	if err := k.sync(t); err != nil {
		return err
	}
	t.mu.Lock()
	lists := t.lists
	t.mu.Unlock()
	for _, g := range lists {
		if err := g.Compact(); err != nil {
			return err
		}
	}
	if !k.due(t) {
		return nil
	}
	return k.save(ctx, t)
}

// Close writes the snapshots that are worth it and wipes all.
func (k *Keeper) Close(ctx context.Context) {
	for _, t := range k.every() {
		if k.Keys.Sealed() || ctx.Err() != nil {
			break
		}
		if err := k.sync(t); err == nil && k.worth(t) {
			if err := k.save(ctx, t); err != nil {
				k.Log.Warn("a gallery's snapshot could not be written; the next start makes it anew", "tenant", t.id, "error", err)
			}
		}
	}
	k.Drop()
}
