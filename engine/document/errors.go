package document

import "errors"

// Errors of this package.
var ErrUnsuitable = errors.New("the model does not fit the document pipeline")
