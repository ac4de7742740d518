package index

import "errors"

var (
	// ErrDamaged is wrapped with the file and the place in it.
	ErrDamaged = errors.New("an index of an audit log is damaged: it can be made again from the log")
	// ErrOrder: leaves are added one after another, of one log, at most MaxLeaves.
	ErrOrder = errors.New("the leaf is not the next of the index")
)
