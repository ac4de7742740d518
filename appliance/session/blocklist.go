package session

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/identify"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/id"
	"gatehouse/store/keys"
	"gatehouse/store/state"
)

// Block puts a face on the blocklist, under a subject of its own: nobody else's
// erasure ends it. The reason is kept sealed. Searches that begin when it has
// returned find the face.
func (s *Service) Block(ctx context.Context, c access.Caller, p Probe, reason string, idem *act.Idempotency) (*command.Blocked, error) {
	again, err := act.Replayed(s.State, c.Client, idem)
	if err != nil {
		return nil, err
	}
	if again != nil {
		return s.blockedBefore(c, idem, again)
	}
	t, of, err := s.probe(ctx, c, p)
	if err != nil {
		return nil, err
	}
	defer clear(t.Vector)
	owner, err := s.tenant(c.Tenant)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	row := &command.Blocked{Id: id.New(id.Block, now, s.Rand), Tenant: c.Tenant, Subject: id.New(id.Subject, now, s.Rand),
		Session: p.Session, CreatedBy: c.Client, CreatedNs: now.UnixNano()}
	u, wrapped, err := owner.NewSubject(row.Subject)
	if err != nil {
		return nil, err
	}
	if row.Sealed, err = u.Seal(place("blocked", "reason", row.Id), []byte(reason)); err != nil {
		return nil, err
	}
	template := &command.Template{Session: row.Id, Model: t.Model}
	vector := identify.Bytes(t.Vector)
	defer clear(vector)
	if template.Sealed, err = u.Seal(identify.Place(t.Model, row.Id), vector); err != nil {
		return nil, err
	}
	added := act.Event(c, audit.BlocklistAdd, "blocklist_entry", row.Id)
	added.Subject, added.Facts = row.Subject, map[string]string{"model": t.Model, "source": p.source()}
	if err := s.commitReason(added, u, row, reason); err != nil {
		return nil, err
	}
	enrolled := act.Event(c, audit.TemplateEnrol, "blocklist_entry", row.Id)
	enrolled.Subject, enrolled.Models = row.Subject, []string{t.Model}
	events := []*command.Event{added, enrolled}
	if of != nil {
		events = append(events, readTemplate(c, of))
	}
	if idem, err = keepAnswer(owner, c, idem, row); err != nil {
		return nil, err
	}
	person := &command.Subject{Id: row.Subject, Tenant: c.Tenant, Key: wrapped, CreatedNs: row.CreatedNs}
	a, err := s.Propose(ctx, c, command.Type_BLOCK, &command.Block{Blocked: row, Subject: person, Template: template}, idem, events...)
	if err != nil {
		return nil, err
	}
	if a.Replay != nil { // another call with the key was first
		return s.blockedBefore(c, idem, a.Replay)
	}
	return row, s.Faces.Sync(c.Tenant)
}

// commitReason binds the event to why a face was blocked.
func (s *Service) commitReason(e *command.Event, u *keys.Subject, row *command.Blocked, reason string) error {
	o := audit.Opening{Field: "reason", Value: reason}
	if _, err := io.ReadFull(s.Rand, o.R[:]); err != nil {
		return err
	}
	sum, err := o.Commit(row.Tenant)
	if err != nil {
		return err
	}
	e.Commitments = map[string][]byte{o.Field: sum[:]}
	e.Openings, err = sealJSON(u, place("openings", e.Action, row.Id), []audit.Opening{o})
	return err
}

// addedEntry is the answer to who added an entry, as it is kept for a request
// that comes again: the entry may have been removed since.
type addedEntry struct {
	Session, CreatedBy string
	CreatedNs          int64
}

func answerPlace(c access.Caller, idem *act.Idempotency) keys.Place {
	return keys.Place{Table: "replays", Field: "answer", Row: c.Client + "/" + hex.EncodeToString(idem.Key), Version: 1}
}

