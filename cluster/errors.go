package cluster

import (
	"errors"
	"fmt"
)

var (
	// ErrUnavailable: no quorum agreed in time; the outcome may be unknown.
	ErrUnavailable = errors.New("the cluster is not available")
	// ErrElsewhere: this node does not lead, or does no more. Who leads must be asked;
	// what was asked of this one may yet be done where it led when it began.
	ErrElsewhere = errors.New("this node does not lead")
	// ErrVersion of the command is above the active one: a member may not know it.
	ErrVersion = errors.New("the active version does not allow it")
	// ErrHistory: the log and the state do not belong together.
	ErrHistory = errors.New("log and state do not fit")
	// ErrRecovered: a recovery that a crash had cut off is finished now.
	ErrRecovered = errors.New("a recovery that was cut off has been finished: start the node")
	// ErrDisk failed; the node must stop, and no write is tried again.
	ErrDisk = errors.New("the disk failed")

	errStopped = fmt.Errorf("%w: the node has stopped", ErrUnavailable)
)
