package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"gatehouse/cluster/raftlog"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/state"
)

// History is how far the files of a stopped node go. Of two nodes the one with
// the newer entry has everything that was ever agreed on, where that can be had
// at all.
type History struct {
	Term, Index uint64   // of the newest entry, whether it was agreed on or not
	Applied     uint64   // the newest one in the state, which was agreed on
	Voters      []string // by the newest configuration
}

// Newer says whether h has entries that o does not have.
func (h History) Newer(o History) bool {
	return h.Term > o.Term || h.Term == o.Term && h.Index > o.Index
}

// Recovery of a cluster whose majority is lost.
type Recovery struct {
	Voters []string // those that are left, by id
	// Commands of the node with the newest entries. It keeps all of them, also
	// those that nobody knows to be agreed on, and these follow before anything
	// else; it is asked for them once the state has all. Nil for another node: it
	// keeps what it knows to be agreed on, and gets the rest.
	Commands func(*state.State) ([]*command.Command, error)
	Keep     string // folder, on the same filesystem, that the files go to
}

// stopped is a node whose files are open, and nothing more.
type stopped struct {
	*Node
	term uint64 // that it has seen
	History
}

// openStopped reads the files of a node that does not run. Errors: ErrHistory,
// ErrRecovered.
func openStopped(c Config) (*stopped, error) {
	if HalfRecovered(c.Dir) {
		if err := os.Remove(c.Dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return nil, cmp.Or(os.Rename(ready(c.Dir), c.Dir), disk.SyncDir(filepath.Dir(c.Dir)), ErrRecovered)
	}
	var version uint64
	if err := c.State.View(func(v *state.View) error { version = v.Version(); return nil }); err != nil {
		return nil, err
	}
	if version < logVersion {
		return nil, fmt.Errorf("%w: the node was never one of several", ErrHistory)
	}
	log, err := openFiles(c, Again)
	if err != nil {
		return nil, err
	}
	s := &stopped{Node: newNode(c, log)}
	if err := s.read(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return s, nil
}

// HalfRecovered says whether a crash has cut a recovery off at its very end:
// there is no log, and a new one waits beside. The next Recover puts it in place.
func HalfRecovered(dir string) bool { return !HasLog(dir) && exists(ready(dir)) }

// fresh is where the new files are made; ready, where they wait, whole.
func fresh(dir string) string { return dir + ".new" }
func ready(dir string) string { return dir + ".recovered" }

func (s *stopped) read() error {
	snapshots, err := openSnapshots(s.config.Dir, s.config.State, s.fsm, &logger{s.config.Log})
	if err != nil {
		return err
	}
	if err := s.checkHistory(s.store, snapshots); err != nil {
		return err
	}
	if s.term, err = s.store.GetUint64([]byte("CurrentTerm")); err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return err
	}
	all, err := snapshots.List()
	if err != nil {
		return err
	}
	if len(all) > 0 {
		s.Term, s.Index = all[0].Term, all[0].Index
		s.votes(all[0].Configuration)
	}
	first, err := s.store.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.store.LastIndex()
	if err != nil {
		return err
	}
	for i := max(first, s.Index+1); i <= last; i++ {
		var e raft.Log
		if err := s.store.GetLog(i, &e); err != nil {
			return err
		}
		if s.Term, s.Index = e.Term, e.Index; e.Type == raft.LogConfiguration {
			s.votes(raft.DecodeConfiguration(e.Data))
		}
	}
	if s.Index == 0 {
		return fmt.Errorf("%w: the log is empty", ErrHistory)
	}
	s.Applied, _ = s.config.State.Applied()
	return nil
}

// votes has this configuration.
func (s *stopped) votes(c raft.Configuration) {
	s.Voters = nil
	for _, v := range c.Servers {
		if v.Suffrage == raft.Voter {
			s.Voters = append(s.Voters, string(v.ID))
		}
	}
}

// ReadHistory of a stopped node. Errors: ErrHistory, ErrRecovered.
func ReadHistory(c Config) (History, error) {
	s, err := openStopped(c)
	if err != nil {
		return History{}, err
	}
	return s.History, s.store.Close()
}

// Recover gives a stopped node a new beginning, as one of Recovery.Voters: by
// hand, after a majority was lost, and on each of them. What was agreed on by the
// lost ones alone is lost; what this one has and nobody agreed on may now be.
//
// All is made beside what is there, the state too. Then the old files of Raft go to
// Keep, and the new ones to their place: a crash before the first of these renames
// leaves the node as it was, one between them HalfRecovered. The state is put in
// its place where the node is opened next, as one that another node has sent.
func Recover(c Config, r Recovery) error {
	s, err := openStopped(c)
	if err != nil {
		return err
	}
	err = s.prepare(r)
	if err = errors.Join(err, s.store.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(fresh(s.config.Dir)), os.RemoveAll(ready(c.Dir)), os.RemoveAll(next(c.State)))
	}
	if err := os.Rename(c.Dir, filepath.Join(r.Keep, filepath.Base(c.Dir))); err != nil {
		return err
	}
	if err := os.Rename(ready(c.Dir), c.Dir); err != nil {
		return err
	}
	return errors.Join(disk.SyncDir(r.Keep), disk.SyncDir(filepath.Dir(c.Dir)))
}

