package identify_test

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/appliance/identify"
)

// hook runs f once, at the n-th look at the context's end.
type hook struct {
	context.Context
	n    atomic.Int64
	at   int64
	f    func()
	fail error
}

func (h *hook) Err() error {
	if h.n.Add(1) == h.at {
		h.f()
	}
	return h.fail
}

// A load that begins while all is dropped ends in one that is told.
func TestLoadWhileDropping(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 20)
	hold, in := make(chan struct{}), make(chan struct{}, 10)
	first := atomic.Bool{}
	first.Store(true)
	k := w.keeper(func(c *identify.Config) {
		c.Loaded = func() {
			in <- struct{}{}
			if first.Swap(false) {
				<-hold // any work that Drop waits for: a graph, a rebuild
			}
		}
	})
	k.Load()
	<-in
	done := make(chan struct{})
	go func() { k.Drop(); close(done) }()
	for ok := true; ok; ok, _ = k.Ready() {
		time.Sleep(time.Millisecond)
	}
	k.Load() // Run's tick: the keys are still open
	<-in
	close(hold)
	<-done
	k.Load() // unseal
	select {
	case <-in:
	case <-time.After(2 * time.Second):
		t.Error("after the unseal Loaded is never told: the pool stays paused")
	}
}

// A save that does not come to its end leaves the snapshot of before.
func TestSaveThatFails(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.saved()
	w.many(home, 300, 600)
	k := w.loaded()
	ctx, cancel := context.WithCancel(context.Background())
	// the time for the save runs out in it
	slow := &late{Context: ctx, after: 3, cancel: cancel}
	k.Close(slow)
	_, err := os.Stat(w.file(home, "subjects"))
	if err != nil {
		t.Errorf("the good snapshot of before is gone: %v", err)
	}
}

type late struct {
	context.Context
	after  int64
	n      atomic.Int64
	cancel func()
}

func (l *late) Err() error {
	if l.n.Add(1) > l.after {
		l.cancel()
	}
	return l.Context.Err()
}

// A second session of the person, decided while the first is searched, is nobody else.
func TestOwnFaceMeanwhile(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 3)
	k := w.loaded()
	h := &hook{Context: t.Context(), at: 1}
	h.f = func() {
		w.submitted(home, "ses_second", subject(1))
		w.newest[home] = w.decided(home, "ses_second", subject(1), probe(1, 2), w.newest[home])
		w.flush()
		if err := k.Sync(home); err != nil {
			t.Error(err)
		}
	}
	f, err := k.Identify(h, home, subject(1), probe(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Subjects.Candidates) > 0 {
		t.Errorf("the person's own second session is a candidate")
	}
	f, err = k.Again(t.Context(), home, subject(1), probe(1, 1), f)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Subjects.Candidates) > 0 {
		t.Errorf("and in Again: %+v", f.Subjects.Candidates)
	}
}

// Who is enrolled while a search waits is found, once.
func TestEnrolledWhileSearched(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 3)
	k := w.loaded()
	h := &hook{Context: t.Context(), at: 1}
	h.f = func() {
		w.many(home, 9, 10)
		if err := k.Sync(home); err != nil {
			t.Error(err)
		}
	}
	f, err := k.Identify(h, home, "sub_x", probe(9, 1))
	if err != nil {
		t.Fatal(err)
	}
	f, err = k.Again(t.Context(), home, "sub_x", probe(9, 1), f)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Subjects.Candidates) != 1 {
		t.Errorf("%+v", f.Subjects.Candidates)
	}
}

// Only a removal costs a snapshot.
func TestSyncKeepsTheSnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.saved()
	k := w.keeper()                      // being loaded, or just dropped
	if err := k.Sync(home); err != nil { // as after BLOCK or COMPLETE: nothing was removed
		t.Fatal(err)
	}
	if _, err := os.Stat(w.file(home, "subjects")); err != nil {
		t.Errorf("the snapshot is gone although nobody was removed: %v", err)
	}
}

// Who is erased and had no face costs no snapshot either.
func TestErasureWithoutAFaceKeepsTheSnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.saved()
	w.submitted(home, "ses_no_face", "sub_no_face")
	k := w.loaded()
	w.erase(home, "sub_no_face")
	if err := k.Removed(home); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.file(home, "subjects")); err != nil {
		t.Errorf("the snapshot is gone although no face was removed: %v", err)
	}
}
