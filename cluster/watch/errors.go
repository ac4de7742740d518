package watch

import (
	"errors"
	"fmt"

	"gatehouse/cluster"
)

var (
	// ErrStalled: the disk has not ended a write for so long that the node gives
	// its place to the others. It is a disk that failed: exit code 11.
	ErrStalled = fmt.Errorf("%w: it does not end a write", cluster.ErrDisk)
	// ErrDiffers: a majority has another state than this node, which must not go
	// on with it: exit code 12.
	ErrDiffers = fmt.Errorf("%w: the other nodes agree on another state than this one's", cluster.ErrHistory)

	errNoHeir = errors.New("no other node answers and is well")
)
