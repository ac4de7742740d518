package identify_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/identify"
	"gatehouse/store/keys"
)

// Nothing is searched in a part of a gallery.
func TestNothingBeforeAllIsLoaded(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 4000)
	k := w.keeper()
	if ok, why := k.Ready(); ok || why == "" {
		t.Errorf("before a load: %v %q", ok, why)
	}
	if _, err := k.Identify(t.Context(), home, "sub_x", probe(3999, 1)); !errors.Is(err, identify.ErrLoading) {
		t.Errorf("before a load: %v", err)
	}
	k.Load()
	k.Load() // once is enough
	for waits := 0; ; waits++ {
		ready, why := k.Ready()
		f, err := k.Identify(t.Context(), home, "sub_x", probe(3999, 1))
		if ready {
			if why != "" || err != nil || len(f.Subjects.Candidates) == 0 || f.Subjects.Candidates[0].ID != session(3999) || waits == 0 {
				t.Errorf("ready after %d looks: %q, %+v, %v", waits, why, f, err)
			}
			break
		}
		if !strings.Contains(why, "templates are loaded") && !strings.Contains(why, "not loaded") {
			t.Errorf("it says %q", why)
		}
		if err == nil && (len(f.Subjects.Candidates) == 0 || f.Subjects.Compared != 4000) || err != nil && !errors.Is(err, identify.ErrLoading) {
			t.Fatalf("half a gallery answers: %+v, %v", f, err)
		}
		if _, err := k.Lane(home); err != nil && !errors.Is(err, identify.ErrLoading) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if n := len(k.loaded); n > 1 {
		t.Errorf("told %d times that all is loaded", n)
	}
}

// A tenant that is new has galleries at once.
func TestNewTenant(t *testing.T) {
	w := founded(t)
	k := w.loaded()
	if f, err := k.Identify(t.Context(), other, "sub_x", probe(0, 1)); err != nil || f.Subjects.Compared != 0 || f.Searched != 0 || f.Subjects.Candidates == nil {
		t.Errorf("%+v, %v", f, err)
	}
	w.many(other, 0, 1)
	if got, _ := k.find(t, other, probe(0, 1), identify.Query{}); !one(got, session(0)) {
		t.Errorf("%v", got)
	}
}

// A sealed node has no gallery, and says so; an unsealed one has all again.
func TestSealed(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 50)
	w.manyBlocked(home, 100, 102)
	k := w.loaded()
	if n, bytes := k.Size(); n != 52 || bytes == 0 {
		t.Errorf("%d templates of %d bytes", n, bytes)
	}
	w.keys.Seal()
	k.Drop()
	if n, bytes := k.Size(); n != 0 || bytes != 0 {
		t.Errorf("sealed, with %d templates of %d bytes", n, bytes)
	}
	for name, ask := range map[string]func() error{
		"search": func() error { _, err := k.Identify(t.Context(), home, "sub_x", probe(1, 1)); return err },
		"lane":   func() error { _, err := k.Lane(home); return err },
		"stats":  func() error { _, err := k.Stats(home); return err },
		"verify": func() error { _, err := k.Verify(t.Context(), home); return err },
		"start":  func() error { return k.Start(home, false) },
	} {
		if err := ask(); !errors.Is(err, identify.ErrLoading) && !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s, sealed: %v", name, err)
		}
	}
	if err := k.Sync(home); err != nil {
		t.Errorf("sync, sealed: %v", err)
	}
	if ok, why := k.Ready(); ok || why == "" {
		t.Errorf("sealed, and ready: %q", why)
	}
	if err := w.keys.UnsealFile(); err != nil {
		t.Fatal(err)
	}
	k.load(t).whole(t, home, 50, 2)
	if got, _ := k.find(t, home, probe(1, 1), identify.Query{}); !slices.Contains(got, session(1)) {
		t.Errorf("unsealed: %v", got)
	}
}

// Where the seal closes during a load, nothing stays and nobody is told that all
// is there; the next load is whole.
func TestDropDuringALoad(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 1500)
	w.many(other, 0, 300)
	k := w.keeper()
	for after := range 25 {
		k.Load()
		time.Sleep(time.Duration(after) * time.Millisecond)
		k.Drop()
		if ok, _ := k.Ready(); ok {
			t.Fatalf("after %d ms: ready, and everything was dropped", after)
		}
		if n, bytes := k.Size(); n != 0 || bytes != 0 {
			t.Fatalf("after %d ms: %d templates of %d bytes are left", after, n, bytes)
		}
		for len(k.loaded) > 0 {
			<-k.loaded
		}
	}
	k.load(t).whole(t, home, 1500, 0)
	k.whole(t, other, 300, 0)
}

// However a load and a drop meet, nothing is ready afterwards: else nobody would
// load it again.
func TestDropAtTheEndOfALoad(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 3)
	k := w.keeper()
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 { // who ask meanwhile
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					k.Ready()
				}
			}
		})
	}
	for i := range 300 {
		k.Load()
		time.Sleep(time.Duration(i%30) * 20 * time.Microsecond)
		k.Drop()
		if ok, _ := k.Ready(); ok {
			t.Errorf("round %d: ready, and everything was dropped", i)
			break
		}
	}
	close(stop)
	group.Wait()
}

// Who erases while the galleries are loaded finds nobody afterwards.
func TestErasureDuringALoad(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 600)
	w.saved()
	for round := range uint64(5) {
		k := w.keeper()
		k.Load()
		var group sync.WaitGroup
		group.Go(func() {
			for p := round * 20; p < round*20+20; p++ {
				w.erase(home, subject(p))
				if err := k.Sync(home); err != nil {
					t.Error(err)
				}
			}
		})
		group.Wait()
		k.load(t)
		for p := round * 20; p < round*20+20; p++ {
			if got, _ := k.find(t, home, probe(p, 0), identify.Query{}); slices.Contains(got, session(p)) {
				t.Errorf("%d was erased and is found", p)
			}
		}
		k.whole(t, home, 600-int(round+1)*20, 0)
		k.Close(t.Context())
	}
}
