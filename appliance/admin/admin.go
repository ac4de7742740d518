// Package admin sets a cluster up and says who may call it: the first
// administrator, tenants, clients, and the seal.
//
// A credential that it makes is shown once and kept as a hash. It must never
// act without its event in the audit log.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Cluster is asked before the state is read for a caller.
type Cluster interface{ Read(context.Context) error }

// Config of the service.
type Config struct {
	*act.Proposer
	Cluster Cluster
	State   *state.State
	Keys    *keys.Store
	// Custody makes a tenant's keys on all nodes.
	Custody interface {
		NewTenant(ctx context.Context, tenant string) (wrapped []byte, err error)
	}
	// Opened is called when the seal was opened, Closing before it is closed, and
	// Closed when it was.
	Opened, Closing, Closed func()
}

// Service is safe for concurrent use.
type Service struct {
	Config
	codes guard
	seal  sync.Mutex // opened and closed by one at a time
}

// New makes the service.
func New(c Config) *Service { return &Service{Config: c} }

// Enrolled is a credential with whom it is for.
type Enrolled struct {
	Client *command.Client `json:"-"`
	Key    string          `json:"key"`
}

// Setup trades the one-time code for the first tenant and administrator. Who
// lost the answer asks again with the same idempotency key, as the code works
// once.
func (s *Service) Setup(ctx context.Context, c access.Caller, code, organisation, name string, idem *act.Idempotency) (*Enrolled, error) {
	if err := s.codes.try(s.Now()); err != nil {
		return nil, err
	}
	wrong := false
	defer func() { s.codes.done(s.Now(), wrong) }()
	c.Client, c.Authn = "", access.ByCode
	if again, err := s.replayed(c, idem); again != nil || err != nil {
		wrong = err != nil
		return again, err
	}
	hash := access.HashCode(code)
	if err := s.checkCode(hash); err != nil {
		if wrong = errors.Is(err, problem.New(problem.WrongCode, "")); !wrong {
			return nil, err
		}
		deny := act.Event(c, audit.SetupDeny, "cluster", "")
		deny.Result = string(audit.Denied)
		if err := s.Record(ctx, c, deny); err != nil {
			return nil, err
		}
		return nil, err
	}
	t, client, key, err := s.tenant(ctx, organisation, name, []access.Role{access.PlatformAdmin, access.TenantAdmin})
	if err != nil {
		return nil, err
	}
	of, err := s.keep(c, t, client, key, idem)
	if err != nil {
		return nil, err
	}
	done := act.Event(c, audit.SetupComplete, "cluster", "")
	done.Facts = map[string]string{"tenant": t.Id, "client": client.Id}
	a, err := s.Propose(ctx, c, command.Type_SETUP, &command.Setup{SetupCode: hash[:], Tenant: t, Admin: client}, of, done)
	if err != nil {
		return nil, err
	}
	if a.Replay != nil {
		return s.replayed(c, idem)
	}
	return &Enrolled{client, key}, nil
}

// checkCode before keys are made for it; the state has the last word.
func (s *Service) checkCode(hash [32]byte) error {
	return s.State.View(func(v *state.View) error {
		if v.SetUp() {
			return act.Refusal(state.SetUpAlready)
		}
		if !v.SetupCode(hash) {
			return act.Refusal(state.WrongSetupCode)
		}
		return nil
	})
}

// tenant makes the rows of a tenant with its administrator.
func (s *Service) tenant(ctx context.Context, organisation, name string, roles []access.Role) (*command.Tenant, *command.Client, string, error) {
	now := s.Now()
	t := &command.Tenant{Id: id.New(id.Tenant, now, s.Rand), Name: organisation, CreatedNs: now.UnixNano()}
	client, key, err := s.client(t.Id, name, roles, "")
	if err != nil {
		return nil, nil, "", err
	}
	t.Key, err = s.Custody.NewTenant(ctx, t.Id)
	return t, client, key, err
}

