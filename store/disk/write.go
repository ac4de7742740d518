package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteFile puts data under path: after it the file is whole and durable, or,
// with an error, what was there before is untouched. If the last step, the
// folder's fsync, fails, the new file is in place but may not outlive a crash.
// An unfinished file of an earlier crash is named .NAME.tmp and is overwritten.
// Writers of one path take turns by their own means.
func WriteFile(path string, data []byte, perm os.FileMode) (err error) {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	// A leftover is removed, not truncated: it may have other permissions.
	if err := os.Remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temp)
		}
	}()
	if err := f.Chmod(perm); err != nil { // whatever the umask is
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: fsync of %s: %w", ErrSync, temp, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("%w: fsync of folder %s: %w", ErrSync, dir, err)
	}
	return nil
}

// MkdirAll makes dir and what is missing above it, for this user alone (0700),
// and makes each new name durable. A folder that is there is left as it is.
func MkdirAll(dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is a file: a folder is needed", dir)
		}
		return nil
	}
	if !os.IsNotExist(err) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return SyncDir(parent)
}

// CopyFile durably, to a name that is not taken. Where it fails nothing is left.
func CopyFile(from, to string, perm os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	stream := NewStream(out)
	_, err = io.Copy(stream, in)
	if err == nil {
		err = stream.Sync()
	}
	if err = errors.Join(err, stream.Close()); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}
