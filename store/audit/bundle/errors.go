package bundle

import "errors"

// Errors of this package. Each is wrapped with what was wrong and where.
var (
	ErrExport   = errors.New("bundle cannot be made of this")
	ErrChanged  = errors.New("audit log is not what its checkpoint says")
	ErrTooLarge = errors.New("too much for one bundle: export a shorter range")
	ErrKey      = errors.New("not a key for disclosures")
	ErrOptions  = errors.New("bundle cannot be verified with these options")
	ErrNotGood  = errors.New("bundle is not good: nothing of it may be remembered")

	// errForm: a member is not written as the format says.
	errForm = errors.New("not written as the format says")
)