func (s *Service) client(tenant, name string, roles []access.Role, certificate string) (*command.Client, string, error) {
	if strings.TrimSpace(name) == "" {
		return nil, "", problem.New(problem.BadValue, "a client needs a name").In("name")
	}
	now := s.Now()
	c := &command.Client{Id: id.New(id.Client, now, s.Rand), Tenant: tenant, Name: name, CreatedNs: now.UnixNano()}
	for _, r := range roles {
		if !slices.Contains(c.Roles, string(r)) {
			c.Roles = append(c.Roles, string(r))
		}
	}
	if certificate != "" {
		hash, err := hashCertificate(certificate)
		if err != nil {
			return nil, "", err
		}
		c.Certificate = hash[:]
		return c, "", nil
	}
	key, hash, err := access.NewKey(s.Rand)
	c.Key = hash[:]
	return c, key, err
}

// hashCertificate gives the SHA-256 of the public key (SPKI) in a PEM
// certificate: it stays the same where the certificate is renewed for the key.
func hashCertificate(text string) (hash [32]byte, err error) {
	b, rest := pem.Decode([]byte(text))
	if b == nil || b.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return hash, problem.New(problem.BadValue, "not one PEM certificate").In("certificate")
	}
	cert, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return hash, problem.New(problem.BadValue, "the certificate cannot be read").In("certificate")
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo), nil
}

// CreateTenant makes a tenant with its first administrator.
func (s *Service) CreateTenant(ctx context.Context, c access.Caller, organisation, name string, idem *act.Idempotency) (*Enrolled, error) {
	if again, err := s.replayed(c, idem); again != nil || err != nil {
		return again, err
	}
	t, client, key, err := s.tenant(ctx, organisation, name, []access.Role{access.TenantAdmin})
	if err != nil {
		return nil, err
	}
	e := act.Event(c, audit.TenantCreate, "tenant", t.Id)
	made := act.Event(c, audit.ClientCreate, "client", client.Id)
	made.Facts = map[string]string{"roles": strings.Join(client.Roles, " "), "tenant": t.Id}
	// Both in one command: no tenant is without an administrator.
	return s.enrol(ctx, c, command.Type_CREATE_TENANT, &command.CreateTenant{Tenant: t, Admin: client}, client, key, idem, e, made)
}

// CreateClient registers a caller in the caller's tenant.
func (s *Service) CreateClient(ctx context.Context, c access.Caller, name string, roles []access.Role, certificate string, idem *act.Idempotency) (*Enrolled, error) {
	if again, err := s.replayed(c, idem); again != nil || err != nil {
		return again, err
	}
	if slices.Contains(roles, access.PlatformAdmin) && !c.Has(access.PlatformAdmin) {
		return nil, problem.New(problem.Forbidden, "only a platform_admin makes another one").In("roles")
	}
	client, key, err := s.client(c.Tenant, name, roles, certificate)
	if err != nil {
		return nil, err
	}
	e := act.Event(c, audit.ClientCreate, "client", client.Id)
	e.Facts = map[string]string{"roles": strings.Join(client.Roles, " ")}
	return s.enrol(ctx, c, command.Type_CREATE_CLIENT, &command.CreateClient{Client: client}, client, key, idem, e)
}

// enrol has a client agreed on. The answer to a repeated request cannot be
// made again, as the key is not kept: it is sealed beside the request, and
// forgotten with it after a day.
func (s *Service) enrol(ctx context.Context, c access.Caller, t command.Type, payload proto.Message, client *command.Client, key string, idem *act.Idempotency, events ...*command.Event) (*Enrolled, error) {
	row, err := s.row(c.Tenant)
	if err != nil {
		return nil, err
	}
	of, err := s.keep(c, row, client, key, idem)
	if err != nil {
		return nil, err
	}
	a, err := s.Propose(ctx, c, t, payload, of, events...)
	if err != nil {
		return nil, err
	}
	if a.Replay != nil { // another call with the key was first
		return s.replayed(c, idem)
	}
	return &Enrolled{client, key}, nil
}

