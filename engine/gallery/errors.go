package gallery

import "errors"

// Errors of this package, wrapped with what was given.
var (
	ErrConfig    = errors.New("gallery cannot be made so")
	ErrModel     = errors.New("template is of another model")
	ErrDimension = errors.New("template has the wrong number of dimensions")
	ErrNotUnit   = errors.New("template is no unit vector")
	ErrOrder     = errors.New("number is not above those enrolled before")
	ErrUnknown   = errors.New("is not enrolled")
	ErrQuery     = errors.New("cannot be searched for")
	ErrMemory    = errors.New("no memory for more templates")
	ErrClosed    = errors.New("gallery is closed")
	ErrNoGraph   = errors.New("gallery has no graph: build one, or search with the exact engine")
	// ErrSnapshot: rebuild the gallery from the templates instead.
	ErrSnapshot = errors.New("snapshot cannot be used")
)
