package raftlog_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

var update = flag.Bool("update", false, "write what a new format's golden files must hold; those of a published one stay as they are")

const golden = "testdata/format1"

// goldenLog writes the log of the golden files.
func goldenLog(t *testing.T, dir string) (want []*raft.Log) {
	t.Helper()
	l, err := raftlog.Open(raftlog.Config{Dir: dir, Cluster: "clu_golden", Segment: 800, Rand: strings.NewReader("salt of1salt of2salt of3salt of4")})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.FixedZone("somewhere", 3600))
	want = []*raft.Log{
		{Index: 41, Term: 3, Type: raft.LogConfiguration, Data: []byte("members"), AppendedAt: at},
		{Index: 42, Term: 3, Type: raft.LogNoop},
		{Index: 43, Term: 4, Type: raft.LogCommand, Data: []byte("a command"), Extensions: []byte("extensions"), AppendedAt: at.Add(time.Hour)},
		{Index: 44, Term: 4, Type: raft.LogBarrier, AppendedAt: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
		{Index: 45, Term: 1 << 40, Type: 255, Data: bytes.Repeat([]byte("x"), 200), AppendedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Index: 46, Term: 1 << 40, Data: []byte("in the second file")},
	}
	gone := &raft.Log{Index: 46, Term: 9, Data: []byte("is deleted")}
	for _, err := range []error{l.StoreLogs(want[:2]), l.StoreLogs([]*raft.Log{want[2], want[3], want[4], gone}), l.DeleteRange(46, 46), l.StoreLog(want[5]), l.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// What was written once is read for ever, and is what FORMAT.md says.
func TestGolden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := goldenLog(t, dir)
	if *update {
		ok(t, os.RemoveAll(golden))
		ok(t, os.CopyFS(golden, os.DirFS(dir)))
	}
	names, err := filepath.Glob(dir + "/*")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	var got []*raft.Log
	for _, name := range names {
		made, err1 := os.ReadFile(name)
		kept, err2 := os.ReadFile(filepath.Join(golden, filepath.Base(name)))
		if err1 != nil || err2 != nil || !bytes.Equal(made, kept) {
			t.Errorf("%s is not what it was: %v, %v", filepath.Base(name), err1, err2)
		}
		logs, err := read(filepath.Base(name), kept, "clu_golden")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got = append(got, logs...)
	}
	copied := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(copied, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	l, err := raftlog.Open(raftlog.Config{Dir: copied, Cluster: "clu_golden"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := model{first: 41, last: 46, may: map[uint64]*raft.Log{}}
	m.store(want)
	if err := m.check(l, true); err != nil {
		t.Error(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries", len(got))
	}
	for i := range want {
		if !same(got[i], want[i]) {
			t.Errorf("entry %d is %+v", want[i].Index, got[i])
		}
	}
}

// What follows reads a file as FORMAT.md says, by itself.

func crc(salt, at uint64, b []byte) uint32 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_ = binary.Write(h, binary.BigEndian, []uint64{salt, at})
	h.Write(b)
	return h.Sum32()
}

func fixHeader(b []byte) {
	binary.BigEndian.PutUint32(b[508:], crc32.Checksum(b[:508], crc32.MakeTable(crc32.Castagnoli)))
}

func read(name string, b []byte, cluster string) (logs []*raft.Log, err error) {
	u32 := func(at int) int { return int(binary.BigEndian.Uint32(b[at:])) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	sum := bytes.Clone(b[:512])
	fixHeader(sum)
	if name != fmt.Sprintf("%020d.log", u64(16)) || string(b[:8]) != "GHRAFTLG" || u32(8) != 1 || string(b[33:33+b[32]]) != cluster || !bytes.Equal(sum, b[:512]) {
		return nil, fmt.Errorf("the header %x", b[:512])
	}
	salt, base := u64(24), u64(16)
	at := 512
	for at < len(b) && string(b[at:at+4]) == "GHRB" {
		length, count, first := u32(at+8), u32(at+12), u64(at+16)
		if first < base || first > base+uint64(len(logs)) || u32(at+4) != int(crc(salt, uint64(at), b[at+8:at+32])) || u32(at+24) != int(crc(salt, uint64(at), b[at+32:at+length])) {
			return nil, fmt.Errorf("the batch at %d", at)
		}
		logs = logs[:first-base]
		e := at + 32
		for range count {
			data, end := e+44, e+44+u32(e+4)+u32(e+8)
			if u32(e) != int(crc(salt, uint64(e), b[e+4:end])) || u64(e+16) != base+uint64(len(logs)) {
				return nil, fmt.Errorf("the entry at %d", e)
			}
			logs = append(logs, &raft.Log{Index: u64(e + 16), Term: u64(e + 24), Type: raft.LogType(u32(e + 12)), Data: b[data : data+u32(e+4)],
				Extensions: b[data+u32(e+4) : end], AppendedAt: time.Unix(int64(u64(e+32)), int64(u32(e+40)))})
			e = end
		}
		at += length
	}
	if len(bytes.Trim(b[at:], "\x00")) > 0 {
		return nil, fmt.Errorf("bytes after the end at %d", at)
	}
	return logs, nil
}
