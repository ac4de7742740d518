package identify

import "errors"

// Errors of this package.
var (
	// ErrLoading: the galleries are not complete yet; nothing is searched in a
	// part of one.
	ErrLoading = errors.New("the gallery is being loaded")
	// ErrBusy: another task of the tenant is under way.
	ErrBusy = errors.New("the gallery is being rebuilt, or its graph built: wait for it")

	errRemoved  = errors.New("is no longer enrolled")
	errSnapshot = errors.New("the snapshot cannot be used")
)
