package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/store/audit"
	"gatehouse/store/disk"
)

// maxMemory bytes in a state file: 64 logs whose checkpoints are as large as may
// be (their text doubles at worst in JSON), or 10,000 usual ones.
const maxMemory = 64 * 2 * audit.MaxCheckpoint

// Memory is what an auditor has verified last of each log. Who can change its
// file can make him accept another history: he keeps it where only he writes.
type Memory struct {
	heads map[string]Head
}

// Head of a log, as it was verified.
type Head struct {
	Size       int64     `json:"size"`
	Root       tlog.Hash `json:"root"`
	Checkpoint string    `json:"checkpoint"` // the whole note
	Seen       time.Time `json:"seen"`
	// Latest ts_mono of the leaves; none where none was read.
	Latest audit.Time `json:"latest,omitzero"`
}

// memoryFile is the form of the file.
type memoryFile struct {
	Format int             `json:"format"`
	Logs   map[string]Head `json:"logs"`
}

// ReadMemory reads the state file at path. Where there is none, nothing is
// remembered.
func ReadMemory(path string) (*Memory, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Memory{}, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMemory+1))
	if err != nil {
		return nil, err
	}
	m, err := parseMemory(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w: put it back from its last copy", ErrMemory, path, err)
	}
	return m, nil
}

func parseMemory(b []byte) (*Memory, error) {
	var f memoryFile
	if err := decodeFile(b, maxMemory, &f); err != nil {
		return nil, err
	}
	for origin, h := range f.Logs {
		c, err := audit.ParseCheckpoint([]byte(h.Checkpoint))
		if err != nil {
			return nil, fmt.Errorf("log %.300q: %w", origin, err)
		}
		if c.Origin != origin || c.Size != h.Size || c.Root != h.Root {
			return nil, fmt.Errorf("log %.300q: its checkpoint says another thing", origin)
		}
	}
	m := &Memory{f.Logs}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return nil, errSpelling
	}
	return m, nil
}

// Last gives what was verified last of a log; of no memory, nothing.
func (m *Memory) Last(origin string) (Head, bool) {
	if m == nil {
		return Head{}, false
	}
	h, ok := m.heads[origin]
	return h, ok
}

// Later gives the origin of a later epoch of the log that was verified; empty
// where there is none.
func (m *Memory) Later(origin string) string {
	cluster, tenant, epoch, err := audit.ParseOrigin(origin)
	if m == nil || err != nil {
		return ""
	}
	for _, other := range slices.Sorted(maps.Keys(m.heads)) {
		if c, t, e, err := audit.ParseOrigin(other); err == nil && c == cluster && t == tenant && e > epoch {
			return other
		}
	}
	return ""
}

// Remember makes c, of this note, the last of its log; latest is the ts_mono of its
// last leaf, or 0. ErrRollback, ErrFork: it
// contradicts the one before. That it extends that one, and that the note is to
// be trusted, the caller has verified.
func (m *Memory) Remember(c *audit.Checkpoint, note []byte, latest audit.Time, at time.Time) error {
	noted, err := audit.ParseCheckpoint(note)
	if err != nil {
		return err
	}
	if noted.Text() != c.Text() {
		return fmt.Errorf("%w: the note is not that of size %d of %s", audit.ErrCheckpoint, c.Size, c.Origin)
	}
	last, ok := m.heads[c.Origin]
	switch {
	case ok && c.Size < last.Size:
		return fmt.Errorf("%w: %s has %d leaves, it had %d on %s", ErrRollback, c.Origin, c.Size, last.Size, last.Seen.Format(time.DateOnly))
	case ok && c.Size == last.Size && c.Root != last.Root:
		return fmt.Errorf("%w: %s at size %d has the root %v, it was %v on %s", ErrFork, c.Origin, c.Size, c.Root, last.Root, last.Seen.Format(time.DateOnly))
	}
	if ok && c.Size == last.Size { // no leaf was read since
		latest = max(latest, last.Latest)
	}
	if m.heads == nil {
		m.heads = map[string]Head{}
	}
	m.heads[c.Origin] = Head{c.Size, c.Root, string(note), at.UTC().Truncate(time.Second), latest}
	return nil
}

// Write puts the state file in place of an earlier one, durably. Two that read,
// remember and write take turns by the caller's means.
func (m *Memory) Write(path string) error {
	b, err := m.encode()
	if err != nil {
		return fmt.Errorf("writing the auditor's state: %w", err)
	}
	if len(b) > maxMemory {
		return fmt.Errorf("%w: %d bytes for %d logs, at most %d: begin another file", ErrMemory, len(b), len(m.heads), maxMemory)
	}
	return disk.WriteFile(path, b, 0o600)
}

func (m *Memory) encode() ([]byte, error) {
	f := memoryFile{format, m.heads}
	if f.Logs == nil {
		f.Logs = map[string]Head{}
	}
	return encodeFile(f)
}
