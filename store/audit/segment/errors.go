package segment

import "errors"

// What a caller can act on. A segment that is not there is fs.ErrNotExist.
var (
	// ErrDamaged is wrapped with the file and the place in it.
	ErrDamaged = errors.New("a segment of an audit log is damaged: get the file from another node or a backup")
	// ErrOther: the file is whole, and of another log, number or root.
	ErrOther = errors.New("the file is a segment of another log: find out where it came from, then move it away")
	// ErrRoot: the leaves to write are not those of the root. No file was made.
	ErrRoot = errors.New("the leaves do not hash to the root of their segment")
	// ErrSegment: there can be no such segment, leaf or hash.
	ErrSegment = errors.New("no such part of an audit log")
)
