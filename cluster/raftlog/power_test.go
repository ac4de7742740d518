package raftlog_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

// cutter cuts the power of a disk at every byte that a session writes.
type cutter struct {
	t     *testing.T
	s     *session
	disk  *memory
	rand  *rand.Rand
	disks int
}

func nothing() bool    { return false }
func everything() bool { return true }

func (c *cutter) any() bool { return c.rand.IntN(2) == 0 }

// on opens a log that lies on a disk.
func (c *cutter) on(d *memory) (*raftlog.Log, error) {
	c.disks++
	config := c.s.config
	config.FS = d
	return raftlog.Open(config)
}

// before the step, and at each byte of it.
func (c *cutter) before(s step) {
	switch s.kind {
	case "list", "open", "read", "stat", "close":
		return
	}
	n := len(s.change.data)
	written := len(bytes.TrimRight(s.change.data, "\x00"))
	for i := 0; i < n; i += stride {
		if i > written+8 && i%13 != 0 { // zeros ahead, which differ in their number only
			continue
		}
		if d := c.disk.with(s, i).cut(512, everything); !c.check(d) {
			c.t.Fatalf("at byte %d of %d of a write", i, n)
		}
	}
	for _, left := range []struct {
		what string
		disk *memory
	}{
		{"nothing that was not synced", c.disk.with(s, n).cut(512, nothing)},
		{"everything", c.disk.with(s, n).cut(512, everything)},
		{"words", c.disk.with(s, n).cut(8, c.any)},
		{"some", c.disk.with(s, n).cut(64, c.any)},
		{"sectors", c.disk.with(s, n).cut(512, c.any)},
		{"a process killed before", c.disk.copy()},
		{"a process killed within", c.disk.with(s, n/2)},
		{"a process killed after", c.disk.with(s, n)},
	} {
		if c.rand.IntN(stride) > 1 {
			continue
		}
		if !c.interrupted(left.disk) || !c.lasts(left.disk) {
			c.t.Fatalf("left by a %s: %s", s.kind, left.what)
		}
	}
}

// check what a log is once it is opened.
func (c *cutter) check(d *memory) bool {
	l, err := c.on(d)
	if err == nil {
		err = c.s.model.check(l, false)
	}
	if err != nil {
		c.t.Error(err)
	}
	return err == nil
}

// interrupted cuts the power while the log is opened.
func (c *cutter) interrupted(d *memory) bool {
	good := true
	d = d.copy()
	d.before = func(s step) error {
		switch s.kind {
		case "list", "open", "read", "stat", "close":
			return nil
		}
		n := len(s.change.data)
		good = good && c.check(d.with(s, n).cut(512, nothing)) && c.check(d.with(s, n/2).cut(512, everything)) && c.check(d.with(s, n).cut(64, c.any))
		return nil
	}
	return c.check(d) && good
}

// lasts says whether what an opened log shows, and what is then stored, outlives a
// power cut.
func (c *cutter) lasts(d *memory) bool {
	d = d.copy()
	l, err := c.on(d)
	if err != nil {
		c.t.Error(err)
		return false
	}
	shown := model{may: map[uint64]*raft.Log{}}
	shown.first, _ = l.FirstIndex()
	shown.last, _ = l.LastIndex()
	for i := shown.first; i > 0 && i <= shown.last; i++ {
		shown.may[i] = new(raft.Log)
		if err := l.GetLog(i, shown.may[i]); err != nil {
			c.t.Error(err)
		}
	}
	after := func(what string) bool {
		l, err := c.on(d.cut(512, nothing))
		if err == nil {
			err = shown.check(l, true)
		}
		if err != nil {
			c.t.Errorf("%s, then the power is cut: %v", what, err)
		}
		return err == nil
	}
	if !after("opened") {
		return false
	}
	next := shown.last + 1
	if shown.first == 0 {
		next = 77
	}
	logs := []*raft.Log{{Index: next, Term: 99, Data: []byte("first after it")}, {Index: next + 1, Term: 99, Data: make([]byte, 400)}}
	if err := l.StoreLogs(logs); err != nil {
		c.t.Error(err)
		return false
	}
	shown.store(logs)
	shown.stored(logs)
	return after("stored")
}

// Whenever the power goes, all that was stored is there and nothing that was
// deleted stands for what was stored after it.
func TestPowerCutAtEveryByte(t *testing.T) {
	t.Parallel()
	c := &cutter{t: t, disk: newMemory(), rand: rand.New(rand.NewPCG(3, 4))}
	c.s = newSession(raftlog.Config{Dir: "log", Cluster: cluster, Segment: 700, FS: c.disk})
	calls, steps := 0, map[string]int{}
	c.disk.before = func(s step) error {
		steps[s.kind]++
		c.before(s)
		return nil
	}
	c.s.done = func() {
		calls++
		c.before(step{})
	}
	c.s.script()
	if c.s.err != nil {
		t.Fatal(c.s.err)
	}
	t.Logf("%d calls, %d writes, %d syncs, %d renames, %d files removed; the log was opened on %d disks",
		calls, steps["write"], steps["sync"], steps["rename"], steps["remove"], c.disks)
	if calls < 40 || steps["rename"] < 10 || steps["remove"] < 10 {
		t.Error(fmt.Sprint("the script does too little: ", calls, steps))
	}
}
