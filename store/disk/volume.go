package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Free gives the bytes that this user may still write where path lies, and the
// size of that file system.
func Free(path string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	// Frsize is the unit of the counts (statvfs(3)); Bavail leaves out what is
	// reserved for root.
	return s.Bavail * uint64(s.Frsize), s.Blocks * uint64(s.Frsize), nil
}

// Lock takes the lock file at path, which is made if need be, or refuses at
// once with ErrLocked. The lock ends at Close or with the process.
func Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil // the file stays: removing it would let two hold it
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s %w", path, ErrLocked)
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}
