package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"

	"gatehouse/store/disk"
	"gatehouse/store/disk/killpoint"
	"gatehouse/store/state"
)

// A snapshot holds the index and the hash of the state, which is durable by
// itself. What is sent to another node begins with them and has the file behind
// it; a snapshot that came so ends with a mark.
const (
	snapshotSize = 40
	sentSize     = snapshotSize + 1
	sentMark     = 1

	sentMagic  = "GHSTATE1"
	sentHeader = len(sentMagic) + snapshotSize + 8 // and the file's size
)

// Snapshot commits the state: Raft may then forget the entries that it holds.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.state.Commit(); err != nil {
		f.stop(fmt.Errorf("%w: %w", ErrDisk, err))
	}
	index, hash := f.state.Applied()
	return snapshot(encodeSnapshot(index, hash)), nil
}

func encodeSnapshot(index uint64, hash [32]byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, index), hash[:]...)
}

func decodeSnapshot(b []byte) (index uint64, hash [32]byte) {
	return binary.BigEndian.Uint64(b), [32]byte(b[8:snapshotSize])
}

type snapshot []byte

func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s); err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (s snapshot) Release() {}

// Restore puts the file that was sent in the place of the state's. It does not
// return from a failure: Raft would go on with a state that is neither.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	killpoint.At(killpoint.StateDurable)
	if err := f.writes.replace(func() error { return f.state.Replace(next(f.state)) }); err != nil {
		f.stop(fmt.Errorf("the state that was sent cannot be put in place: %w", err))
	}
	f.progress()
	f.replaced()
	return nil
}

// next is where the state that was sent waits, examined; coming, where
// it is being written.
func next(s *state.State) string   { return s.Path() + ".next" }
func coming(s *state.State) string { return s.Path() + ".coming" }

// snapshots of Raft, and the state itself for a node that lags too far.
type snapshots struct {
	raft.SnapshotStore
	state *state.State
	fsm   *fsm

	mu   sync.Mutex
	came string // the snapshot that Restore asks for next
}

// openSnapshots finishes what a crash has interrupted: a state that was sent is
// put in place where its snapshot is durable, and dropped where it is not.
func openSnapshots(dir string, st *state.State, f *fsm, log *logger) (*snapshots, error) {
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, log)
	if err != nil {
		return nil, err
	}
	s := &snapshots{SnapshotStore: store, state: st, fsm: f}
	if err := os.Remove(coming(st)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if _, err := os.Stat(next(st)); errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	_, index, hash, sent, err := s.newest()
	if err != nil {
		return nil, err
	}
	has, of, err := st.Examine(next(st))
	if err == nil && sent && has == index && of == hash {
		return s, st.Replace(next(st))
	}
	return s, os.Remove(next(st))
}

// newest snapshot: where Raft says that it ends, the index and hash of the state
// that it stands for, and whether it was sent here; zero where there is none.
func (s *snapshots) newest() (end, index uint64, hash [32]byte, sent bool, err error) {
	all, err := s.List()
	if err != nil || len(all) == 0 {
		return 0, 0, hash, false, err
	}
	_, r, err := s.SnapshotStore.Open(all[0].ID)
	if err != nil {
		return 0, 0, hash, false, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, sentSize+1))
	if err != nil || len(b) != snapshotSize && len(b) != sentSize {
		return 0, 0, hash, false, fmt.Errorf("%w: the snapshot %s is damaged: %d bytes, %v", ErrHistory, all[0].ID, len(b), err)
	}
	index, hash = decodeSnapshot(b)
	return all[0].Index, index, hash, len(b) == sentSize, nil
}

// Open gives the snapshot that has just come, for Restore; else what Raft sends
// to a node that lags: the state as it stands, which is no older than the
// snapshot.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	restoring := s.came == id
	s.came = ""
	s.mu.Unlock()
	if restoring {
		return meta, r, nil
	}
	r.Close()
	c, err := s.state.Copy()
	if err != nil {
		return nil, nil, err
	}
	if c.Index > meta.Index {
		meta.Index, meta.Term = c.Index, c.Term
		if of, seen := s.fsm.configuration(c.Index); seen && of.index > meta.ConfigurationIndex {
			meta.Configuration, meta.ConfigurationIndex = of.config, of.index
		}
	}
	header := append([]byte(sentMagic), encodeSnapshot(c.Index, c.Hash)...)
	header = binary.BigEndian.AppendUint64(header, uint64(c.Size))
	meta.Size = int64(len(header)) + c.Size
	return meta, &sending{header, c, s.fsm.writes}, nil
}

// yielding lets the log and the state go first: what is being agreed on waits for the
// same disk and the same processors. While one of them is being written nothing is
// sent, for at most yieldMost; and where the log was within yieldAfter, nothing for
// three quarters as long again as the last piece took: at the worst 40 MB a second are
// sent, so that a new node catches up with a busy one. A node that is asked for nothing
// sends as fast as it can. What it costs others: make bench-scale.
type yielding struct {
	io.Writer
	writes *underWay
}

const (
	yieldMost  = 3 * time.Millisecond
	yieldAfter = 200 * time.Millisecond
	yieldLook  = 200 * time.Microsecond
)

