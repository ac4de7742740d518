package pack

import "errors"

// Errors of this package. Each is wrapped with the file that caused it.
var (
	ErrFormat      = errors.New("not a model pack")
	ErrHash        = errors.New("does not match its recorded SHA-256")
	ErrMissing     = errors.New("is missing from the model pack")
	ErrLicence     = errors.New("has no licence in the model pack")
	ErrCalibration = errors.New("has no usable calibration in the model pack")
)
