package vectors

import "errors"

// Errors of this package, wrapped with what was found.
var (
	ErrEmpty     = errors.New("there are no vectors in it")
	ErrDimension = errors.New("the number of values in a row is not possible")
	ErrUneven    = errors.New("rows have different numbers of values")
	ErrCut       = errors.New("the last row is cut off")
)
