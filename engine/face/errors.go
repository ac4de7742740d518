package face

import "errors"

// Errors of this package.
var (
	ErrNoFace       = errors.New("no face was found")
	ErrSpace        = errors.New("the templates come from different models")
	ErrDegenerate   = errors.New("the face cannot be aligned")
	ErrUnsuitable   = errors.New("the model does not fit the face pipeline")
	ErrNotAlignment = errors.New("not an aligned face of 112×112 pixels")
)
