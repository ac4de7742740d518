package raftlog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

func open1(t testing.TB, c raftlog.Config) *raftlog.Log {
	t.Helper()
	if c.Cluster == "" {
		c.Cluster = cluster
	}
	l, err := raftlog.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is says what the log holds.
func is(t *testing.T, l *raftlog.Log, first, last uint64) {
	t.Helper()
	f, err1 := l.FirstIndex()
	e, err2 := l.LastIndex()
	if err := errors.Join(err1, err2); err != nil || f != first || e != last {
		t.Errorf("it holds %d to %d, %v; want %d to %d", f, e, err, first, last)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "log")
	c := raftlog.Config{Dir: dir, Cluster: cluster}
	if _, err := raftlog.Open(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	c.Create = true
	l := open1(t, c)
	is(t, l, 0, 0)
	if at, err := l.Oldest(); !at.IsZero() || err != nil {
		t.Errorf("the oldest of none is of %v, %v", at, err)
	}
	ok(t, l.StoreLog(&raft.Log{Index: 7}))
	ok(t, l.Close())
	ok(t, l.Close())
	for what, err := range map[string]error{
		"StoreLog":    l.StoreLog(&raft.Log{Index: 8}),
		"DeleteRange": l.DeleteRange(7, 7),
		"GetLog":      l.GetLog(7, &raft.Log{}),
	} {
		if !errors.Is(err, raftlog.ErrClosed) {
			t.Errorf("%s of a closed log: %v", what, err)
		}
	}
	l = open1(t, c)
	is(t, l, 7, 7)
	if !l.IsMonotonic() {
		t.Error("Raft would leave gaps")
	}
	for what, bad := range map[string]raftlog.Config{
		"no cluster":         {Dir: dir},
		"a long cluster":     {Dir: dir, Cluster: strings.Repeat("x", 65)},
		"a large segment":    {Dir: dir, Cluster: cluster, Segment: 1<<30 + 1},
		"a negative segment": {Dir: dir, Cluster: cluster, Segment: -1},
	} {
		if _, err := raftlog.Open(bad); !errors.Is(err, raftlog.ErrLimit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	folder := t.TempDir()
	ok(t, os.Mkdir(filepath.Join(folder, "00000000000000000001.log"), 0o700))
	if _, err := raftlog.Open(raftlog.Config{Dir: folder, Cluster: cluster}); err == nil {
		t.Error("a folder was taken for a segment")
	}
	sparse := filepath.Join(t.TempDir(), "00000000000000000001.log")
	ok(t, os.WriteFile(sparse, nil, 0o600))
	ok(t, os.Truncate(sparse, 1<<31+1))
	if _, err := raftlog.Open(raftlog.Config{Dir: filepath.Dir(sparse), Cluster: cluster}); !errors.Is(err, raftlog.ErrDamaged) {
		t.Errorf("a file that no segment can be: %v", err)
	}
	long := raftlog.Config{Dir: t.TempDir(), Cluster: strings.Repeat("x", 64)}
	l = open1(t, long)
	ok(t, l.StoreLog(&raft.Log{Index: 1}))
	ok(t, l.Close())
	is(t, open1(t, long), 1, 1)
}

// What is refused changes nothing, and the log goes on.
func TestRefused(t *testing.T) {
	t.Parallel()
	l := open1(t, raftlog.Config{Dir: t.TempDir()})
	ok(t, l.StoreLogs(nil))
	ok(t, l.DeleteRange(0, 100))
	ok(t, l.StoreLogs([]*raft.Log{{Index: 10}, {Index: 11}, {Index: 12}}))
	size := l.Size()
	for what, c := range map[string]struct {
		logs []*raft.Log
		want error
	}{
		"a gap":              {[]*raft.Log{{Index: 14}}, raftlog.ErrGap},
		"one again":          {[]*raft.Log{{Index: 12}}, raftlog.ErrGap},
		"a gap within":       {[]*raft.Log{{Index: 13}, {Index: 15}}, raftlog.ErrGap},
		"much data":          {[]*raft.Log{{Index: 13}, {Index: 14, Data: make([]byte, raftlog.MaxData+1)}}, raftlog.ErrLimit},
		"many of extensions": {[]*raft.Log{{Index: 13, Extensions: make([]byte, raftlog.MaxExtensions+1)}}, raftlog.ErrLimit},
	} {
		if err := l.StoreLogs(c.logs); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := l.DeleteRange(11, 11); !errors.Is(err, raftlog.ErrMiddle) {
		t.Errorf("%v", err)
	}
	ok(t, l.DeleteRange(13, 99)) // as far as there are any: none
	ok(t, l.DeleteRange(1, 9))
	ok(t, l.DeleteRange(12, 11))
	is(t, l, 10, 12)
	if l.Size() != size {
		t.Errorf("%d bytes, not %d", l.Size(), size)
	}
	ok(t, l.StoreLog(&raft.Log{Index: 13}))
	ok(t, l.DeleteRange(0, 99))
	is(t, l, 0, 0)
	for _, index := range []uint64{0, 1 << 62} {
		if err := l.StoreLog(&raft.Log{Index: index}); !errors.Is(err, raftlog.ErrLimit) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	ok(t, l.StoreLog(&raft.Log{Index: 1<<62 - 1}))
}

// The largest entries, more of them at once than one batch takes.
func TestLargest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open1(t, raftlog.Config{Dir: dir, Segment: 6 << 20})
	var logs []*raft.Log
	m := model{may: map[uint64]*raft.Log{}}
	for i := range uint64(10) {
		data := []byte(strings.Repeat(string(rune('a'+i)), raftlog.MaxData))
		logs = append(logs, &raft.Log{Index: 100 + i, Data: data, Extensions: data[:raftlog.MaxExtensions]})
	}
	m.store(logs)
	m.stored(logs)
	ok(t, l.StoreLogs(logs))
	ok(t, m.check(l, true))
	ok(t, l.Close())
	r, err := raftlog.Inspect(dir, cluster)
	if err != nil || r.First != 100 || r.Last != 109 || r.Segments != 2 || r.Bytes < 10<<20 || r.Bytes > 13<<20 || r.Torn != 0 || r.Damage != nil {
		t.Errorf("%+v, %v", r, err)
	}
	l = open1(t, raftlog.Config{Dir: dir})
	ok(t, m.check(l, true))
	ok(t, l.DeleteRange(103, 109))
	ok(t, l.Close())
	m.last = 102
	ok(t, m.check(open1(t, raftlog.Config{Dir: dir}), true))
}

func TestSizeAndOldest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open1(t, raftlog.Config{Dir: dir, Segment: 64 << 10})
	begin := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for i := range uint64(100) {
		ok(t, l.StoreLog(&raft.Log{Index: i + 1, Data: make([]byte, 4<<10), AppendedAt: begin.Add(time.Duration(i) * time.Hour)}))
	}
	for _, first := range []uint64{1, 2, 31, 100} {
		ok(t, l.DeleteRange(1, first-1))
		if at, err := l.Oldest(); err != nil || !at.Equal(begin.Add(time.Duration(first-1)*time.Hour)) {
			t.Errorf("entry %d is of %v, %v", first, at, err)
		}
		var size int64
		entries, err := os.ReadDir(dir)
		ok(t, err)
		for _, e := range entries {
			info, err := e.Info()
			ok(t, err)
			size += info.Size()
		}
		kept := int64(101-first) * 4 << 10
		if l.Size() != size || size < kept || size > kept+140<<10 {
			t.Errorf("from %d on: %d bytes, the files have %d", first, l.Size(), size)
		}
	}
	before := l.Size()
	ok(t, l.DeleteRange(100, 100))
	if l.Size() != 0 || before == 0 {
		t.Errorf("%d bytes, then %d", before, l.Size())
	}
}

// Readers see every entry that was stored, whole, while others come and go.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	l := open1(t, raftlog.Config{Dir: t.TempDir(), Segment: 4 << 10})
	content := func(i uint64) string { return strings.Repeat(string(rune('a'+i%26)), int(i%300)) }
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				first, err1 := l.FirstIndex()
				last, err2 := l.LastIndex()
				if err := errors.Join(err1, err2); err != nil {
					t.Error(err)
					return
				}
				if last < first || first == 0 { // it was emptied between
					continue
				}
				var e raft.Log
				i := first + uint64(n)%(last-first+1)
				if err := l.GetLog(i, &e); err != nil && err != raft.ErrLogNotFound || err == nil && (e.Index != i || string(e.Data) != content(i)) {
					t.Errorf("entry %d is %+v, %v", i, e, err)
					return
				}
				_, err := l.Oldest()
				if err != nil || l.Size() < 0 {
					t.Error(err)
					return
				}
			}
		})
	}
	next := uint64(1)
	for n := range 200 {
		var logs []*raft.Log
		for range n%7 + 1 {
			logs = append(logs, &raft.Log{Index: next, Data: []byte(content(next))})
			next++
		}
		ok(t, l.StoreLogs(logs))
		first, _ := l.FirstIndex()
		switch {
		case n%50 == 49:
			ok(t, l.DeleteRange(first, next-1))
		case n%10 == 9:
			ok(t, l.DeleteRange(first, next-20))
		case n%5 == 4:
			ok(t, l.DeleteRange(next-3, next-1))
			next -= 3
		}
	}
	close(stop)
	all.Wait()
}
