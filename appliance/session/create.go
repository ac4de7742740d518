package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/decide"
	"gatehouse/appliance/problem"
	"gatehouse/appliance/verify"
	"gatehouse/engine"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/state"
)

// Request for a session.
type Request struct {
	Kind      string
	Reference string // the bank's name for the person; may be empty
	Batch     bool
	Consent   *command.Consent
}

// Session as it stands, with its decision where there is one.
type Session struct {
	*command.Session
	Processing bool // a worker has it in hand
	Decision   *Decision
}

// Decision is what may be shown of a verification: no personal data. It is
// kept sealed, as JSON; members are added, never renamed.
type Decision struct {
	Outcome   string             `json:"outcome"`
	Score     *float64           `json:"score,omitempty"`
	Reasons   []Reason           `json:"reasons"`
	Signals   []engine.Signal    `json:"signals"`
	Rules     string             `json:"rules"`
	Models    []verify.Model     `json:"models"`
	TimingsMS map[string]float64 `json:"timings_ms"`
}

// Reason of a decision, with the outcomes of a session.
type Reason struct {
	Rule    string `json:"rule"`
	Signal  string `json:"signal"`
	Outcome string `json:"outcome"`
	Text    string `json:"text"`
}

// outcome of a session, from that of the rules.
func outcome(o decide.Outcome) string {
	switch o {
	case decide.Accepted:
		return state.Approved
	case decide.Rejected:
		return state.Rejected
	}
	return state.InReview
}

// Create begins a session. The same request again gives the session as it was
// made.
func (s *Service) Create(ctx context.Context, c access.Caller, r Request, idem *act.Idempotency) (*Session, error) {
	t, err := s.tenant(c.Tenant)
	if err != nil {
		return nil, err
	}
	now, err := s.time()
	if err != nil {
		return nil, err
	}
	u := &command.Subject{Id: id.New(id.Subject, now, s.Rand), Tenant: c.Tenant, CreatedNs: now.UnixNano()}
	known := false
	if r.Reference != "" {
		if u.Reference, err = t.Index("subject_ref", []byte(r.Reference)); err != nil {
			return nil, err
		}
		err := s.State.View(func(v *state.View) error {
			row, err := v.SubjectByReference(c.Tenant, u.Reference)
			if err == nil {
				u, known = &command.Subject{Id: row.Id, Tenant: c.Tenant, Reference: row.Reference}, true
			} else if errors.Is(err, state.ErrNotFound) {
				err = nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if !known {
		k, wrapped, err := t.NewSubject(u.Id)
		if err != nil {
			return nil, err
		}
		u.Key = wrapped
		if r.Reference != "" {
			if u.Sealed, err = k.Seal(place("subjects", "reference", u.Id), []byte(r.Reference)); err != nil {
				return nil, err
			}
		}
	}
	row := &command.Session{
		Id: id.New(id.Session, now, s.Rand), Tenant: c.Tenant, Kind: r.Kind, Batch: r.Batch, Consent: r.Consent,
		CreatedBy: c.Client, CreatedNs: now.UnixNano(), ExpiresNs: now.Add(TTL).UnixNano(), TtlNs: int64(TTL),
	}
	begun := act.Event(c, audit.SessionCreate, "session", row.Id)
	consent := act.Event(c, audit.ConsentRecord, "session", row.Id)
	consent.Facts = map[string]string{"text_version": r.Consent.TextVersion, "channel": r.Consent.Channel,
		"given_at": time.Unix(0, r.Consent.GivenAtNs).UTC().Format(time.RFC3339)}
	a, err := s.Propose(ctx, c, command.Type_CREATE_SESSION, &command.CreateSession{Session: row, Subject: u}, idem, begun, consent)
	if err != nil {
		return nil, err
	}
	return s.asCreated(c, a.Id)
}

// time is this node's, or the cluster's where that is later: what a node begins
// whose clock is behind must not have expired for the others.
func (s *Service) time() (now time.Time, err error) {
	err = s.State.View(func(v *state.View) error { now = time.Unix(0, v.Time()); return nil })
	if own := s.Now(); own.After(now) {
		now = own
	}
	return now, err
}

// asCreated gives a session as it was when it was made, so that a request
// repeated later gets the same answer.
func (s *Service) asCreated(c access.Caller, session string) (*Session, error) {
	row, err := s.session(c.Tenant, session)
	if err != nil {
		return nil, err
	}
	return &Session{Session: &command.Session{Id: row.Id, Tenant: row.Tenant, Subject: row.Subject, Kind: row.Kind, Batch: row.Batch,
		State: state.Created, Consent: row.Consent, CreatedNs: row.CreatedNs, ExpiresNs: row.CreatedNs + row.TtlNs}}, nil
}

// Get gives a session as it stands.
func (s *Service) Get(ctx context.Context, c access.Caller, session string) (*Session, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	row, err := s.session(c.Tenant, session)
	if err != nil {
		return nil, err
	}
	return s.shown(row)
}

func (s *Service) shown(row *command.Session) (*Session, error) {
	out := &Session{Session: row, Processing: row.State == state.Submitted && s.Jobs.Running(row.Id)}
	if row.Outcome == "" || row.State == state.Erased {
		return out, nil
	}
	var result *command.Result
	err := s.State.View(func(v *state.View) (err error) {
		result, err = v.Result(row.Tenant, row.Id)
		return err
	})
	if err != nil {
		return nil, problem.New(problem.Damaged, "the result of session %s cannot be read", row.Id).Because(err)
	}
	u, _, err := s.subject(row.Tenant, row.Subject)
	if err != nil {
		return nil, err
	}
	b, err := u.Open(place("results", "summary", row.Id), result.Summary)
	if err != nil {
		return nil, damaged(err, "the result of session "+row.Id)
	}
	out.Decision = &Decision{}
	return out, json.Unmarshal(b, out.Decision)
}

// List gives up to limit sessions after one, without their decisions.
func (s *Service) List(ctx context.Context, c access.Caller, after string, limit int) ([]*command.Session, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	var rows []*command.Session
	err := s.State.View(func(v *state.View) (err error) {
		rows, err = v.Sessions(c.Tenant, after, limit)
		return err
	})
	return rows, err
}

// Settled says whether a session waits for nobody.
func Settled(state_ string) bool {
	switch state_ {
	case state.Created, state.Collect, state.Submitted:
		return false
	}
	return true
}

// Wait until the session is no longer being worked on, or for at most d.
func (s *Service) Wait(ctx context.Context, c access.Caller, session string, d time.Duration) (*Session, error) {
	changed, stop := s.Jobs.Watch(session)
	defer stop()
	limit := time.NewTimer(d)
	defer limit.Stop()
	for {
		row, err := s.session(c.Tenant, session)
		if err != nil {
			return nil, err
		}
		if d <= 0 || row.State != state.Submitted && row.State != state.Created && row.State != state.Collect || row.State == state.Collect && row.Failure != "" {
			return s.Get(ctx, c, session)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			d = 0
		case <-changed:
		}
	}
}
