package decide

import "errors"

// Errors of this package. The message names the rule and the place in it.
var (
	// ErrRules is a document that is no usable rule set.
	ErrRules = errors.New("not a usable rule set")
	// ErrCost is a rule set that would cost, or has cost, more than it may.
	ErrCost = errors.New("the rules cost too much to evaluate")
)
