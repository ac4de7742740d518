package raftlog

import "errors"

// What a caller can act on. An entry that is not there is raft.ErrLogNotFound, a
// folder that is not there os.ErrNotExist.
var (
	// ErrDamaged is wrapped with the file and the place in it.
	ErrDamaged = errors.New("the raft log is damaged: replace it with the log of a healthy node, or restore a backup")
	// ErrFormat: a newer release wrote the log.
	ErrFormat = errors.New("the raft log has a format that this release does not know: start the release that wrote it")
	// ErrCluster: the log is whole, and of another cluster.
	ErrCluster = errors.New("the raft log belongs to another cluster: find out where it came from, then move it away")
	// ErrGap: the entries do not follow the last one. Nothing was stored.
	ErrGap = errors.New("the entries do not follow those of the log")
	// ErrMiddle: neither the first nor the last entry is among those to delete.
	// Nothing was deleted.
	ErrMiddle = errors.New("only the first or the last entries of a log can be deleted")
	// ErrLimit: a size that the format does not have. Nothing was stored.
	ErrLimit = errors.New("beyond the limits of the raft log")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("the raft log is closed")
)
