package replica

import "errors"

// What a caller can act on. Those of blob come back wrapped; after blob.ErrSync
// the process must stop.
var (
	// ErrOneCopy: nothing was kept. The request may be made again.
	ErrOneCopy = errors.New("no other node took a copy of the blob: see to the other nodes")
	// ErrNoCopy: every other node has answered. It comes with what is wrong here.
	ErrNoCopy = errors.New("no node has the blob whole: get it from a backup")
	// ErrUnreached: the request may be made again.
	ErrUnreached = errors.New("the blob is not whole here, and another node that may have it cannot be asked")

	errAbsent = errors.New("the blob is not there")
	errIdle   = errors.New("no byte came for too long")
	errSlow   = errors.New("the transfer took too long")
	errBusy   = errors.New("too many transfers are under way")
	errNames  = errors.New("not a list of names")
)
