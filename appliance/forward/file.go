package forward

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gatehouse/store/disk"
)

// fileMode of a new file: a group may be given to what collects it.
const fileMode = 0o640

// file is a receiver: one JSON object a line, appended. It is opened again when
// its name no longer leads to it (logrotate's move; copytruncate loses lines, by
// its own manual). A line that is no JSON is the rest of a write that failed, and
// its event follows whole.
type file struct {
	path string
	log  *slog.Logger
	f    *os.File
	size int64 // that the file should have at least
}

func (f *file) append(batch, line []byte) []byte { return append(append(batch, line...), '\n') }

func (f *file) close() {
	if f.f != nil {
		f.f.Close() // all that matters was synced
		f.f = nil
	}
}

func (f *file) send(_ context.Context, batch []byte) error {
	if f.f != nil && f.gone() {
		f.close()
	}
	// Rotated while it was written, the batch may be missing in what the mover
	// has copied or compressed: it is written again. A name that never stands
	// still is left to the next try.
	for range 3 {
		if err := f.write(batch); err != nil {
			f.close() // what a failed fsync covered is unknown: never retried
			return err
		}
		if !f.gone() {
			return nil
		}
		f.close()
	}
	return fmt.Errorf("%s is moved or cut again and again", f.path)
}

func (f *file) write(batch []byte) error {
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	n, err := f.f.Write(batch)
	f.size += int64(n)
	if err != nil {
		return err
	}
	if err := f.f.Sync(); err != nil {
		return fmt.Errorf("fsync of %s: %w", f.path, err)
	}
	return nil
}

func (f *file) open() error {
	info, err := os.Stat(f.path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	if !fresh && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return fmt.Errorf("%s is not a file", f.path) // opening it could wait for its reader
	}
	if f.f, err = os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileMode); err != nil {
		return err
	}
	if fresh {
		if err := disk.SyncDir(filepath.Dir(f.path)); err != nil {
			return err
		}
	}
	if info, err = f.f.Stat(); err != nil {
		return err
	}
	f.size = info.Size()
	return f.endLine()
}

// endLine ends a line that an earlier write did not.
func (f *file) endLine() error {
	if f.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.f.ReadAt(last, f.size-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := f.f.WriteString("\n")
	f.size += int64(n)
	return err
}

// gone says whether the file was moved away or cut.
func (f *file) gone() bool {
	open, err := f.f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(f.path)
	why := ""
	switch {
	case err != nil || !os.SameFile(open, named):
		why = "moved"
	case open.Size() < f.size:
		why = "cut"
	default:
		return false
	}
	f.log.Info("the file of a sink was rotated: opening it again", "path", f.path, "by", why)
	return true
}
