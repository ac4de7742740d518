package replica_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/cluster/replica"
)

func scrubbing(t replica.Limits) {
	quick(t)
	*t.ScrubFirst, *t.ScrubEvery = 0, 100*time.Millisecond
	*t.ScrubRate = 1 << 30
}

func TestScrub(t *testing.T) {
	t.Parallel()
	c := build(t, 2, scrubbing)
	a, b := c.nodes[0], c.nodes[1]
	var names []string
	for range 20 {
		names = append(names, keep(t, random(100<<10), a, b))
	}
	c.name(names...)
	alone := keep(t, random(1000), a) // has no copy
	c.name(alone)
	orphan := keep(t, random(1000), a) // the state does not name it
	for i, name := range append(names[:3:3], alone, orphan) {
		a.damage(t, name, flip(50*i))
	}
	a.run(t)
	eventually(t, "all are repaired", func() bool { return hasAll(a, names) })
	eventually(t, "a whole scrub", func() bool { return !a.Stats().LastScrub.IsZero() })
	eventually(t, "they are told of", func() bool {
		repaired, lost, _ := a.told()
		return len(repaired) == 3 && len(lost) == 1 && lost[0] == alone
	})
	time.Sleep(300 * time.Millisecond) // more scrubs and passes
	if repaired, lost, _ := a.told(); len(repaired) != 3 || len(lost) != 1 {
		t.Errorf("repaired %v, lost %v", repaired, lost)
	}
	kept, err := os.ReadDir(filepath.Join(a.dir, "quarantine"))
	if err != nil || len(kept) != 5 {
		t.Errorf("%d in quarantine, %v", len(kept), err)
	}
	s := a.Stats()
	if s.Rotten != 5 || s.Repaired != 3 || s.Lost != 1 || s.Missing != 1 || s.Scrubbed < 20 {
		t.Errorf("%+v", s)
	}
	if n := b.gets.Load(); n < 3 {
		t.Errorf("%d transfers", n)
	}
}

func TestScrubKeepsItsRate(t *testing.T) {
	t.Parallel()
	c := build(t, 1, func(t replica.Limits) { scrubbing(t); *t.ScrubRate, *t.ScrubEvery = 1<<20, time.Hour })
	a := c.nodes[0]
	for range 4 {
		c.name(keep(t, random(400<<10), a))
	}
	begun := time.Now()
	a.run(t)
	eventually(t, "a whole scrub", func() bool { return !a.Stats().LastScrub.IsZero() })
	if took := time.Since(begun); took < time.Second { // 1.56 MiB, less what may be ahead
		t.Errorf("%v is too fast", took)
	}
	if n := a.Stats().Scrubbed; n != 4 {
		t.Errorf("%d blobs of 4", n)
	}
}
