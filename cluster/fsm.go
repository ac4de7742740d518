package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// fsm hands Raft's entries to the state.
type fsm struct {
	state    *state.State
	stop     func(error)
	applied  func([]*command.Answer)
	replaced func()
	writes   *underWay

	mu      sync.Mutex
	moved   chan struct{} // closed when more is applied
	configs []configured  // the last that were committed, in order
}

// configured is who was a member from an entry on.
type configured struct {
	index  uint64
	config raft.Configuration
}

var (
	_ raft.BatchingFSM        = (*fsm)(nil)
	_ raft.ConfigurationStore = (*fsm)(nil)
)

func newFSM(c Config, stop func(error), writes *underWay) *fsm {
	f := &fsm{state: c.State, stop: stop, applied: c.Applied, replaced: c.Replaced, writes: writes, moved: make(chan struct{})}
	if f.applied == nil {
		f.applied = func([]*command.Answer) {}
	}
	if f.replaced == nil {
		f.replaced = func() {}
	}
	return f
}

// ApplyBatch applies commands and gives their answers. It does not return from
// a broken promise.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	entries, place := make([]state.Entry, 0, len(logs)), make([]int, 0, len(logs))
	for i, l := range logs {
		switch l.Type {
		case raft.LogCommand:
			entries, place = append(entries, state.Entry{Index: l.Index, Term: l.Term, Data: l.Data}), append(place, i)
		case raft.LogConfiguration:
			f.StoreConfiguration(l.Index, raft.DecodeConfiguration(l.Data))
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
	f.progress()
	f.applied(answers)
	return out
}

// progress wakes those who wait for an entry.
func (f *fsm) progress() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.moved)
	f.moved = make(chan struct{})
}

// await an entry of the state.
func (f *fsm) await(ctx context.Context, ended <-chan struct{}, index uint64) error {
	for {
		f.mu.Lock()
		moved := f.moved
		f.mu.Unlock()
		if applied, _ := f.state.Applied(); applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return errStopped
		}
	}
}

// configsKept are enough for the entries that are in flight while a copy of the
// state is read: changes of members are seconds apart.
const configsKept = 16

// StoreConfiguration remembers who was a member when.
func (f *fsm) StoreConfiguration(index uint64, c raft.Configuration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.configs = append(f.configs, configured{index, c})
	if n := len(f.configs); n > configsKept {
		f.configs = f.configs[n-configsKept:]
	}
}

// configuration at an entry; false where it was not seen since the start.
func (f *fsm) configuration(index uint64) (configured, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.configs) - 1; i >= 0; i-- {
		if f.configs[i].index <= index {
			return f.configs[i], true
		}
	}
	return configured{}, false
}

func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// latch stops the node at the first write that fails: what the disk holds is
// unknown from then on, and a second fsync would lie.
type latch struct {
	raft.LogStore
	raft.StableStore
	stop   func(error)
	writes *underWay
}

// IsMonotonic says whether the log refuses gaps; Raft then empties it before it
// goes on behind a snapshot that was sent.
func (l *latch) IsMonotonic() bool {
	m, ok := l.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (l *latch) check(what string, err error) error {
	if err != nil {
		l.stop(fmt.Errorf("%w: %s: %w", ErrDisk, what, err))
	}
	return nil
}

func (l *latch) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

func (l *latch) StoreLogs(es []*raft.Log) error {
	l.writes.begin(&l.writes.log)
	err := l.LogStore.StoreLogs(es)
	l.writes.end(&l.writes.log)
	return l.check("writing the log", err)
}

func (l *latch) DeleteRange(from, to uint64) error {
	return l.check("shortening the log", l.LogStore.DeleteRange(from, to))
}

func (l *latch) Set(k, v []byte) error {
	l.writes.begin(&l.writes.vote)
	err := l.StableStore.Set(k, v)
	l.writes.end(&l.writes.vote)
	return l.check("writing the vote", err)
}

func (l *latch) SetUint64(k []byte, v uint64) error {
	l.writes.begin(&l.writes.vote)
	err := l.StableStore.SetUint64(k, v)
	l.writes.end(&l.writes.vote)
	return l.check("writing the term", err)
}
