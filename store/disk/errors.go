package disk

import "errors"

// ErrSync: a write or fsync failed, so nothing is known of what the disk holds.
// The process must stop and must not try again.
var ErrSync = errors.New("the disk failed to keep a file: check the disk before the next start")

// ErrLocked is wrapped with the path of the lock file.
var ErrLocked = errors.New("is locked by another process: stop that one first")
