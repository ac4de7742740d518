package identify_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/appliance/identify"
	"gatehouse/appliance/verify"
	"gatehouse/engine/gallery"
)

// ended waits for a tenant's task.
func (k *keeper) ended(t *testing.T, tenant string) identify.Task {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s, err := k.Stats(tenant)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Task.Busy {
			return s.Task
		}
	}
	t.Fatal("the task does not end")
	return identify.Task{}
}

// A rebuild makes the same galleries anew; one at a time; searches go on.
func TestRebuild(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 2000)
	w.manyBlocked(home, 5000, 5010)
	k := w.loaded()
	before, _ := k.find(t, home, probe(5, 1), identify.Query{K: 50, FPIR: 0.9})
	if err := k.Start(home, false); err != nil {
		t.Fatal(err)
	}
	if err := k.Start(home, true); !errors.Is(err, identify.ErrBusy) {
		t.Errorf("a second task: %v", err)
	}
	if err := k.Start(other, false); !errors.Is(err, identify.ErrBusy) {
		t.Errorf("another tenant's, at the same time: %v", err)
	}
	if s, err := k.Stats(home); err != nil || s.Task.Name != "rebuild" {
		t.Errorf("%+v, %v", s, err)
	}
	if task := k.ended(t, home); task.Error != "" || task.Done != 2010 || task.Of != 2010 {
		t.Errorf("%+v", task)
	}
	k.whole(t, home, 2000, 10)
	if after, _ := k.find(t, home, probe(5, 1), identify.Query{K: 50, FPIR: 0.9}); !slices.Equal(before, after) {
		t.Errorf("%v, before %v", after, before)
	}
	if err := k.Start("ten_x", false); err == nil {
		t.Error("a tenant that is not there was rebuilt")
	}
}

// A search that meets the change from the old galleries to the new ones has one
// of both: it never finds nobody in an empty one.
func TestSearchDuringARebuild(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 20) // soon done: the change comes often
	w.manyBlocked(home, 100, 102)
	k := w.loaded()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for ctx.Err() == nil {
				f, err := k.Identify(t.Context(), home, "sub_x", probe(5, 0))
				if err != nil || f.Subjects.Compared != 20 || f.Blocklist.Compared != 2 || len(f.Subjects.Candidates) == 0 || f.Subjects.Candidates[0].ID != session(5) {
					t.Errorf("%+v, %v", f, err)
					return
				}
			}
		})
	}
	for ctx.Err() == nil && !t.Failed() {
		if err := k.Start(home, false); err != nil && !errors.Is(err, identify.ErrBusy) {
			t.Errorf("rebuild: %v", err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	stop()
	group.Wait()
}

// Verify says that a gallery is what the state says, also while the state
// changes.
func TestVerifyMeanwhile(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 5)
	k := w.loaded()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for ctx.Err() == nil {
				if r, err := k.Verify(t.Context(), home); err != nil || !r.OK() {
					t.Errorf("%+v, %v", r, err)
					return
				}
			}
		})
	}
	for p := uint64(5); ctx.Err() == nil && !t.Failed(); p++ {
		w.many(home, p, p+1)
		w.erase(home, subject(p-1))
	}
	stop()
	group.Wait()
}

// The graph is built on demand, and names what it found.
func TestGraph(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 2000)
	k := w.loaded()
	if err := k.Start(home, true); err != nil {
		t.Fatal(err)
	}
	if task := k.ended(t, home); task.Error != "" || task.Name != "graph" {
		t.Fatalf("%+v", task)
	}
	s, err := k.Stats(home)
	if err != nil || s.Subjects.Graph != 2000 || s.Subjects.Recall < 0.9 {
		t.Errorf("%+v, %v", s, err)
	}
	f, err := k.Search(t.Context(), home, probe(5, 1), identify.Query{K: 3, Engine: gallery.Graph})
	if err == nil && (f.Subjects.Engine != "graph" || len(f.Subjects.Candidates) == 0 || f.Subjects.Candidates[0].ID != session(5)) {
		t.Errorf("%+v", f)
	}
	if err != nil {
		t.Errorf("a search of the graph: %v", err)
	}
}

// Everything at once: searches, enrolments, removals and rebuilds. Who is enrolled throughout is always found, who was erased never, and
// nobody is told anything but that.
func TestAllAtOnce(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 600) // 0..99 stay
	w.manyBlocked(home, 5000, 5050)
	k := w.loaded()
	var erased [600]atomic.Bool
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for ctx.Err() == nil {
				p := r.Uint64N(600)
				gone := erased[p].Load()
				f, err := k.Search(t.Context(), home, probe(p, 0), identify.Query{K: 10})
				if err != nil {
					t.Errorf("search: %v", err)
					return
				}
				found := slices.ContainsFunc(f.Subjects.Candidates, func(c verify.Candidate) bool { return c.ID == session(p) })
				if gone && found || p < 100 && !found {
					t.Errorf("person %d, erased %v: found %v", p, gone, found)
					return
				}
			}
		})
	}
	group.Go(func() {
		for p := uint64(100); p < 600 && ctx.Err() == nil; p++ {
			w.erase(home, subject(p))
			erased[p].Store(true)
			w.many(home, 10_000+2*p, 10_002+2*p)
			if p%10 == 0 {
				w.unblock(home, blocked(5000+(p-100)/10))
			}
			if err := k.Sync(home); err != nil {
				t.Errorf("sync: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			if err := k.Start(home, false); err != nil && !errors.Is(err, identify.ErrBusy) {
				t.Errorf("rebuild: %v", err)
			}
			time.Sleep(7 * time.Millisecond)
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			if _, err := k.Stats(home); err != nil {
				t.Errorf("stats: %v", err)
			}
			k.Size()
			time.Sleep(time.Millisecond)
		}
	})
	group.Wait()
	k.ended(t, home)
	s, err := k.Stats(home)
	if err != nil {
		t.Fatal(err)
	}
	k.whole(t, home, s.Subjects.Templates, s.Blocklist.Templates)
	if task := k.ended(t, home); task.Error != "" {
		t.Errorf("%+v", task)
	}
}

// The node stops, or is sealed, in the middle of it all: no gallery is left, and
// what is on the disk is whole.
func TestStopAmidstAll(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 800)
	for round := range uint64(12) {
		k := w.loaded()
		ctx, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for ctx.Err() == nil {
					if _, err := k.Search(ctx, home, probe(5, 1), identify.Query{K: 10}); err != nil && ctx.Err() == nil && !errors.Is(err, identify.ErrLoading) {
						t.Errorf("search: %v", err)
						return
					}
				}
			})
		}
		group.Go(func() {
			w.many(home, 2000+10*round, 2010+10*round)
			w.erase(home, subject(2000+10*round))
			if err := k.Sync(home); err != nil {
				t.Errorf("sync: %v", err)
			}
		})
		if err := k.Start(home, round%2 == 1); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(round) * 2 * time.Millisecond)
		k.Close(t.Context())
		stop()
		group.Wait()
		if n, bytes := k.Size(); n != 0 || bytes != 0 {
			t.Errorf("%d templates of %d bytes are left", n, bytes)
		}
	}
	w.loaded().whole(t, home, 800+12*9, 0)
}
