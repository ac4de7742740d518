package history

import "errors"

var (
	// ErrHistory: the file is not one that a Log wrote, or not all of it.
	ErrHistory = errors.New("the history cannot be read")
	// ErrIllegal: no order of the operations explains the answers.
	ErrIllegal = errors.New("not linearizable")
	// ErrUndecided: the time was over before an order was found or excluded.
	ErrUndecided = errors.New("linearizability is not decided")
)