func (y *yielding) Write(b []byte) (int, error) {
	for most := time.Now().Add(yieldMost); y.writes.log.Load()|y.writes.commit.Load() != 0 && time.Now().Before(most); {
		rest(yieldLook)
	}
	begun := time.Now()
	n, err := y.Writer.Write(b)
	if took := time.Since(begun); y.writes.since() < yieldAfter {
		rest(min(took*3/4, yieldMost))
	}
	return n, err
}

// rest as long as that: time.Sleep takes a millisecond at least where nothing else is
// to be done.
func rest(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // shorter where a signal comes
}

// sending is what another node gets: it holds pages of the state until it is closed.
type sending struct {
	header []byte
	copy   *state.Copy
	writes *underWay
}

// WriteTo is what Raft calls, by io.Copy, where there is one; Read would need a pipe, by
// which each piece is copied once more.
func (s *sending) WriteTo(w io.Writer) (int64, error) {
	if n, err := w.Write(s.header); err != nil {
		return int64(n), err
	}
	n, err := s.copy.WriteTo(&yielding{w, s.writes})
	return n + int64(len(s.header)), err
}

func (s *sending) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (s *sending) Close() error { return s.copy.Close() }

// Create begins a snapshot: one of this node, or one that is sent to it.
func (s *snapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, of uint64, t raft.Transport) (raft.SnapshotSink, error) {
	inner, err := s.SnapshotStore.Create(v, index, term, c, of, t)
	if err != nil {
		return nil, err
	}
	return &sink{SnapshotSink: inner, store: s}, nil
}

// sink tells by its first bytes what comes.
type sink struct {
	raft.SnapshotSink
	store *snapshots
	head  []byte
	file  *disk.Stream // of the state that comes
	size  int64        // that it will have
	n     int64
}

// takeAtOnce is read from the other node and written together: the system is
// called for it a thirtieth as often as by io.Copy.
const takeAtOnce = 1 << 20

// ReadFrom is what Raft calls.
func (k *sink) ReadFrom(r io.Reader) (n int64, err error) {
	b, least := make([]byte, takeAtOnce), 1 // the first bytes tell what comes
	for err == nil {
		var got int
		if got, err = io.ReadAtLeast(r, b, least); got > 0 {
			if _, err := k.Write(b[:got]); err != nil {
				return n, err
			}
			n, least = n+int64(got), len(b)
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func (k *sink) Write(b []byte) (int, error) {
	if k.file != nil {
		return k.take(b)
	}
	used := min(len(b), sentHeader-len(k.head))
	k.head = append(k.head, b[:used]...)
	if len(k.head) < sentHeader {
		return len(b), nil
	}
	if string(k.head[:len(sentMagic)]) != sentMagic {
		return 0, fmt.Errorf("%w: a snapshot of another form", ErrHistory)
	}
	k.size = int64(binary.BigEndian.Uint64(k.head[sentHeader-8:]))
	f, err := os.OpenFile(coming(k.store.state), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	k.file = disk.NewStream(f)
	n, err := k.take(b[used:])
	return used + n, err
}

func (k *sink) take(b []byte) (int, error) {
	if k.n+int64(len(b)) > k.size {
		return 0, fmt.Errorf("%w: more than the %d bytes that were announced", ErrHistory, k.size)
	}
	n, err := k.file.Write(b)
	k.n += int64(n)
	return n, err
}

// Close makes the snapshot durable: first the state, then what stands for it.
func (k *sink) Close() error {
	if k.file == nil { // of this node: it is shorter than a header
		if _, err := k.SnapshotSink.Write(k.head); err != nil {
			return errors.Join(err, k.SnapshotSink.Cancel())
		}
		return k.SnapshotSink.Close()
	}
	if err := k.keep(); err != nil {
		return errors.Join(err, k.Cancel())
	}
	if err := k.SnapshotSink.Close(); err != nil {
		return err
	}
	k.store.mu.Lock()
	k.store.came = k.ID()
	k.store.mu.Unlock()
	return nil
}

func (k *sink) keep() error {
	if k.n != k.size {
		return fmt.Errorf("%w: %d of %d bytes came", ErrHistory, k.n, k.size)
	}
	if err := errors.Join(k.file.Sync(), k.file.Close()); err != nil {
		return err
	}
	st := k.store.state
	index, hash := decodeSnapshot(k.head[len(sentMagic):])
	has, of, err := st.Examine(coming(st))
	if err != nil {
		return err
	}
	if has != index || of != hash {
		return fmt.Errorf("%w: the state that came is of entry %d, not %d", ErrHistory, has, index)
	}
	if err := os.Rename(coming(st), next(st)); err != nil {
		return err
	}
	if err := disk.SyncDir(filepath.Dir(next(st))); err != nil {
		return err
	}
	killpoint.At(killpoint.StateKept)
	_, err = k.SnapshotSink.Write(append(encodeSnapshot(index, hash), sentMark))
	return err
}

// Cancel leaves nothing behind.
func (k *sink) Cancel() error {
	if k.file != nil {
		k.file.Close()
		os.Remove(coming(k.store.state))
	}
	return k.SnapshotSink.Cancel()
}
