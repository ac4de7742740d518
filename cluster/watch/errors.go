package watch

import (
	"fmt"

	"gatehouse/cluster"
)

var (
	// ErrStalled: the disk has not ended a write for so long that the node must
	// make room for another. It is a disk that failed: exit code 11.
	ErrStalled = fmt.Errorf("%w: it does not end what it was asked to write", cluster.ErrDisk)
	// ErrNoBallast: the file system cannot set blocks aside. The node does
	// without, and must be given room before it has none.
	ErrNoBallast = fmt.Errorf("the file system cannot set room aside for the ballast")
)
