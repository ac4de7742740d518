package appliance

import (
	"errors"

	"golang.org/x/sys/unix"

	"gatehouse/appliance/member"
	"gatehouse/cluster"
	"gatehouse/store/audit"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/disk"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

var (
	// ErrData: the data directory cannot be used as it is.
	ErrData = errors.New("the data directory cannot be used")
	// ErrCertificate cannot be used for the API.
	ErrCertificate = errors.New("the certificate cannot be used")
	// ErrRecovery: the cluster is not recovered, and nothing was changed.
	ErrRecovery = errors.New("the cluster is not recovered")
)

// Exit codes of a node that a broken promise has ended; a supervisor tells by
// them whether a restart can help.
const (
	ExitFull    = 10 // the disk is full
	ExitDisk    = 11 // the disk failed
	ExitHistory = 12 // log, state, keys, signed checkpoints or directory are damaged or do not fit together
	ExitUnknown = 13 // an entry that only a newer release understands
	ExitRemoved = 14 // the node is no member of its cluster any more
)

// Exit code of an error of Open or Run; 1 where it is none of these.
func Exit(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, command.ErrUnknown):
		return ExitUnknown
	case errors.Is(err, member.ErrRemoved):
		return ExitRemoved
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return ExitFull
	case errors.Is(err, cluster.ErrDisk), errors.Is(err, disk.ErrSync), errors.Is(err, blob.ErrSync), errors.Is(err, unix.EIO):
		return ExitDisk
	case errors.Is(err, cluster.ErrHistory), errors.Is(err, audit.ErrFork), errors.Is(err, audit.ErrRollback), errors.Is(err, audit.ErrLastSigned),
		errors.Is(err, state.ErrUnusable), errors.Is(err, command.ErrCorrupt), errors.Is(err, keys.ErrCluster), errors.Is(err, keys.ErrFormat), errors.Is(err, ErrData):
		return ExitHistory
	}
	return 1
}
