// Package command is the language in which the state is changed: one envelope,
// numbered types, and the rows that they carry. The Go code is generated from
// command.proto.
//
// It knows bytes and limits. It must never read a clock, a random source or
// the state: who proposes fills in everything that is not a function of the
// state.
package command

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"gatehouse/store/audit"
)

// Version of the commands that this program understands. A cluster uses those
// of its active version, which all its members understand.
const Version = 3

// Since is the version that a type came with.
func Since(t Type) uint32 {
	switch {
	case t >= Type_START_EPOCH:
		return 3
	case t >= Type_SET_AUTHORITY:
		return 2
	}
	return 1
}

// MaxSize of an encoded command (requirement 6.4): Raft entries are kept in
// memory and sent in batches of 64, so one must not be large.
const MaxSize = 256 << 10

// MaxEvents of one command: what a verification causes is about ten.
const MaxEvents = 32

var (
	// ErrTooLarge: the command is not proposed.
	ErrTooLarge = errors.New("command too large")
	// ErrUnknown type or version: a newer program wrote this entry, and to
	// skip it would be to fork the state. The node must stop.
	ErrUnknown = errors.New("unknown command")
	// ErrCorrupt bytes in the log; the node must stop.
	ErrCorrupt = errors.New("corrupt command")
)

// New wraps a payload of a type.
func New(t Type, payload proto.Message) (*Command, error) {
	c := &Command{Version: Since(t), Type: t}
	if payload != nil {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(payload)
		if err != nil {
			return nil, err
		}
		c.Payload = b
	}
	return c, nil
}

// Encode gives the bytes of the Raft entry. Errors: ErrTooLarge, ErrUnknown.
func Encode(c *Command) ([]byte, error) {
	if len(c.Events) > MaxEvents {
		return nil, fmt.Errorf("%w: %d events, at most %d", ErrTooLarge, len(c.Events), MaxEvents)
	}
	for _, e := range c.Events {
		// No node would know it: each would stop for a newer release.
		if !audit.Action(e.Action).Valid() {
			return nil, fmt.Errorf("%w: action %.40q", ErrUnknown, e.Action)
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSize)
	}
	return b, nil
}

// Decode reads an entry and its payload. Errors: ErrUnknown, ErrCorrupt.
func Decode(b []byte) (*Command, proto.Message, error) {
	if len(b) > MaxSize {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	c := &Command{}
	if err := proto.Unmarshal(b, c); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if c.Version == 0 || c.Version > Version {
		return nil, nil, fmt.Errorf("%w: version %d of the envelope; this program knows up to %d", ErrUnknown, c.Version, Version)
	}
	payload := empty(c.Type)
	if payload == nil {
		return nil, nil, fmt.Errorf("%w: type %d; a newer release of gatehouse wrote it", ErrUnknown, c.Type)
	}
	if len(c.Events) > MaxEvents {
		return nil, nil, fmt.Errorf("%w: %d events", ErrCorrupt, len(c.Events))
	}
	if err := proto.Unmarshal(c.Payload, payload); err != nil {
		return nil, nil, fmt.Errorf("%w: %v: %v", ErrCorrupt, c.Type, err)
	}
	if unknown(c.ProtoReflect()) || unknown(payload.ProtoReflect()) {
		return nil, nil, fmt.Errorf("%w: %v has a field that a newer release of gatehouse wrote", ErrUnknown, c.Type)
	}
	return c, payload, nil
}

// unknown says whether a message, or one in it, has a field that this program
// does not know: to leave it out would be to fork the state.
func unknown(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap(): // maps here hold no messages
		case f.IsList():
			for i := range v.List().Len() {
				found = found || unknown(v.List().Get(i).Message())
			}
		default:
			found = found || unknown(v.Message())
		}
		return !found
	})
	return found
}

// empty payload of a type; nil where the type is unknown.
func empty(t Type) proto.Message {
	switch t {
	case Type_FOUND:
		return &Found{}
	case Type_SETUP:
		return &Setup{}
	case Type_CREATE_TENANT:
		return &CreateTenant{}
	case Type_CREATE_CLIENT:
		return &CreateClient{}
	case Type_REVOKE_CLIENT:
		return &RevokeClient{}
	case Type_CREATE_SESSION:
		return &CreateSession{}
	case Type_ADD_EVIDENCE:
		return &AddEvidence{}
	case Type_SUBMIT:
		return &Submit{}
	case Type_RETRY:
		return &Retry{}
	case Type_COMPLETE:
		return &Complete{}
	case Type_RETURN:
		return &Return{}
	case Type_FAIL:
		return &Fail{}
	case Type_RECORD, Type_TICK:
		return &Tick{}
	case Type_ERASE_SUBJECT:
		return &EraseSubject{}
	case Type_FINALISE:
		return &Finalise{}
	case Type_RENEW_CODE:
		return &RenewCode{}
	case Type_BLOCK:
		return &Block{}
	case Type_UNBLOCK:
		return &Unblock{}
	case Type_SEAL_SEGMENT:
		return &SealSegment{}
	case Type_COSIGN:
		return &Cosign{}
	case Type_SET_AUTHORITY:
		return &SetAuthority{}
	case Type_SET_RING:
		return &SetRing{}
	case Type_INVITE:
		return &Invite{}
	case Type_JOIN:
		return &Join{}
	case Type_CHANGE_MEMBER:
		return &ChangeMember{}
	case Type_REMOVE_MEMBER:
		return &RemoveMember{}
	case Type_REASSIGN:
		return &Reassign{}
	case Type_START_EPOCH:
		return &StartEpoch{}
	case Type_CHANGE_AUTHORITY:
		return &ChangeAuthority{}
	}
	return nil
}
