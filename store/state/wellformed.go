package state

import (
	"crypto/sha256"
	"errors"
	"strings"

	"gatehouse/store/command"
)

// maxName bounds what becomes part of a row's key: ids have 30 bytes, names of
// blobs and blind indexes 64. bbolt takes keys of up to 32 KiB.
const maxName = 256

// named tells whether s may be part of a key, where a zero byte ends it.
func named(s string) bool {
	return s != "" && len(s) <= maxName && strings.IndexByte(s, 0) < 0
}

// hashed tells whether b is absent or a SHA-256.
func hashed(b []byte) bool { return len(b) == 0 || len(b) == sha256.Size }

// wellFormed refuses a command whose proposer forgot what it must fill in. It
// is no reason for every node to stop.
func (a *apply) wellFormed() error {
	id := a.Idempotency
	if a.ProposedAtNs <= 0 || id != nil && (!named(id.Principal) || len(id.Key) != sha256.Size) {
		return refuse(Malformed)
	}
	switch a.Type {
	case command.Type_SET_AUTHORITY, command.Type_CHANGE_AUTHORITY, command.Type_SET_RING, command.Type_INVITE, command.Type_JOIN, command.Type_CHANGE_MEMBER, command.Type_REMOVE_MEMBER:
		if a.Tenant != "" { // they are of the cluster's own log
			return refuse(Malformed)
		}
	}
	// No change without its event; these make their own.
	if len(a.Events) == 0 && a.Type != command.Type_TICK && a.Type != command.Type_SEAL_SEGMENT {
		return refuse(Malformed)
	}
	return nil
}

// onFile tells whether the tenant of the command has the subject, and it is
// not erased.
func (a *apply) onFile(subject string) (bool, error) {
	if subject == "" {
		return false, nil
	}
	u, err := load[command.Subject](a, subjects, key(a.Tenant, subject))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && u.ErasedNs == 0, err
}