// prepare the new files.
func (s *stopped) prepare(r Recovery) error {
	if err := errors.Join(os.RemoveAll(fresh(s.config.Dir)), os.RemoveAll(ready(s.config.Dir)), os.RemoveAll(next(s.config.State))); err != nil {
		return err
	}
	if err := disk.MkdirAll(fresh(s.config.Dir)); err != nil {
		return err
	}
	if err := s.config.State.Commit(); err != nil {
		return err
	}
	var err error
	if r.Commands == nil {
		kept := filepath.Join(r.Keep, filepath.Base(s.config.State.Path()))
		if err := disk.CopyFile(s.config.State.Path(), kept, 0o600); err != nil { // this node goes on with it
			return err
		}
		index, term := s.config.State.AppliedAt()
		err = s.begin(s.config.State, index, term, s.term, r.Voters)
	} else {
		err = s.goOn(r)
	}
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(fresh(s.config.Dir), ready(s.config.Dir)), disk.SyncDir(filepath.Dir(s.config.Dir)))
}

// goOn with all entries and the commands behind them, in a copy of the state.
// Their term nobody has seen: whoever has other entries there is not of this
// history, and nobody else wins an election.
func (s *stopped) goOn(r Recovery) error {
	if err := os.Link(s.config.State.Path(), filepath.Join(r.Keep, filepath.Base(s.config.State.Path()))); err != nil {
		return err
	}
	if err := disk.CopyFile(s.config.State.Path(), next(s.config.State), 0o600); err != nil {
		return err
	}
	st, err := state.Open(next(s.config.State), false)
	if err != nil {
		return err
	}
	index, term := s.Index, max(s.term, s.Term)+1
	err = s.replay(st)
	if err == nil {
		index, err = apply(st, index, term, r.Commands)
	}
	if err == nil {
		err = st.Commit()
	}
	if err == nil {
		err = s.begin(st, index, term, term, r.Voters)
	}
	return errors.Join(err, st.Close())
}

// replay the entries that the state does not have.
func (s *stopped) replay(st *state.State) error {
	first, err := s.store.FirstIndex()
	if err != nil {
		return err
	}
	for i := max(first, s.Applied+1); i <= s.Index; {
		var batch []state.Entry
		for ; i <= s.Index && len(batch) < maxBatch; i++ {
			var e raft.Log
			if err := s.store.GetLog(i, &e); err != nil {
				return err
			}
			if e.Type == raft.LogCommand {
				batch = append(batch, state.Entry{Index: e.Index, Term: e.Term, Data: e.Data})
			}
		}
		if _, err := st.Apply(batch); err != nil {
			return err
		}
	}
	return nil
}

// apply commands behind an entry, none of which may be refused.
func apply(st *state.State, index, term uint64, commands func(*state.State) ([]*command.Command, error)) (uint64, error) {
	all, err := commands(st)
	if err != nil {
		return 0, err
	}
	for _, c := range all {
		b, err := command.Encode(c)
		if err != nil {
			return 0, err
		}
		index++
		answers, err := st.Apply([]state.Entry{{Index: index, Term: term, Data: b}})
		if err != nil {
			return 0, err
		}
		if a := answers[0]; a.Refusal != "" {
			return 0, fmt.Errorf("%w: %v is refused: %s", ErrHistory, c.Type, a.Refusal)
		}
	}
	return index, nil
}

// begin with a snapshot of the state that says who votes, and an empty log. It
// stands for the state as one that was sent does: no log needs to lead up to it.
func (s *stopped) begin(st *state.State, index, term, seen uint64, voters []string) error {
	dir := fresh(s.config.Dir)
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, &logger{s.config.Log})
	if err != nil {
		return err
	}
	var who raft.Configuration
	for _, id := range voters {
		who.Servers = append(who.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	_, addresses := raft.NewInmemTransport("") // it writes them down as they are
	sink, err := store.Create(raft.SnapshotVersionMax, index, term, who, index, addresses)
	if err != nil {
		return err
	}
	applied, hash := st.Applied()
	if err := snapshot(append(encodeSnapshot(applied, hash), sentMark)).Persist(sink); err != nil {
		return err
	}
	log, err := raftlog.Open(raftlog.Config{Dir: filepath.Join(dir, logDir), Cluster: s.config.Cluster, Create: true})
	if err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	vote := filepath.Join(dir, voteFile)
	if err := makeBolt(vote, s.store); err != nil {
		return err
	}
	b, err := openBolt(vote)
	if err != nil {
		return err
	}
	return errors.Join(b.SetUint64([]byte("CurrentTerm"), seen), b.Close(), disk.SyncDir(dir))
}
