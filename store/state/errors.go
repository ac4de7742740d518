package state

import (
	"errors"
	"fmt"
)

var (
	// ErrUnusable state: the file is damaged, or a broken promise (an entry
	// that cannot be decoded, a failing disk) has stopped it. Nothing more is
	// applied.
	ErrUnusable = errors.New("the state cannot be used")
	// ErrDamaged file: a page of it cannot be what was written. It is wrapped with
	// ErrUnusable.
	ErrDamaged = errors.New("the file is damaged")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrClosed state.
	ErrClosed = errors.New("the state is closed")
)

// errNoNumber: a row whose key must have the index of an entry, and has not.
var errNoNumber = errors.New("its key has no index of an entry")

// Refusal is the code of a business refusal: the state was asked for something
// that its rules forbid. It is an answer, not a failure, and is audited.
type Refusal string

const (
	Exists             Refusal = "exists"
	Malformed          Refusal = "malformed" // its proposer did not fill in what it must
	NoTenant           Refusal = "no_tenant"
	NoClient           Refusal = "no_client"
	NoSession          Refusal = "no_session"
	NoSubject          Refusal = "no_subject"
	NoBlocked          Refusal = "no_blocked"
	SubjectErased      Refusal = "subject_erased"
	WrongSetupCode     Refusal = "wrong_setup_code"
	SetUpAlready       Refusal = "set_up_already"
	LastAdministrator  Refusal = "last_administrator"
	SessionClosed      Refusal = "session_closed" // not in a state that allows it
	SessionExpired     Refusal = "session_expired"
	TriesUsedUp        Refusal = "tries_used_up"
	EvidenceMissing    Refusal = "evidence_missing"
	StaleAttempt       Refusal = "stale_attempt"
	SearchAgain        Refusal = "search_again" // somebody was enrolled since the face was searched for
	KeyReused          Refusal = "idempotency_key_reused"
	Cosigned           Refusal = "cosigned_enough" // as many witnesses as a checkpoint may have
	NoMember           Refusal = "no_member"
	NoInvitation       Refusal = "no_invitation" // it was used, has ended, or never was
	TooManyMembers     Refusal = "too_many_members"
	LastMember         Refusal = "last_member"
	RingChanged        Refusal = "ring_changed"      // another key-ring came into force meanwhile
	AuthorityChanged   Refusal = "authority_changed" // its rotation stands elsewhere
	LeafRefused        Refusal = "event_not_loggable"
	VersionUnsupported Refusal = "version_unsupported"
)

// refused carries a Refusal through Apply.
type refused struct{ code Refusal }

func (r refused) Error() string { return "refused: " + string(r.code) }

func refuse(code Refusal) error { return refused{code} }

func corrupt(table table, key []byte, err error) error {
	return fmt.Errorf("%w: row %q of table %s: %v", ErrUnusable, key, table.name(), err)
}
