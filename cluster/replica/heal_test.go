package replica_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/cluster/replica"
	"gatehouse/store/blob"
)

// quick passes, for tests that wait for several.
func quick(t replica.Limits) {
	*t.Pass, *t.Gap, *t.Shun = 50*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond
}

func hasAll(m *node, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !m.whole(name) })
}

// A node misses an outage's worth of blobs; another has lost its disk.
func TestHealing(t *testing.T) {
	t.Parallel()
	c := build(t, 3, nil)
	a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
	address := b.server.Listener.Addr().String()
	b.server.CloseClientConnections()
	b.server.Close()
	var names []string
	for i := range 15 {
		ref, err := a.put(random(1000 * (i + 1)))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, ref.Name)
	}
	c.name(names...)
	if b.whole(names[0]) || !hasAll(third, names) {
		t.Fatal("the outage is none")
	}
	b.serve(t, address)
	b.run(t) // the first pass is at once
	eventually(t, "B has all", func() bool { s := b.Stats(); return s.Missing == 0 && !s.LastPass.IsZero() && hasAll(b, names) })
	if a.gets.Load() == 0 || third.gets.Load() == 0 {
		t.Error("one node gives all")
	}
	s := b.Stats()
	if s.Healed != 15 || s.Lost != 0 || s.Lacking != 15 {
		t.Errorf("%+v", s)
	}

	for _, name := range names {
		if err := a.blobs.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	a.run(t)
	eventually(t, "A has all", func() bool { return hasAll(a, names) })
	eventually(t, "the pass ends", func() bool { s := a.Stats(); return s.Missing == 0 && !s.LastPass.IsZero() })

	// The next pass is a minute away, but for Wake.
	late := keep(t, random(5000), third)
	c.name(late)
	b.Wake()
	eventually(t, "B has what it was woken for", func() bool { return b.whole(late) })
	if a.whole(late) {
		t.Error("A has it unasked")
	}

	// What it is woken for by name needs no look at all the others.
	eventually(t, "the pass ends", func() bool { return b.Stats().Missing == 0 })
	before := b.Stats().LastPass
	var several []string
	for range 5 {
		several = append(several, keep(t, random(100), third))
	}
	b.Wake(append(several, several[0], names[0], strings.Repeat("0", 64), "no name")...)
	eventually(t, "B has those", func() bool { return hasAll(b, several) })
	eventually(t, "one of them nobody has", func() bool { return b.Stats().Missing == 1 })
	if after := b.Stats().LastPass; after != before {
		t.Errorf("it looked through all at %v", after)
	}
	if repaired, lost, _ := b.told(); len(repaired)+len(lost) != 0 {
		t.Errorf("told: %v, %v", repaired, lost)
	}
}

// At most two at a time, and at the rate.
func TestHealingIsGentle(t *testing.T) {
	t.Parallel()
	c := buildWith(t, 2, 1<<20, nil)
	a, b := c.nodes[0], c.nodes[1]
	for range 4 {
		c.name(keep(t, random(400<<10), b))
	}
	var now, most atomic.Int32
	h := b.Handler()
	b.instead(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodGet {
			n := now.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			defer now.Add(-1)
		}
		h.ServeHTTP(w, q)
	})
	begun := time.Now()
	a.run(t)
	eventually(t, "A has all", func() bool { return hasAll(a, c.names()) })
	took := time.Since(begun)
	// 1.56 MiB at 1 MiB/s, less what may be ahead.
	if took < time.Second {
		t.Errorf("%v is too fast", took)
	}
	if n := most.Load(); n > 2 {
		t.Errorf("%d at a time", n)
	}
	t.Logf("1.56 MiB at 1 MiB/s took %v", took)
}

