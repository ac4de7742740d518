// Package act turns what a caller does into a command with its events, has it
// agreed on, and turns a refusal into a problem.
//
// An act that was begun is carried to its end although its caller has left: to
// stop in between would leave what was agreed on without its consequences. The
// package must never decide what may be done; the state and package access do.
package act

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// agreement must come within this; a disk that stalls for longer is found by
// the node itself.
const agreement = 30 * time.Second

// Cluster is where commands are agreed on.
type Cluster interface {
	Propose(context.Context, *command.Command) (*command.Answer, error)
}

// Proposer is safe for concurrent use.
type Proposer struct {
	Node    string
	Cluster Cluster
	Now     func() time.Time
	Rand    io.Reader
}

// Idempotency of a request; nil where its client chose no key.
type Idempotency struct {
	Key, Request []byte // 32 bytes each
	Answer       []byte // sealed, where it cannot be made again from the state
}

// Identify a request by the key that its client chose and by what it holds.
// Both are kept under the tenant's key: they tell nobody what was asked.
func Identify(t *keys.Tenant, key string, request [32]byte) (*Idempotency, error) {
	sum := sha256.Sum256([]byte(key))
	k, err := t.Index("idempotency_key", sum[:])
	if err != nil {
		return nil, err
	}
	r, err := t.Index("idempotency_request", request[:])
	return &Idempotency{Key: k, Request: r}, err
}

// Event begins an event of the caller's request.
func Event(c access.Caller, action audit.Action, kind, object string) *command.Event {
	return &command.Event{Action: string(action), ObjectType: kind, ObjectId: object, Result: string(audit.OK),
		Reason: c.Purpose, RequestId: c.Request, Route: c.Route}
}

// ID makes an id for something that the command makes.
func (p *Proposer) ID(k id.Kind) string { return id.New(k, p.Now(), p.Rand) }

// Propose has a command of the caller's tenant agreed on. Errors: a *Problem
// where the state refused it, command's, or the cluster's; then its outcome may
// be unknown.
func (p *Proposer) Propose(ctx context.Context, c access.Caller, t command.Type, payload proto.Message, idem *Idempotency, events ...*command.Event) (*command.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cmd, err := command.New(t, payload)
	if err != nil {
		return nil, err
	}
	now := p.Now()
	cmd.Id, cmd.Tenant, cmd.ProposedAtNs, cmd.Proposer = id.New(id.Command, now, p.Rand), c.Tenant, now.UnixNano(), p.Node
	cmd.Actor = p.actor(c)
	if idem != nil {
		cmd.Idempotency = &command.Idempotency{Principal: cmd.Actor.Id, Key: idem.Key, Request: idem.Request, Answer: idem.Answer}
	}
	for _, e := range events {
		e.Id = id.New(id.Event, now, p.Rand)
	}
	cmd.Events = events
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), agreement)
	defer cancel()
	a, err := p.Cluster.Propose(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return a, Refusal(state.Refusal(a.Refusal))
}

// Record has events agreed on that change nothing else.
func (p *Proposer) Record(ctx context.Context, c access.Caller, events ...*command.Event) error {
	_, err := p.Propose(ctx, c, command.Type_RECORD, nil, nil, events...)
	return err
}

// actor of a caller: a client, the holder of the setup code, somebody unknown,
// or, where nobody called, the node itself.
func (p *Proposer) actor(c access.Caller) *command.Actor {
	switch {
	case c.Client != "":
		return &command.Actor{Type: "client", Id: c.Client, Authn: c.Authn}
	case c.Authn == access.ByCode:
		return &command.Actor{Type: "setup", Id: "setup", Authn: c.Authn}
	case c.Authn == "":
		return &command.Actor{Type: "node", Id: p.Node}
	}
	return &command.Actor{Type: "anonymous", Authn: c.Authn}
}

// Refusal of the state as a problem; nil for none.
func Refusal(r state.Refusal) error {
	switch r {
	case "":
		return nil
	case state.NoSession:
		return problem.New(problem.NotFound, "there is no such session")
	case state.NoSubject:
		return problem.New(problem.NotFound, "there is no such subject")
	case state.NoBlocked:
		return problem.New(problem.NotFound, "there is no such blocklist entry")
	case state.NoTenant:
		return problem.New(problem.NotFound, "there is no such tenant")
	case state.NoClient:
		return problem.New(problem.NotFound, "there is no such client")
	case state.SessionClosed:
		return problem.New(problem.SessionClosed, "the session is not in a state that allows it")
	case state.SessionExpired:
		return problem.New(problem.SessionExpired, "the session was not submitted in time")
	case state.TriesUsedUp:
		return problem.New(problem.TriesUsedUp, "the slot has taken all captures that it may")
	case state.EvidenceMissing:
		return problem.New(problem.EvidenceMissing, "a session needs document_front and selfie, both usable")
	case state.SubjectErased:
		return problem.New(problem.SubjectErased, "the person was erased")
	case state.KeyReused:
		return problem.New(problem.KeyReused, "this Idempotency-Key came with another request before").In("Idempotency-Key")
	case state.Exists:
		return problem.New(problem.Exists, "it exists already")
	case state.Cosigned:
		return problem.New(problem.Exists, "the checkpoint has as many cosignatures as it may have")
	case state.NoMember:
		return problem.New(problem.NotFound, "there is no such member of the cluster")
	case state.NoInvitation:
		return problem.New(problem.ClusterState, "the invitation was used, has ended, or is another cluster's: make a new one with 'gatehouse cluster invite'")
	case state.TooManyMembers:
		return problem.New(problem.ClusterState, "a cluster has at most %d members and open invitations", state.MaxMembers)
	case state.LastMember:
		return problem.New(problem.LastOne, "it is the last member of the cluster")
	case state.RingChanged:
		return problem.New(problem.Busy, "the key-ring was changed by somebody else meanwhile")
	case state.AuthorityChanged:
		return problem.New(problem.Busy, "the rotation of the cluster's authority has gone on meanwhile")
	case state.VersionUnsupported:
		return problem.New(problem.ClusterState, "the active version of the cluster does not allow it, or a member does not know it: 'gatehouse cluster status' shows the versions")
	case state.LastAdministrator:
		return problem.New(problem.LastOne, "it is the last platform_admin")
	case state.SetUpAlready:
		return problem.New(problem.SetUpAlready, "the setup code was used")
	case state.WrongSetupCode:
		return problem.New(problem.WrongCode, "the code is not the one that the first start printed")
	}
	return problem.New(problem.Internal, "the state refused it").Because(Refused{r})
}

// Refused is the cause of a problem that the caller cannot mend.
type Refused struct{ Refusal state.Refusal }

func (r Refused) Error() string { return fmt.Sprintf("refused: %s", r.Refusal) }

// Replayed finds what an earlier request with the same key came to; nil where
// there was none. Error: problem KeyReused.
func Replayed(s *state.State, principal string, idem *Idempotency) (*command.Replay, error) {
	if idem == nil {
		return nil, nil
	}
	var r *command.Replay
	err := s.View(func(v *state.View) (err error) {
		r, err = v.Replay(principal, [32]byte(idem.Key))
		return err
	})
	switch {
	case err == nil && string(r.Request) != string(idem.Request):
		return nil, Refusal(state.KeyReused)
	case err == nil:
		return r, nil
	case errors.Is(err, state.ErrNotFound):
		return nil, nil
	}
	return nil, err
}
