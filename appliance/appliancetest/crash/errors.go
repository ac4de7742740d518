package crash

import "errors"

var (
	// ErrNode: the node did not do what a node must, so that nothing more can
	// be learned from it.
	ErrNode = errors.New("the node failed")
	// ErrConfig: the run cannot begin.
	ErrConfig = errors.New("wrong configuration of the crash run")
	// ErrSkipped: the machine does not let this be tried.
	ErrSkipped = errors.New("skipped")
)
