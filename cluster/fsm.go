package cluster

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"gatehouse/store/state"
)

// fsm hands Raft's entries to the state.
type fsm struct {
	state *state.State
	stop  func(error)
}

var _ raft.BatchingFSM = (*fsm)(nil)

// ApplyBatch applies commands and gives their answers. It does not return from
// a broken promise.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	entries, place := make([]state.Entry, 0, len(logs)), make([]int, 0, len(logs))
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			entries, place = append(entries, state.Entry{Index: l.Index, Term: l.Term, Data: l.Data}), append(place, i)
		}
	}
	answers, err := f.state.Apply(entries)
	if err != nil {
		f.stop(err)
	}
	out := make([]any, len(logs))
	for i, a := range answers {
		if a != nil {
			out[place[i]] = a
		}
	}
	return out
}

func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// Snapshot commits the state: Raft may then forget the entries that it holds.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.state.Commit(); err != nil {
		f.stop(fmt.Errorf("%w: %w", ErrDisk, err))
	}
	index, hash := f.state.Applied()
	return snapshot(append(binary.BigEndian.AppendUint64(nil, index), hash[:]...)), nil
}

// Restore would replace the state by another node's; there is none.
func (f *fsm) Restore(r io.ReadCloser) error {
	r.Close()
	return fmt.Errorf("%w: a snapshot was sent to a cluster of one node", ErrHistory)
}

// snapshot is the index and hash of the state, which is durable by itself.
type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (s snapshot) Release() {}

// newest snapshot: where Raft says that it ends, and the index and hash of the
// state that it stands for; zero where there is none.
func newest(store raft.SnapshotStore) (end, index uint64, hash [32]byte, err error) {
	all, err := store.List()
	if err != nil || len(all) == 0 {
		return 0, 0, hash, err
	}
	_, r, err := store.Open(all[0].ID)
	if err != nil {
		return 0, 0, hash, err
	}
	defer r.Close()
	var b [40]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, 0, hash, fmt.Errorf("%w: the snapshot %s is damaged: %v", ErrHistory, all[0].ID, err)
	}
	return all[0].Index, binary.BigEndian.Uint64(b[:]), [32]byte(b[8:]), nil
}

// latch stops the node at the first write that fails: what the disk holds is
// unknown from then on, and a second fsync would lie.
type latch struct {
	raft.LogStore
	raft.StableStore
	stop func(error)
}

func (l *latch) check(what string, err error) error {
	if err != nil {
		l.stop(fmt.Errorf("%w: %s: %w", ErrDisk, what, err))
	}
	return nil
}

func (l *latch) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

func (l *latch) StoreLogs(es []*raft.Log) error {
	return l.check("writing the log", l.LogStore.StoreLogs(es))
}

func (l *latch) DeleteRange(from, to uint64) error {
	return l.check("shortening the log", l.LogStore.DeleteRange(from, to))
}

func (l *latch) Set(k, v []byte) error { return l.check("writing the vote", l.StableStore.Set(k, v)) }

func (l *latch) SetUint64(k []byte, v uint64) error {
	return l.check("writing the term", l.StableStore.SetUint64(k, v))
}
