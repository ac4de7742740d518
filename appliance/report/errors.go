package report

import "errors"

// ErrLeaf: the leaf is of another log, outside of the range, or not after the
// one before it.
var ErrLeaf = errors.New("leaf does not belong here in the report")
