package raftlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"gatehouse/cluster/raftlog"
)

// kilobytes are n entries of 1 KiB from index on.
func kilobytes(logs []*raft.Log, index uint64) {
	for i := range logs {
		logs[i] = &raft.Log{Index: index + uint64(i), Term: 1, Data: make([]byte, 1024)}
		for j := range logs[i].Data {
			logs[i].Data[j] = byte(j)
		}
	}
}

// BenchmarkStoreLogs stores batches of entries of 1 KiB, beside the log that it
// replaces, and the least that any log must do: append the bytes and fdatasync. A
// batch is an op.
func BenchmarkStoreLogs(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		store := func(b *testing.B, l raft.LogStore) {
			logs := make([]*raft.Log, n)
			kilobytes(logs, 1)
			b.SetBytes(int64(n) << 10)
			for b.Loop() {
				ok(b, l.StoreLogs(logs))
				for _, e := range logs {
					e.Index += uint64(n)
				}
			}
		}
		b.Run(fmt.Sprintf("batch=%d/raftlog", n), func(b *testing.B) {
			store(b, open1(b, raftlog.Config{Dir: b.TempDir()}))
		})
		b.Run(fmt.Sprintf("batch=%d/raft-boltdb", n), func(b *testing.B) {
			l, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(b.TempDir(), "log.db"), // as the node opens it
				BoltOptions: &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30}})
			ok(b, err)
			defer l.Close()
			store(b, l)
		})
		plain := func(b *testing.B, size int64) {
			f, err := os.Create(filepath.Join(b.TempDir(), "log"))
			ok(b, err)
			defer f.Close()
			if size > 0 {
				_, err = f.Write(make([]byte, size))
				ok(b, err)
				ok(b, f.Sync())
			}
			bytes := make([]byte, n<<10)
			b.SetBytes(int64(n) << 10)
			at := int64(0)
			for b.Loop() {
				_, err := f.WriteAt(bytes, at)
				ok(b, err)
				ok(b, unix.Fdatasync(int(f.Fd())))
				if at += int64(len(bytes)); size > 0 && at+int64(len(bytes)) > size {
					at = 0
				}
			}
		}
		b.Run(fmt.Sprintf("batch=%d/append", n), func(b *testing.B) { plain(b, 0) })
		b.Run(fmt.Sprintf("batch=%d/overwrite", n), func(b *testing.B) { plain(b, 64<<20) })
	}
}

// full is a segment of 64 MiB, of entries of 1 KiB in batches of 16.
func full(b *testing.B) (dir string, l *raftlog.Log, last uint64) {
	dir = b.TempDir()
	l = open1(b, raftlog.Config{Dir: dir})
	logs := make([]*raft.Log, 16)
	for last < 60<<10 {
		kilobytes(logs, last+1)
		ok(b, l.StoreLogs(logs))
		last += uint64(len(logs))
	}
	return dir, l, last
}

func BenchmarkGetLog(b *testing.B) {
	_, l, last := full(b)
	var e raft.Log
	index := uint64(0)
	for b.Loop() {
		index = (index+7919)%last + 1
		ok(b, l.GetLog(index, &e))
	}
}

// BenchmarkDeleteLast deletes the last entry of a full segment, which is written
// again.
func BenchmarkDeleteLast(b *testing.B) {
	_, l, last := full(b)
	for b.Loop() {
		ok(b, l.DeleteRange(last, last))
		last--
	}
}

// BenchmarkOpen opens a full segment.
func BenchmarkOpen(b *testing.B) {
	dir, l, _ := full(b)
	for b.Loop() {
		ok(b, l.Close())
		l = open1(b, raftlog.Config{Dir: dir})
	}
}
