// Package session is the life of a verification: created, evidence collected,
// submitted, worked on, decided; and what may be read of it.
//
// Evidence is on the disk before the command that names it is proposed, and
// whoever reads personal data is in the audit log before a byte leaves. The
// package must never decide: appliance/verify and its rules do.
package session

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/jobs"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/verify"
	"gatehouse/cluster/replica"
	"gatehouse/engine"
	"gatehouse/store/blob"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// TTL of a session that is not submitted (requirement 5.7).
const TTL = 30 * time.Minute

// Cluster is asked before the state is read for a caller.
type Cluster interface{ Read(context.Context) error }

// Copies of blobs on the nodes of the cluster.
type Copies interface {
	Put(ctx context.Context, key blob.Key, h blob.Header, r io.Reader, limit int64) (blob.Ref, error)
	Open(ctx context.Context, key blob.Key, h blob.Header, name string) (*replica.Reader, error)
}

// Config of the service.
type Config struct {
	*act.Proposer
	Cluster Cluster
	State   *state.State
	Keys    *keys.Store
	Blobs   *blob.Store
	// Copies writes evidence to more than one node, and reads it from whichever
	// has it.
	Copies Copies
	Engine *engine.Engine
	Verify *verify.Verifier
	Faces  *identify.Keeper
	Jobs   *jobs.Pool
	Log    *slog.Logger
	// Assign names the node whose worker takes the next job.
	Assign func() string
	// Elsewhere is Assign without this node, unless there is no other.
	Elsewhere func() string
	// Observe is told the time of each stage of a verification, in seconds.
	Observe func(stage string, seconds float64)
}

// Service is safe for concurrent use.
type Service struct{ Config }

// New makes the service.
func New(c Config) *Service { return &Service{c} }

// Identify a request of the caller; nil where it chose no key.
func (s *Service) Identify(c access.Caller, key *string, request [32]byte) (*act.Idempotency, error) {
	if key == nil {
		return nil, nil
	}
	t, err := s.tenant(c.Tenant)
	if err != nil {
		return nil, err
	}
	return act.Identify(t, *key, request)
}

// tenant opens the caller's tenant key.
func (s *Service) tenant(tenant string) (*keys.Tenant, error) {
	var row *command.Tenant
	err := s.State.View(func(v *state.View) (err error) {
		row, err = v.Tenant(tenant)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Keys.Tenant(tenant, row.Key)
}

// subject opens a person's key. A person who was erased has none.
func (s *Service) subject(tenant, subject string) (*keys.Subject, *command.Subject, error) {
	var row *command.Subject
	err := s.State.View(func(v *state.View) (err error) {
		row, err = v.Subject(tenant, subject)
		return err
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil, problem.New(problem.NotFound, "there is no such subject")
	}
	if err != nil {
		return nil, nil, err
	}
	if row.ErasedNs != 0 {
		return nil, row, problem.New(problem.SubjectErased, "the person was erased")
	}
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, nil, err
	}
	u, err := t.Subject(subject, row.Key)
	return u, row, err
}

// session reads a row of the caller's tenant.
func (s *Service) session(tenant, session string) (*command.Session, error) {
	if err := id.Check(id.Session, session); err != nil {
		return nil, problem.New(problem.NotFound, "there is no such session")
	}
	var row *command.Session
	err := s.State.View(func(v *state.View) (err error) {
		row, err = v.Session(tenant, session)
		return err
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil, problem.New(problem.NotFound, "there is no such session")
	}
	return row, err
}

// place of a sealed field of a session.
func place(table, field, session string) keys.Place {
	return keys.Place{Table: table, Field: field, Row: session, Version: 1}
}
