package cluster

import (
	"errors"
	"fmt"
)

var (
	// ErrUnavailable: no quorum agreed in time; the outcome may be unknown.
	ErrUnavailable = errors.New("the cluster is not available")
	// ErrVersion of the command is above the active one: a member may not know it.
	ErrVersion = errors.New("the active version does not allow it")
	// ErrHistory: the log and the state do not belong together.
	ErrHistory = errors.New("log and state do not fit")
	// ErrDisk failed; the node must stop, and no write is tried again.
	ErrDisk = errors.New("the disk failed")

	errStopped = fmt.Errorf("%w: the node has stopped", ErrUnavailable)
)
