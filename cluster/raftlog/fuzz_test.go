package raftlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

// Whatever a file holds, Open gives a log that works, or one of its errors. With
// sums the sums are made to fit, so that what they protect is looked at as well.
func FuzzOpen(f *testing.F) {
	s, d := filled(f)
	names := slices.Sorted(maps.Keys(d.names))
	for _, name := range names {
		f.Add(d.names[name].now, false)
		f.Add(d.names[name].now, true)
	}
	first := d.names[names[0]].now
	for _, at := range []int{8, 16, 32, 512, 520, 527, 535, 543, 548, 552, 556, 567, 584, 700} { // a byte of each field
		f.Add(flipped(first, at), false)
		f.Add(flipped(first, at), true)
	}
	f.Add(first[:600], true)
	f.Add(bytes.Repeat(first, 3), true)
	f.Fuzz(func(t *testing.T, b []byte, sums bool) {
		b = bytes.Clone(b)
		if sums && len(b) >= 512 {
			fixSums(b)
		}
		to := newMemory()
		to.names["00000000000000000001.log"] = &inode{now: b, kept: b}
		config := s.config
		config.FS = to
		l, err := raftlog.Open(config)
		if err != nil {
			if !errors.Is(err, raftlog.ErrDamaged) && !errors.Is(err, raftlog.ErrFormat) && !errors.Is(err, raftlog.ErrCluster) {
				t.Fatal(err)
			}
			return
		}
		first, _ := l.FirstIndex()
		last, _ := l.LastIndex()
		if first > 1 || last > uint64(len(b))/44 {
			t.Fatalf("%d to %d in %d bytes", first, last, len(b))
		}
		shown := model{first: first, last: last, may: map[uint64]*raft.Log{}}
		for i := first; i > 0 && i <= last; i++ {
			var e raft.Log
			if err := l.GetLog(i, &e); err != nil {
				t.Fatal(err)
			}
			shown.may[i] = &e
		}
		logs := []*raft.Log{{Index: last + 1, Data: []byte("more")}, {Index: last + 2}}
		if err := l.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
		if err := l.DeleteRange(last+2, last+2); err != nil {
			t.Fatal(err)
		}
		shown.store(logs[:1])
		shown.stored(logs[:1])
		if l, err = raftlog.Open(config); err != nil {
			t.Fatal(err)
		}
		if err := shown.check(l, true); err != nil {
			t.Fatal(err)
		}
	})
}

// fixSums of the header, and of all batches and entries where lengths lead to.
func fixSums(b []byte) {
	fixHeader(b)
	salt := binary.BigEndian.Uint64(b[24:])
	for at := 512; at+32 <= len(b); {
		batch := b[at:]
		length := min(max(32, int(binary.BigEndian.Uint32(batch[8:]))), len(batch))
		for e := 32; e+44 <= length; {
			n := min(int(binary.BigEndian.Uint32(batch[e+4:]))+int(binary.BigEndian.Uint32(batch[e+8:]))+44, length-e)
			binary.BigEndian.PutUint32(batch[e:], crc(salt, uint64(at+e), batch[e+4:e+n]))
			e += n
		}
		binary.BigEndian.PutUint32(batch[24:], crc(salt, uint64(at), batch[32:length]))
		binary.BigEndian.PutUint32(batch[4:], crc(salt, uint64(at), batch[8:32]))
		at += length
	}
}
