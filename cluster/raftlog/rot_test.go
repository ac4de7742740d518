package raftlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

// filled is a log of some segments on a disk in memory, closed.
func filled(t testing.TB) (*session, *memory) {
	t.Helper()
	d := newMemory()
	s := newSession(raftlog.Config{Dir: "log", Cluster: cluster, Segment: 900, FS: d})
	s.open()
	for _, n := range []int{1, 4, 2, 6, 3, 1, 5, 2, 3} {
		s.store(n, 50)
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	if err := s.log.Close(); err != nil || len(d.names) < 3 {
		t.Fatal(len(d.names), err)
	}
	return s, d
}

// rotten is a copy of the disk with other bytes in a file.
func rotten(d *memory, name string, b []byte) *memory {
	to := d.copy()
	f := to.names[name]
	f.now, f.kept = b, b
	return to
}

func flipped(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1 << (at % 8)
	return b
}

// A byte that rots is found when the log is opened. In the last batch it cannot
// be told from one that a crash has torn: that batch is gone, and nothing else.
func TestRot(t *testing.T) {
	t.Parallel()
	s, d := filled(t)
	names := slices.Sorted(maps.Keys(d.names))
	last := names[len(names)-1]
	lastBatch := s.model.last - 3
	cut, found := 0, 0
	for _, name := range names {
		whole := d.names[name].now
		for at := range whole {
			s.config.FS = rotten(d, name, flipped(whole, at))
			l, err := raftlog.Open(s.config)
			if err != nil {
				found++
				if !errors.Is(err, raftlog.ErrDamaged) || !strings.Contains(err.Error(), name) {
					t.Fatalf("byte %d of %s: %v", at, name, err)
				}
				continue
			}
			cut++
			m := s.model
			if end, _ := l.LastIndex(); end == lastBatch {
				m.last = lastBatch
			}
			if err := m.check(l, true); err != nil || name != last {
				t.Fatalf("byte %d of %s: %v", at, name, err)
			}
			// What was cut can be stored again.
			if err := l.StoreLogs(s.entries(m.last+1, 2, 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d bytes were found, %d were in the last batch or after it", found, cut)
	if found == 0 || cut == 0 {
		t.Error("nothing was found, or nothing cut")
	}
}

// What rots under an open log is found when it is read.
func TestRotUnderAnOpenLog(t *testing.T) {
	t.Parallel()
	s, d := filled(t)
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		for at := range d.names[name].now {
			to := d.copy()
			s.config.FS = to
			l, err := raftlog.Open(s.config)
			if err != nil {
				t.Fatal(err)
			}
			f := to.names[name]
			if at >= len(f.now) { // zeros that Open has cut
				continue
			}
			f.now = flipped(f.now, at)
			wrong := 0
			for i := s.model.first; i <= s.model.last; i++ {
				var got raft.Log
				err := l.GetLog(i, &got)
				if err != nil && !errors.Is(err, raftlog.ErrDamaged) {
					t.Fatal(err)
				}
				if err != nil {
					wrong++
				} else if !same(&got, s.model.may[i]) {
					t.Fatalf("byte %d of %s: entry %d is %+v", at, name, i, got)
				}
			}
			if wrong > 1 {
				t.Fatalf("byte %d of %s: %d entries are lost", at, name, wrong)
			}
			// To write the kept entries again is to read them.
			if err := l.DeleteRange(s.model.last, s.model.last); err != nil && !errors.Is(err, raftlog.ErrDamaged) {
				t.Fatal(err)
			}
		}
	}
}

// A file that another has written over, with sums that fit.
func TestAnotherEntryInAPlace(t *testing.T) {
	t.Parallel()
	s, d := filled(t)
	s.config.FS = d
	l, err := raftlog.Open(s.config)
	ok(t, err)
	f := d.names["00000000000000000001.log"]
	f.now = slices.Clone(f.now)
	f.now[512+32+23] = 2 // the index
	fixSums(f.now)
	if err := l.GetLog(1, &raft.Log{}); !errors.Is(err, raftlog.ErrDamaged) {
		t.Errorf("%v", err)
	}
	ok(t, l.GetLog(2, &raft.Log{}))
}

// Whole files and pieces that are lost, changed for others, or of other times.
func TestFilesAreWrong(t *testing.T) {
	t.Parallel()
	s, d := filled(t)
	names := slices.Sorted(maps.Keys(d.names))
	first, second, last := names[0], names[1], names[len(names)-1]
	bytesOf := func(name string) []byte { return d.names[name].now }
	other, otherDisk := filled(t) // the same entries, in files of other salts
	remove := func(name string) *memory {
		to := d.copy()
		delete(to.names, name)
		return to
	}
	named := func(from, as string) *memory {
		to := d.copy()
		to.names[as] = to.names[from]
		delete(to.names, from)
		return to
	}
	with := func(name string) *memory {
		to := d.copy()
		to.names[name] = &inode{now: []byte("half")}
		return to
	}
	end := (len(bytes.TrimRight(bytesOf(last), "\x00")) + 7) / 8 * 8
	format2 := slices.Clone(bytesOf(second))
	format2[11] = 2
	fixHeader(format2)
	lies := func(at int, b byte) *memory {
		whole := slices.Clone(bytesOf(second))
		whole[at] = b
		fixSums(whole)
		return rotten(d, second, whole)
	}
	for what, c := range map[string]struct {
		disk *memory
		want error
		last uint64 // where it is opened; 0: nothing is lost
	}{
		"a segment is lost":              {remove(second), raftlog.ErrDamaged, 0},
		"it has another's name":          {named(last, "00000000000000009999.log"), raftlog.ErrDamaged, 0},
		"a name of no segment":           {named(last, "9999.log"), raftlog.ErrDamaged, 0},
		"a name beyond all indexes":      {named(last, "18446744073709551615.log"), raftlog.ErrDamaged, 0},
		"another's content":              {rotten(d, second, bytesOf(first)), raftlog.ErrDamaged, 0},
		"it is empty":                    {rotten(d, second, nil), raftlog.ErrDamaged, 0},
		"the last is empty":              {rotten(d, last, nil), raftlog.ErrDamaged, 0},
		"it is zeros":                    {rotten(d, last, make([]byte, 900)), raftlog.ErrDamaged, 0},
		"it lacks its end":               {rotten(d, second, bytesOf(second)[:700]), raftlog.ErrDamaged, 0},
		"a sector is lost":               {rotten(d, last, slices.Concat(bytesOf(last)[:512], make([]byte, 128), bytesOf(last)[640:])), raftlog.ErrDamaged, 0},
		"another time's file":            {rotten(d, last, slices.Concat(bytesOf(last)[:512], otherDisk.names[last].now[512:])), nil, base(last) - 1},
		"more after it":                  {rotten(d, last, append(slices.Clone(bytesOf(last)), bytes.Repeat([]byte("x"), 5<<20)...)), raftlog.ErrDamaged, 0},
		"a batch twice":                  {rotten(d, last, append(bytesOf(last)[:end:end], bytesOf(last)[512:end-64]...)), nil, 0},
		"a batch of another index":       {lies(512+23, 9), raftlog.ErrDamaged, 0},
		"a count that is too small":      {lies(512+15, 1), raftlog.ErrDamaged, 0},
		"an entry of another index":      {lies(512+32+23, 9), raftlog.ErrDamaged, 0},
		"an entry of no type":            {lies(512+32+14, 1), raftlog.ErrDamaged, 0},
		"a second with more than it has": {lies(512+32+40, 0xff), raftlog.ErrDamaged, 0},
		"a header with more in it":       {lies(200, 1), raftlog.ErrDamaged, 0},
		"a header of another segment":    {lies(23, 99), raftlog.ErrDamaged, 0},
		"more after an earlier one":      {rotten(d, second, append(slices.Clone(bytesOf(second)), 0, 0, 0, 1)), raftlog.ErrDamaged, 0},
		"a newer format":                 {rotten(d, second, format2), raftlog.ErrFormat, 0},
		"another file":                   {with("notes.txt"), nil, 0},
		"a file that got no name":        {with(last + ".new"), nil, 0},
		"a file that got no name before": {with("00000000000000000777.log.new"), nil, 0},
	} {
		s.config.FS = c.disk
		l, err := raftlog.Open(s.config)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if l == nil {
			continue
		}
		if c.last == 0 {
			c.last = s.model.last
		}
		is(t, l, 1, c.last)
		for i := s.model.first; i <= s.model.last; i++ {
			var got raft.Log
			if err := l.GetLog(i, &got); err == nil && !same(&got, s.model.may[i]) {
				t.Errorf("%s: entry %d is %+v", what, i, got)
			}
		}
		for name := range c.disk.names {
			if strings.HasSuffix(name, ".new") {
				t.Errorf("%s: %s is there", what, name)
			}
		}
	}
	other.config.Cluster, other.config.FS = "clu_other", otherDisk
	if _, err := raftlog.Open(other.config); !errors.Is(err, raftlog.ErrCluster) {
		t.Errorf("%v", err)
	}
}

// Inspect says what Open would find, and changes nothing.
func TestInspect(t *testing.T) {
	t.Parallel()
	s, d := filled(t)
	names := slices.Sorted(maps.Keys(d.names))
	last := names[len(names)-1]
	put := func(d *memory) (dir string, size int64) {
		dir = t.TempDir()
		for name, f := range d.names {
			size += int64(len(f.now))
			if err := os.WriteFile(filepath.Join(dir, name), f.now, 0o400); err != nil {
				t.Fatal(err)
			}
		}
		return dir, size
	}
	whole := d.names[last].now
	end := len(bytes.TrimRight(whole, "\x00"))
	for what, c := range map[string]struct {
		disk    *memory
		cluster string
		last    uint64
		torn    bool
		damage  error
	}{
		"whole":           {disk: d, last: s.model.last},
		"torn":            {disk: rotten(d, last, flipped(whole, end-20)), last: s.model.last - 3, torn: true},
		"damaged":         {disk: rotten(d, names[1], flipped(d.names[names[1]].now, 600)), last: base(names[1]) - 1, damage: raftlog.ErrDamaged},
		"another cluster": {disk: d, cluster: "clu_other", damage: raftlog.ErrCluster},
	} {
		dir, size := put(c.disk)
		before := fmt.Sprint(os.ReadDir(dir))
		if c.cluster == "" {
			c.cluster = cluster
		}
		r, err := raftlog.Inspect(dir, c.cluster)
		want := raftlog.Report{First: min(c.last, 1), Last: c.last, Segments: len(names), Bytes: size, Torn: r.Torn, Damage: r.Damage}
		if err != nil || r != want || (r.Torn > 0) != c.torn || !errors.Is(r.Damage, c.damage) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
		if after := fmt.Sprint(os.ReadDir(dir)); after != before {
			t.Errorf("%s: %s is now %s", what, before, after)
		}
	}
	if _, err := raftlog.Inspect(filepath.Join(t.TempDir(), "none"), cluster); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := raftlog.Inspect(t.TempDir(), ""); !errors.Is(err, raftlog.ErrLimit) {
		t.Errorf("%v", err)
	}
	if r, err := raftlog.Inspect(t.TempDir(), cluster); err != nil || r != (raftlog.Report{}) {
		t.Errorf("%+v, %v", r, err)
	}
}

func base(name string) (index uint64) {
	_, _ = fmt.Sscanf(name, "%d.log", &index)
	return index
}
