package keys

import "errors"

// Errors of this package, wrapped with the file, slot or name concerned.
var (
	// The state of the seal.
	ErrSealed    = errors.New("sealed: unseal the node, then ask for the key again")
	ErrNotSealed = errors.New("is not sealed: nothing to unseal")
	ErrTooSoon   = errors.New("too soon after a failed try to unseal")

	// What was given to open it.
	ErrWrongPassphrase = errors.New("opens no passphrase slot: check the keyboard layout and try again")
	ErrWeakPassphrase  = errors.New("passphrase must have 15 to 1024 characters")
	ErrWrongShare      = errors.New("the shares are undamaged but do not fit together: give all of them again")
	ErrDamagedShare    = errors.New("the share is mistyped or damaged: compare it with the original")
	ErrSameShare       = errors.New("this share was given before: give another one")
	ErrOtherSlot       = errors.New("belongs to a slot that this node does not have: look for the current one")
	ErrDamagedFile     = errors.New("is no undamaged key file: restore it from its copy, or use another slot")
	ErrNoSlot          = errors.New("there is no slot of this kind: use another way to unseal")

	// Slots.
	ErrLastSlot = errors.New("is the only slot: add another one first")
	ErrShares   = errors.New("needs 2 ≤ threshold ≤ shares ≤ 255")
	ErrLimit    = errors.New("is over its limit")

	// The log's signing keys.
	ErrOverlap   = errors.New("still signs beside the active signing key: retire it first")
	ErrActive    = errors.New("is the active signing key: rotate it first")
	ErrNoSigning = errors.New("there is no such signing key")
	ErrRetired   = errors.New("signing key was retired: ask for those that sign now")

	// Changes of the key-ring, and hand-overs.
	ErrSum       = errors.New("is not the file that was agreed on: its SHA-256 is another")
	ErrOlder     = errors.New("is not newer than the one in use")
	ErrNotStaged = errors.New("is not staged on this node: fetch it from another one")

	// Files.
	ErrExists      = errors.New("exists already and is not overwritten")
	ErrCluster     = errors.New("belongs to another cluster: use that cluster's data directory")
	ErrPermissions = errors.New("can be read by other users: chmod 600 it and consider its keys known")
	ErrFormat      = errors.New("is not in a format that this version reads")

	// Records.
	ErrName       = errors.New("is not a usable name")
	ErrAltered    = errors.New("does not open here: altered, or moved from its place")
	ErrOtherKey   = errors.New("was sealed under another key")
	ErrUnknownKey = errors.New("needs a key that this node's key-ring does not have: bring the key-ring up to date")
	ErrErased     = errors.New("erased: its key was destroyed and nothing brings it back")
)