func keepAnswer(t *keys.Tenant, c access.Caller, idem *act.Idempotency, row *command.Blocked) (*act.Idempotency, error) {
	if idem == nil {
		return nil, nil
	}
	b, err := json.Marshal(addedEntry{row.Session, row.CreatedBy, row.CreatedNs})
	if err != nil {
		return nil, err
	}
	sealed, err := t.Seal(answerPlace(c, idem), b)
	if err != nil {
		return nil, err
	}
	return &act.Idempotency{Key: idem.Key, Request: idem.Request, Answer: append([]byte(c.Tenant), sealed...)}, nil
}

// blockedBefore answers a request that was carried out before.
func (s *Service) blockedBefore(c access.Caller, idem *act.Idempotency, r *command.Replay) (*command.Blocked, error) {
	t, err := s.tenant(c.Tenant)
	if err != nil {
		return nil, err
	}
	if len(r.Answer) < id.Length {
		return nil, problem.New(problem.Damaged, "the answer that was kept cannot be read")
	}
	b, err := t.Open(answerPlace(c, idem), r.Answer[id.Length:])
	if err != nil {
		return nil, damaged(err, "the answer that was kept")
	}
	var was addedEntry
	if err := json.Unmarshal(b, &was); err != nil {
		return nil, damaged(err, "the answer that was kept")
	}
	return &command.Blocked{Id: r.Id, Tenant: c.Tenant, Session: was.Session, CreatedBy: was.CreatedBy, CreatedNs: was.CreatedNs}, nil
}

// Blocklist gives up to limit entries after one.
func (s *Service) Blocklist(ctx context.Context, c access.Caller, after string, limit int) ([]*command.Blocked, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, err
	}
	var rows []*command.Blocked
	err := s.State.View(func(v *state.View) (err error) {
		rows, err = v.Blocklist(c.Tenant, after, limit)
		return err
	})
	return rows, err
}

// Blocked gives an entry with its reason. It is in the audit log before it
// returns.
func (s *Service) Blocked(ctx context.Context, c access.Caller, entry string) (*command.Blocked, string, error) {
	if err := s.Cluster.Read(ctx); err != nil {
		return nil, "", err
	}
	row, err := s.blocked(c.Tenant, entry)
	if err != nil {
		return nil, "", err
	}
	u, _, err := s.subject(c.Tenant, row.Subject)
	if err != nil {
		return nil, "", err
	}
	b, err := u.Open(place("blocked", "reason", row.Id), row.Sealed)
	if err != nil {
		return nil, "", damaged(err, "the reason of blocklist entry "+row.Id)
	}
	return row, string(b), s.seen(ctx, c, row.Subject, act.Event(c, audit.AccessSubject, "blocklist_entry", row.Id))
}

// Unblock takes a face off the blocklist, as Erase does with a person. When it
// returns the face is in no gallery. It gives the entry's subject.
func (s *Service) Unblock(ctx context.Context, c access.Caller, entry, reason string) (*command.Subject, error) {
	row, err := s.blocked(c.Tenant, entry)
	if err != nil {
		return nil, err
	}
	e := act.Event(c, audit.BlocklistRemove, "blocklist_entry", row.Id)
	e.Subject, e.Reason = row.Subject, reason
	if _, err := s.Propose(ctx, c, command.Type_UNBLOCK, &command.Unblock{Blocked: row.Id}, nil, e); err != nil {
		return nil, err
	}
	if err := s.Faces.Removed(c.Tenant); err != nil {
		return nil, err
	}
	var gone *command.Subject
	err = s.State.View(func(v *state.View) (err error) {
		gone, err = v.Subject(c.Tenant, row.Subject)
		return err
	})
	return gone, err
}

// blocked reads a row of the caller's tenant.
func (s *Service) blocked(tenant, entry string) (*command.Blocked, error) {
	nothing := act.Refusal(state.NoBlocked)
	if id.Check(id.Block, entry) != nil {
		return nil, nothing
	}
	var row *command.Blocked
	err := s.State.View(func(v *state.View) (err error) {
		row, err = v.Blocked(tenant, entry)
		return err
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil, nothing
	}
	return row, err
}
