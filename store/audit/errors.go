package audit

import "errors"

// Errors of this package. Each is wrapped with what was wrong and where.
var (
	ErrLeaf         = errors.New("not a leaf of an audit log")
	ErrLeafTooLarge = errors.New("leaf of an audit log is too large")
	ErrText         = errors.New("text does not belong in a leaf")
	ErrNotCanonical = errors.New("leaf is not in canonical form (RFC 8785)")
	ErrOpening      = errors.New("opening without its random value")

	ErrOrigin     = errors.New("not the origin of an audit log")
	ErrSize       = errors.New("no such tree")
	ErrProof      = errors.New("proof does not hold")
	ErrCheckpoint = errors.New("not a checkpoint")
	ErrProofFile  = errors.New("not a proof of a record")
	ErrSignature  = errors.New("not signed by a known key of this log")

	// ErrFork and ErrRollback: what is to be signed contradicts what has been
	// signed. This node must not sign until a person knows why.
	ErrFork     = errors.New("audit log differs from the one that was signed")
	ErrRollback = errors.New("audit log is older than the one that was signed")
	// ErrLastSigned: the file that prevents both cannot be trusted.
	ErrLastSigned = errors.New("not a record of signed checkpoints")
)
