package blob

import (
	"errors"
	"fmt"
	"syscall"
)

// What a caller can act on. Errors of the caller's reader, key and context come
// back wrapped as they are.
var (
	ErrNotFound = errors.New("no such blob")
	ErrHeader   = errors.New("the blob's header does not fit")
	ErrVersion  = errors.New("the blob's format is not one that is read here")
	ErrDamaged  = errors.New("the blob is damaged or not under this key: get it from another node or a backup")
	ErrRotten   = errors.New("the stored bytes are not those that the name promises: quarantine the blob and get it from another node")
	ErrForeign  = errors.New("the bytes that came are not those that the name promises: get them from another node")
	ErrTooLarge = errors.New("the object is larger than allowed")
	ErrEmpty    = errors.New("the object is empty: there is nothing to keep")
	ErrFull     = errors.New("the disk is too full for new objects: free space or add a disk")
	// ErrSync: a write or fsync failed, so nothing is known of what the disk
	// holds. The process must stop and must not try again.
	ErrSync = errors.New("the disk failed to keep a blob: check the disk before the next start")
)

// writeError sorts what the system says to a change of the disk.
func writeError(doing string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %s: %w", ErrFull, doing, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // our load, not the disk
		return fmt.Errorf("%s: %w", doing, err)
	}
	return syncError(doing, err)
}

func syncError(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrSync, doing, err)
}
