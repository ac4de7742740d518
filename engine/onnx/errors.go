package onnx

import "errors"

// Errors of this package.
var (
	ErrRuntime = errors.New("the inference runtime cannot be loaded")
	ErrModel   = errors.New("the model cannot be used")
	ErrClosed  = errors.New("the session is closed")
)
