package raftlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"gatehouse/cluster/raftlog"
)

const cluster = "clu_test"

// model is what a log must hold, from first to last, and all that it may: what is
// being stored or deleted, and what was deleted but shares a file.
type model struct {
	first, last uint64 // 0: it may be empty
	may         map[uint64]*raft.Log
}

func (m *model) store(logs []*raft.Log) {
	for _, e := range logs {
		m.may[e.Index] = e
	}
}

func (m *model) stored(logs []*raft.Log) {
	if m.first == 0 {
		m.first = logs[0].Index
	}
	m.last = logs[len(logs)-1].Index
}

func (m *model) delete(from, to uint64) {
	switch {
	case from > m.first:
		m.last = from - 1
	case to < m.last:
		m.first = to + 1
	default:
		m.first, m.last = 0, 0
	}
}

func (m *model) deleted(from uint64) {
	for i := range m.may {
		if m.first == 0 || from > m.first && i >= from {
			delete(m.may, i)
		}
	}
}

// check gives what is wrong with a log after a crash, or with exact at any time.
func (m *model) check(l *raftlog.Log, exact bool) error {
	first, err1 := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if exact && (first != m.first || last != m.last) || m.first > 0 && (first > m.first || last < m.last) || first > last || first == 0 && last > 0 {
		return fmt.Errorf("it holds %d to %d, not %d to %d", first, last, m.first, m.last)
	}
	for i := first; i > 0 && i <= last; i++ {
		var got raft.Log
		if err := l.GetLog(i, &got); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if m.may[i] == nil || !same(&got, m.may[i]) {
			return fmt.Errorf("entry %d is %+v, not %+v", i, got, m.may[i])
		}
	}
	for _, i := range []uint64{0, first - 1, last + 1} {
		var got raft.Log
		if err := l.GetLog(i, &got); first > 0 && err != raft.ErrLogNotFound {
			return fmt.Errorf("entry %d of %d to %d: %v", i, first, last, err)
		}
	}
	return nil
}

func same(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data) &&
		bytes.Equal(a.Extensions, b.Extensions) && a.AppendedAt.Equal(b.AppendedAt)
}

// session changes a log and its model until an error comes.
type session struct {
	config raftlog.Config
	log    *raftlog.Log
	model  model
	rand   *rand.Rand
	term   uint64
	err    error
	done   func() // a call has returned
}

func newSession(c raftlog.Config) *session {
	return &session{config: c, model: model{may: map[uint64]*raft.Log{}}, rand: rand.New(rand.NewPCG(1, 2)), term: 1, done: func() {}}
}

func (s *session) open() {
	if s.err != nil {
		return
	}
	if s.log != nil {
		if s.err = s.log.Close(); s.err != nil {
			return
		}
	}
	if s.log, s.err = raftlog.Open(s.config); s.err != nil {
		return
	}
	if s.err = s.model.check(s.log, false); s.err != nil {
		return
	}
	s.model.first, _ = s.log.FirstIndex() // older ones may be there again
	s.model.last, _ = s.log.LastIndex()
	s.done()
}

// entries from index on, with data of up to size bytes.
func (s *session) entries(index uint64, n, size int) []*raft.Log {
	logs := make([]*raft.Log, n)
	for i := range logs {
		e := &raft.Log{Index: index + uint64(i), Term: s.term, Type: raft.LogType(s.rand.IntN(6)), Data: make([]byte, s.rand.IntN(size+1))}
		for j := range e.Data {
			e.Data[j] = byte(s.rand.Uint32())
		}
		if s.rand.IntN(4) == 0 {
			e.Extensions = fmt.Appendf(nil, "extension of %d", e.Index)
		}
		if s.rand.IntN(4) > 0 {
			e.AppendedAt = time.Unix(1700000000+int64(e.Index), int64(s.rand.IntN(1e9)))
		}
		logs[i] = e
	}
	return logs
}

// storeAt begins an empty log at an index.
func (s *session) storeAt(index uint64, n, size int) {
	if s.err != nil {
		return
	}
	logs := s.entries(index, n, size)
	s.model.store(logs)
	if s.err = s.log.StoreLogs(logs); s.err == nil {
		s.model.stored(logs)
		s.done()
	}
}

func (s *session) store(n, size int) { s.storeAt(s.model.last+1, n, size) }

func (s *session) delete(from, to uint64) {
	if s.err != nil {
		return
	}
	s.model.delete(from, to)
	if s.err = s.log.DeleteRange(from, to); s.err == nil {
		s.model.deleted(from)
		s.done()
	}
}

func (s *session) deleteLast(n uint64) {
	s.delete(s.model.last-n+1, s.model.last)
	s.term++ // as another leader's entries replace them
}

func (s *session) deleteFirst(n uint64) { s.delete(s.model.first, s.model.first+n-1) }
func (s *session) deleteAll()           { s.delete(s.model.first, s.model.last) }

// script does everything that Raft does, over segments of 700 bytes.
func (s *session) script() {
	s.open()
	for _, n := range []int{1, 3, 2, 5, 1} {
		s.store(n, 60)
	}
	s.deleteLast(1) // a batch
	s.store(4, 60)
	s.deleteLast(2) // half a batch
	s.store(2, 100)
	s.store(1, 0)
	s.open()
	s.store(6, 90)
	s.deleteLast(7) // over a segment's start
	s.store(3, 50)
	s.store(3, 50)
	s.deleteFirst(2) // no whole segment
	s.store(8, 80)
	s.deleteFirst(9)
	s.deleteLast(3)
	s.open()
	s.store(5, 40)
	s.store(5, 40)
	s.store(1, 700) // a batch longer than a segment
	s.store(2, 30)
	s.deleteLast(2)
	s.store(2, 30)
	s.deleteFirst(12)
	s.deleteAll()
	s.storeAt(1000, 4, 60)
	s.deleteLast(2)
	s.store(9, 60)
	s.deleteAll()
	s.open()
	s.storeAt(2000, 1, 10)
	s.deleteAll()
	s.storeAt(3000, 3, 60)
	s.open()
	s.store(7, 60)
	s.deleteFirst(4)
	s.deleteLast(1)
	s.store(7, 60)
	s.deleteLast(10)
	for range 3 {
		s.store(6, 90)
	}
	s.deleteLast(16) // over several
	s.store(1, 10)
	s.open()
}

// What a log says is what a plain map says, on a real disk, whatever is done.
func TestLikeAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			s := newSession(raftlog.Config{Dir: t.TempDir(), Cluster: cluster, Segment: 1 << (9 + 2*seed)})
			s.rand = rand.New(rand.NewPCG(seed, 0))
			s.open()
			defer func() { s.log.Close() }()
			for range 250 {
				m := &s.model
				n := min(uint64(s.rand.IntN(12))+1, m.last-m.first)
				switch what := s.rand.IntN(20); {
				case m.first == 0:
					s.storeAt(m.last+1+s.rand.Uint64N(1000), 1+s.rand.IntN(5), 300)
				case what < 10:
					s.store(1+s.rand.IntN(10), 300)
				case what < 13 && n > 0:
					s.deleteLast(n)
				case what < 16 && n > 0:
					s.deleteFirst(n)
				case what == 16:
					s.deleteAll()
				default:
					s.open()
				}
				if s.err == nil {
					s.err = m.check(s.log, true)
				}
				if s.err != nil {
					t.Fatal(s.err)
				}
			}
		})
	}
}
