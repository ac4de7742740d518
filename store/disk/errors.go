package disk

import "errors"

// ErrLocked is wrapped with the path of the lock file.
var ErrLocked = errors.New("is locked by another process: stop that one first")