// principal of a caller, for its idempotency keys.
func principal(c access.Caller) string {
	if c.Authn == access.ByCode {
		return "setup"
	}
	return c.Client
}

// kept is the answer that is sealed, under the key of the tenant whose id
// stands before it.
type kept struct{ Tenant, Client, Key string }

func (s *Service) keep(c access.Caller, under *command.Tenant, client *command.Client, key string, idem *act.Idempotency) (*act.Idempotency, error) {
	if idem == nil {
		return nil, nil
	}
	tenant, err := s.Keys.Tenant(under.Id, under.Key)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(kept{client.Tenant, client.Id, key})
	if err != nil {
		return nil, err
	}
	sealed, err := tenant.Seal(answerPlace(c, idem), b)
	if err != nil {
		return nil, err
	}
	return &act.Idempotency{Key: idem.Key, Request: idem.Request, Answer: append([]byte(under.Id), sealed...)}, nil
}

func answerPlace(c access.Caller, idem *act.Idempotency) keys.Place {
	return keys.Place{Table: "replays", Field: "answer", Row: principal(c) + "/" + hex.EncodeToString(idem.Key), Version: 1}
}

func (s *Service) row(tenant string) (row *command.Tenant, err error) {
	return row, s.State.View(func(v *state.View) (err error) { row, err = v.Tenant(tenant); return err })
}

// replayed answers a request that was carried out before.
func (s *Service) replayed(c access.Caller, idem *act.Idempotency) (*Enrolled, error) {
	r, err := act.Replayed(s.State, principal(c), idem)
	if r == nil || err != nil {
		return nil, err
	}
	if len(r.Answer) < id.Length {
		return nil, problem.New(problem.Damaged, "the answer that was kept cannot be read")
	}
	row, err := s.row(string(r.Answer[:id.Length]))
	if err != nil {
		return nil, err
	}
	t, err := s.Keys.Tenant(row.Id, row.Key)
	if err != nil {
		return nil, err
	}
	b, err := t.Open(answerPlace(c, idem), r.Answer[id.Length:])
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, err
	}
	e := &Enrolled{Key: k.Key}
	return e, s.State.View(func(v *state.View) (err error) { e.Client, err = v.Client(k.Tenant, k.Client); return err })
}

// Revoke a client's credential, at once.
func (s *Service) Revoke(ctx context.Context, c access.Caller, client string) (*command.Client, error) {
	if err := id.Check(id.Client, client); err != nil {
		return nil, problem.New(problem.NotFound, "there is no such client")
	}
	var row *command.Client
	err := s.State.View(func(v *state.View) (err error) { row, err = v.Client(c.Tenant, client); return err })
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil, act.Refusal(state.NoClient)
	case err != nil:
		return nil, err
	case slices.Contains(row.Roles, state.PlatformAdmin) && !c.Has(access.PlatformAdmin):
		return nil, problem.New(problem.Forbidden, "only a platform_admin revokes another one").In("client")
	}
	if _, err := s.Propose(ctx, c, command.Type_REVOKE_CLIENT, &command.RevokeClient{Client: client}, nil, act.Event(c, audit.ClientRevoke, "client", client)); err != nil {
		return nil, err
	}
	return row, s.State.View(func(v *state.View) (err error) { row, err = v.Client(c.Tenant, client); return err })
}

// Clients lists up to limit clients of the caller's tenant after one.
func (s *Service) Clients(ctx context.Context, c access.Caller, after string, limit int) (rows []*command.Client, err error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	return rows, s.State.View(func(v *state.View) (err error) { rows, err = v.Clients(c.Tenant, after, limit); return err })
}

// Tenants lists all.
func (s *Service) Tenants(ctx context.Context) (rows []*command.Tenant, err error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	return rows, s.State.View(func(v *state.View) (err error) { rows, err = v.Tenants(); return err })
}
