package identify_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/appliance/identify"
	"gatehouse/engine/face"
	"gatehouse/store/state"
)

// keeper over the world's state, with its log and what it is told.
type keeper struct {
	*identify.Keeper
	log    *lines
	loaded chan struct{}
}

// lines that were logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) keeper(change ...func(*identify.Config)) *keeper {
	w.t.Helper()
	k := &keeper{log: &lines{}, loaded: make(chan struct{}, 1000)}
	c := identify.Config{State: w.state, Keys: w.keys, Dir: w.dir, Room: func(uint64) bool { return true }, Calibration: calibration(), Dimension: dimension, Workers: 2,
		Log: slog.New(slog.NewTextHandler(k.log, nil)), Rand: rand.Reader, Fatal: func(err error) { w.t.Error(err) }, Loaded: func() { k.loaded <- struct{}{} }}
	for _, f := range change {
		f(&c)
	}
	k.Keeper = identify.New(c)
	w.t.Cleanup(k.Drop)
	return k
}

func over(s *state.State) func(*identify.Config) {
	return func(c *identify.Config) { c.State = s }
}

// load waits until the galleries are complete.
func (k *keeper) load(t testing.TB) *keeper {
	t.Helper()
	k.Load()
	select {
	case <-k.loaded:
	case <-time.After(time.Minute):
		ok, why := k.Ready()
		t.Fatalf("the galleries are not complete: %v %s\n%s", ok, why, k.log)
	}
	return k
}

// loaded is a keeper that has read everything.
func (w *world) loaded(change ...func(*identify.Config)) *keeper {
	w.t.Helper()
	return w.keeper(change...).load(w.t)
}

// saved has a keeper write what it has, as at a stop.
func (w *world) saved() {
	w.t.Helper()
	k := w.loaded()
	k.Close(context.Background())
	for _, list := range lists {
		if _, err := os.Stat(w.file(home, list)); err != nil {
			w.t.Fatalf("no snapshot was written: %v\n%s", err, k.log)
		}
	}
}

var lists = []string{state.InSubjects, state.InBlocklist}

func (w *world) file(tenant, list string) string { return filepath.Join(w.dir, tenant+"."+list) }

// whole checks that the gallery of a tenant is what its state says, bit for bit.
func (k *keeper) whole(t testing.TB, tenant string, subjects, blocklist int) {
	t.Helper()
	r, err := k.Verify(context.Background(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	s, err := k.Stats(tenant)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || s.Subjects.Templates != subjects || s.Blocklist.Templates != blocklist || r.Templates-r.Others != subjects+blocklist {
		t.Fatalf("%+v, %d subjects, %d blocked, want %d and %d", r, s.Subjects.Templates, s.Blocklist.Templates, subjects, blocklist)
	}
}

// find gives the ids that a search names, of both lists.
func (k *keeper) find(t testing.TB, tenant string, f face.Template, q identify.Query) (subjects, blocklist []string) {
	t.Helper()
	if q.K == 0 {
		q.K = 10
	}
	found, err := k.Search(context.Background(), tenant, f, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Subjects.Candidates {
		subjects = append(subjects, c.ID)
	}
	for _, c := range found.Blocklist.Candidates {
		blocklist = append(blocklist, c.ID)
	}
	return subjects, blocklist
}
