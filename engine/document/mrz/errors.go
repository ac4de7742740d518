package mrz

import "errors"

// Errors of this package.
var (
	ErrFormat = errors.New("not a machine-readable zone")
	ErrField  = errors.New("cannot be written in a machine-readable zone")
)
