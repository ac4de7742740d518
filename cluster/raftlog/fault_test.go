package raftlog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

// faulty runs the script on a disk whose call number at fails. It gives the kind of
// the call, "" where there are not so many.
func faulty(t *testing.T, at int, fault error) (kind string) {
	d := newMemory()
	calls, after := 0, 0
	d.before = func(s step) error {
		if kind != "" && s.kind != "close" {
			after++
		}
		if calls++; calls != at {
			return nil
		}
		kind = s.kind
		return fault
	}
	s := newSession(raftlog.Config{Dir: "log", Cluster: cluster, Segment: 700, FS: d})
	s.script()
	d.before = nil
	if kind == "" {
		if s.err != nil {
			t.Fatal(s.err)
		}
		return ""
	}
	reading := slices.Contains([]string{"list", "open", "stat", "read"}, kind)
	switch {
	case s.err == nil:
		t.Fatal("no error came of it")
	case !errors.Is(s.err, syscall.ENOSPC) && !errors.Is(s.err, syscall.EIO):
		t.Errorf("%v", s.err)
	case after > 0 && !reading:
		t.Errorf("%d more calls were made after it", after)
	case s.log != nil && !reading && kind != "close":
		latched(t, s.log, s.err)
	}
	if s.log != nil {
		s.log.Close()
	}

	// The process starts again, and then the power goes.
	s.config.FS = d
	again := &cutter{t: t, s: s, disk: d, rand: rand.New(rand.NewPCG(5, 6))}
	if !again.lasts(d) || !again.check(d) || !again.check(d.cut(512, nothing)) || !again.check(d.cut(64, again.any)) {
		t.Error("opened again")
	}
	return kind
}

// latched says that every call gives the error of the first that failed.
func latched(t *testing.T, l *raftlog.Log, first error) {
	t.Helper()
	want := func(what string, err error) {
		if err == nil || !errors.Is(first, err) {
			t.Errorf("%s after %q: %v", what, first, err)
		}
	}
	_, err := l.FirstIndex()
	want("FirstIndex", err)
	last, err := l.LastIndex()
	want("LastIndex", err)
	want("GetLog", l.GetLog(last, &raft.Log{}))
	want("StoreLogs", l.StoreLogs([]*raft.Log{{Index: last + 1}}))
	want("DeleteRange", l.DeleteRange(1, 1<<60))
	_, err = l.Oldest()
	want("Oldest", err)
}

// Whichever call of the disk fails, and in whatever way, the log says so, does
// nothing more, and has lost nothing when it is opened again.
func TestEveryCallFails(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]error{
		"no space":          syscall.ENOSPC,
		"a short write":     short{syscall.ENOSPC, 40},
		"a write but a bit": short{syscall.EIO, 1 << 20},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			failed := map[string]int{}
			for at := 1; ; at++ {
				kind := faulty(t, at, fault)
				if t.Failed() {
					t.Fatalf("call %d, a %s", at, kind)
				}
				if kind == "" {
					break
				}
				failed[kind]++
			}
			for _, kind := range []string{"list", "open", "stat", "read", "create", "write", "truncate", "sync", "rename", "remove", "sync of the folder", "close"} {
				if failed[kind] < 3 {
					t.Errorf("a %s failed only %d times", kind, failed[kind])
				}
			}
			t.Log(failed)
		})
	}
}

// A read that fails spoils nothing.
func TestAReadFails(t *testing.T) {
	t.Parallel()
	d := newMemory()
	s := newSession(raftlog.Config{Dir: "log", Cluster: cluster, FS: d})
	s.open()
	s.store(5, 100)
	d.before = func(s step) error { return syscall.EIO }
	if err := s.log.GetLog(3, &raft.Log{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	if _, err := s.log.Oldest(); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	d.before = nil
	s.store(5, 100)
	if err := errors.Join(s.err, s.model.check(s.log, true)); err != nil {
		t.Error(err)
	}
}

func TestNoSalt(t *testing.T) {
	t.Parallel()
	s := newSession(raftlog.Config{Dir: "log", Cluster: cluster, FS: newMemory(), Rand: failing{}})
	s.open()
	s.store(1, 10)
	if !errors.Is(s.err, syscall.EIO) {
		t.Errorf("%v", s.err)
	}
	latched(t, s.log, s.err)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("random: %w", syscall.EIO) }