// Who waits for a blob that heals slowly gets it at once.
func TestOpenHurriesHealing(t *testing.T) {
	t.Parallel()
	c := buildWith(t, 2, 1<<20, nil)
	a, b := c.nodes[0], c.nodes[1]
	name := keep(t, random(20<<20), b)
	c.name(name)
	a.run(t)
	eventually(t, "healing begins", func() bool { return b.gets.Load() == 1 })
	begun := time.Now()
	if _, err := a.read(name); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 12*time.Second { // 20 s at the rate
		t.Errorf("it takes %v", took)
	}
	if n := b.gets.Load(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

// While it looks through many names slowly, what it is woken for does not wait.
func TestLookingMakesNobodyWait(t *testing.T) {
	t.Parallel()
	c := build(t, 2, nil)
	a, b := c.nodes[0], c.nodes[1]
	var names []string
	for i := range 250 {
		names = append(names, fmt.Sprintf("%064x", i))
	}
	c.name(names...)
	wanted := keep(t, random(5000), b)
	looked, here := 0, false
	a.look = func(string) { // all in one pass
		switch looked++; looked {
		case 200: // a pause of a second comes
			a.Wake(wanted)
		case 201:
			here = a.whole(wanted)
		default:
			time.Sleep(2 * time.Millisecond)
		}
	}
	if _, err := replica.Pass(a.Replica, t.Context()); err != nil {
		t.Fatal(err)
	}
	if looked != 250 || !here {
		t.Errorf("after %d names it has what it was woken for: %v", looked, here)
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	c := build(t, 3, quick)
	a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
	gone := keep(t, random(100), third)
	if err := os.Rename(third.file(gone), filepath.Join(third.dir, "aside")); err != nil {
		t.Fatal(err)
	}
	rotten := keep(t, random(100), b, third) // has it, but not whole
	b.damage(t, rotten, flip(-1))
	third.damage(t, rotten, flip(20))
	erased := strings.Repeat("1", 64) // named for a moment, by a state that is a little old
	c.name(erased)

	// While a node does not answer, nothing is lost.
	address := b.server.Listener.Addr().String()
	b.server.CloseClientConnections()
	b.server.Close()
	a.run(t)
	eventually(t, "a pass", func() bool { return a.Stats().Missing == 1 })
	c.mu.Lock()
	c.named = []string{gone, rotten}
	c.mu.Unlock()
	time.Sleep(300 * time.Millisecond)
	if _, lost, _ := a.told(); len(lost) != 0 || a.Stats().Lost != 0 {
		t.Fatalf("lost with a node down: %v", lost)
	}

	b.serve(t, address)
	want := []string{gone, rotten}
	slices.Sort(want)
	eventually(t, "Lost is told", func() bool {
		_, lost, _ := a.told()
		slices.Sort(lost)
		return slices.Equal(lost, want)
	})
	if s := a.Stats(); s.Lost != 2 || s.Missing != 2 {
		t.Errorf("%+v", s)
	}

	// One turns up again; and nobody hears of the same loss twice.
	if err := os.Rename(filepath.Join(third.dir, "aside"), third.file(gone)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Repaired is told", func() bool { r, _, _ := a.told(); return slices.Equal(r, []string{gone}) })
	if !a.whole(gone) {
		t.Error("repaired, and not whole")
	}
	time.Sleep(200 * time.Millisecond)
	if _, lost, _ := a.told(); len(lost) != 2 || a.Stats().Lost != 1 {
		t.Errorf("told %v, %+v", lost, a.Stats())
	}
	c.mu.Lock()
	c.named = nil // erased
	c.mu.Unlock()
	eventually(t, "what is not named is not lost", func() bool { s := a.Stats(); return s.Lost == 0 && s.Missing == 0 })
}

// What the state names for a moment after the others have removed it is not
// lost.
func TestErasedIsNotLost(t *testing.T) {
	t.Parallel()
	c := build(t, 2, func(t replica.Limits) { quick(t); *t.Pass = time.Second })
	a := c.nodes[0]
	c.name(strings.Repeat("1", 64))
	a.run(t)
	eventually(t, "a pass", func() bool { return !a.Stats().LastPass.IsZero() })
	for range 5 { // however often it is woken
		a.Wake()
		time.Sleep(20 * time.Millisecond)
	}
	c.mu.Lock()
	c.named = nil
	c.mu.Unlock()
	before := a.Stats().LastPass
	eventually(t, "a pass when it was", func() bool { s := a.Stats(); return s.Missing == 0 && s.LastPass.Sub(before) > 500*time.Millisecond })
	if _, lost, _ := a.told(); len(lost) != 0 || a.Stats().Missing != 0 {
		t.Errorf("%v, %+v", lost, a.Stats())
	}
}

// More names than one listing takes, those first that nobody has.
func TestHealingBehindTheHopeless(t *testing.T) {
	t.Parallel()
	c := build(t, 2, func(t replica.Limits) { *t.Missing = 4 })
	a, b := c.nodes[0], c.nodes[1]
	for i := range 10 {
		c.name(strings.Repeat(string(rune('0'+i)), 64))
	}
	var names []string
	for range 7 {
		names = append(names, keep(t, random(100), b))
	}
	c.name(names...)
	a.run(t)
	eventually(t, "A has all that B has", func() bool { return hasAll(a, names) })
	eventually(t, "the pass ends", func() bool { return !a.Stats().LastPass.IsZero() })
	if s := a.Stats(); s.Missing != 10 || s.Healed != 7 || s.Lacking != 27 {
		t.Errorf("%+v", s)
	}
}

// A node that hangs keeps nobody from healing.
func TestHealingAroundAHangingNode(t *testing.T) {
	t.Parallel()
	for what, hang := range map[string]func(m *node, h http.Handler) http.HandlerFunc{
		"always": func(m *node, _ http.Handler) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { <-m.end }
		},
		"when asked for a blob": func(m *node, h http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodGet {
					<-m.end
				}
				h.ServeHTTP(w, q)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := build(t, 3, func(t replica.Limits) { *t.Ask, *t.Idle = time.Second, time.Second })
			a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]
			for range 40 {
				c.name(keep(t, random(100), b, third))
			}
			b.instead(hang(b, b.Handler()))
			begun := time.Now()
			a.run(t)
			eventually(t, "A has all", func() bool { return hasAll(a, c.names()) })
			if took := time.Since(begun); took > 8*time.Second { // 10 s if each pull had to find out
				t.Errorf("it takes %v", took)
			}
		})
	}
}

func TestHealingOntoAFullDisk(t *testing.T) {
	t.Parallel()
	c := build(t, 2, quick)
	a, b := c.nodes[0], c.nodes[1]
	for range 5 {
		c.name(keep(t, random(100), b))
	}
	a.free.Store(1 << 20)
	a.run(t)
	eventually(t, "it tries", func() bool { return b.gets.Load() > 2 })
	if s := a.Stats(); s.Missing != 5 || s.Healed != 0 {
		t.Errorf("%+v", s)
	}
	a.free.Store(plenty)
	eventually(t, "A has all", func() bool { return hasAll(a, c.names()) })
	if _, lost, stopped := a.told(); len(lost)+len(stopped) != 0 {
		t.Errorf("%v, %v", lost, stopped)
	}
}

func TestHealingOntoABrokenDisk(t *testing.T) {
	t.Parallel()
	c := build(t, 2, quick)
	a, b := c.nodes[0], c.nodes[1]
	c.name(keep(t, random(100), b))
	if err := os.Remove(filepath.Join(a.dir, "blobs", "tmp")); err != nil {
		t.Fatal(err)
	}
	a.run(t)
	eventually(t, "Stop is told", func() bool { _, _, s := a.told(); return len(s) == 1 && errors.Is(s[0], blob.ErrSync) })
	time.Sleep(100 * time.Millisecond)
	if n := b.gets.Load(); n != 1 {
		t.Errorf("after the disk failed it goes on: %d transfers", n)
	}
}
