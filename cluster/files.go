package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"

	"gatehouse/cluster/raftlog"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// store is where Raft keeps its log, term and vote.
type store interface {
	raft.MonotonicLogStore
	raft.LogStore
	raft.StableStore
	io.Closer
}

// logVersion is the active version from which on the log is one of our own:
// before, an earlier release must be able to go on with it.
const logVersion = 2

// Names in the folder of Raft's files.
const (
	logDir   = "log"     // raftlog
	voteFile = "vote.db" // term and vote: a bbolt file
	oldLog   = "log.db"  // of version 1: both in one bbolt file
)

// HasLog says whether a folder has a log of Raft.
func HasLog(dir string) bool {
	return exists(filepath.Join(dir, logDir)) || exists(filepath.Join(dir, oldLog))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// separate is a log of our own, and term and vote beside it.
type separate struct {
	*raftlog.Log
	raft.StableStore
	vote io.Closer
}

func (s *separate) Close() error { return errors.Join(s.Log.Close(), s.vote.Close()) }

// together is all of it in one bbolt file, as of version 1.
type together struct{ *raftboltdb.BoltStore }

func (together) IsMonotonic() bool { return false }

// openFiles opens Raft's files, or makes them where the node begins. Those of
// version 1 are moved once the cluster has finalised a later one.
func openFiles(c Config, start Start) (store, error) {
	if err := dropUnfinished(c.Dir); err != nil {
		return nil, err
	}
	old, log, vote := filepath.Join(c.Dir, oldLog), filepath.Join(c.Dir, logDir), filepath.Join(c.Dir, voteFile)
	if exists(old) && !exists(log) {
		var version uint64
		if err := c.State.View(func(v *state.View) error { version = v.Version(); return nil }); err != nil {
			return nil, err
		}
		if version < logVersion {
			b, err := openBolt(old)
			if err != nil {
				return nil, err
			}
			return together{b}, nil
		}
		if err := move(c, old, log, vote); err != nil {
			return nil, fmt.Errorf("moving the log %s: %w", old, err)
		}
	}
	switch {
	case exists(old): // a crash came at the end of the move
		if err := errors.Join(os.Remove(old), disk.SyncDir(c.Dir)); err != nil {
			return nil, err
		}
	case exists(log) && !exists(vote):
		return nil, fmt.Errorf("%w: %s is missing: this node may have voted in a term that it does not know", ErrHistory, vote)
	case exists(log):
	case start == Again:
		return nil, fmt.Errorf("%w: the log %s is missing", ErrHistory, log)
	case !exists(vote):
		if err := makeBolt(vote, nil); err != nil {
			return nil, err
		}
	}
	return openSeparate(c, log, vote, !exists(log))
}

// dropUnfinished removes what a kill has left of snapshots in the making: Raft
// leaves it there and tells of it for ever.
func dropUnfinished(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp")) // of raft.FileSnapshotStore
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

func openSeparate(c Config, log, vote string, create bool) (store, error) {
	b, err := openBolt(vote)
	if err != nil {
		return nil, err
	}
	l, err := raftlog.Open(raftlog.Config{Dir: log, Cluster: c.Cluster, Create: create})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrHistory, err), b.Close())
	}
	return &separate{l, b, b}, nil
}

// moveAtOnce entries go from the one log to the other together.
const moveAtOnce = 512

// move a log of version 1 to one of our own. What a crash leaves is made anew,
// and the old one goes last.
func move(c Config, old, log, vote string) error {
	from, err := openBolt(old)
	if err != nil {
		return err
	}
	defer from.Close()
	temp := log + ".new"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	to, err := raftlog.Open(raftlog.Config{Dir: temp, Cluster: c.Cluster, Create: true})
	if err != nil {
		return err
	}
	err = copyLog(from, to)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := makeBolt(vote, from); err != nil {
		return err
	}
	return errors.Join(os.Rename(temp, log), disk.SyncDir(c.Dir))
}

func copyLog(from raft.LogStore, to *raftlog.Log) error {
	first, err := from.FirstIndex()
	if err != nil {
		return err
	}
	last, err := from.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	for i := first; i <= last; {
		var batch []*raft.Log
		for ; i <= last && len(batch) < moveAtOnce; i++ {
			e := new(raft.Log)
			if err := from.GetLog(i, e); err != nil {
				return err
			}
			batch = append(batch, e)
		}
		if err := to.StoreLogs(batch); err != nil {
			return err
		}
	}
	return nil
}

// makeBolt makes a file for term and vote, with those of another where there is
// one, in full, under another name first: a crash leaves none or a good one.
func makeBolt(path string, from raft.StableStore) error {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	b, err := newBolt(temp)
	if err != nil {
		return err
	}
	if from != nil {
		err = copyVote(from, b)
	}
	if err = errors.Join(err, b.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// copyVote copies what hashicorp/raft keeps in a stable store.
func copyVote(from, to raft.StableStore) error {
	for _, k := range []string{"CurrentTerm", "LastVoteTerm"} {
		v, err := from.GetUint64([]byte(k))
		if errors.Is(err, raftboltdb.ErrKeyNotFound) {
			continue
		}
		if err == nil {
			err = to.SetUint64([]byte(k), v)
		}
		if err != nil {
			return err
		}
	}
	v, err := from.Get([]byte("LastVoteCand"))
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return to.Set([]byte("LastVoteCand"), v)
}

// openBolt opens a bbolt file that is there, once every page of it was read: a
// damaged one would end the process.
func openBolt(path string) (*raftboltdb.BoltStore, error) {
	if err := state.Inspect(path); err != nil {
		return nil, fmt.Errorf("%w: %s is damaged: %v", ErrHistory, path, err)
	}
	return newBolt(path)
}

func newBolt(path string) (*raftboltdb.BoltStore, error) {
	b, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bolt.Options{
		NoFreelistSync: true, FreelistType: bolt.FreelistMapType, Timeout: time.Second, InitialMmapSize: 1 << 30}})
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot be opened: %v", ErrHistory, path, err)
	}
	return b, nil
}
