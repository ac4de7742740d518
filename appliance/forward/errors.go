package forward

import "errors"

// Errors of this package, wrapped with the sink or the file concerned.
var (
	// ErrSink: a sink's address cannot be used as it is written.
	ErrSink = errors.New("not a sink")
	// ErrCursor: a cursor file is damaged. It is put aside and the sink starts
	// from the beginning.
	ErrCursor = errors.New("not a cursor of a sink")
	// ErrUndelivered: a sink did not confirm a batch, which is sent again.
	ErrUndelivered = errors.New("not delivered")
	// ErrSource: an audit log could not be read as it should be.
	ErrSource = errors.New("audit log cannot be read for forwarding")
)
