package trust

import "errors"

// Errors of this package, besides audit.ErrCheckpoint. Each is wrapped with what
// was wrong and where.
var (
	ErrPolicy = errors.New("not a policy")
	ErrNote   = errors.New("not a signed note")
	// ErrSignature: a line that names a pinned key was not made by it.
	ErrSignature = errors.New("signature of a pinned key does not hold")
	// ErrUnknownKey: of the keys that signed, none is pinned for this log and size.
	ErrUnknownKey = errors.New("not signed by a pinned key of this log")
	ErrQuorum     = errors.New("too few witnesses have cosigned")

	ErrWitness = errors.New("not the key of a witness")
	ErrLine    = errors.New("not a signature line")

	ErrMemory = errors.New("not an auditor's state file")
	// ErrRollback and ErrFork: the log contradicts what was verified of it before.
	ErrRollback = errors.New("log is older than what was verified of it before")
	ErrFork     = errors.New("log differs from what was verified of it before")

	ErrEvidence = errors.New("not evidence of a fork")
	// ErrNoFork: the log can have signed both checkpoints without lying.
	ErrNoFork = errors.New("evidence does not convince")
)
