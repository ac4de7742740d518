package member

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"gatehouse/appliance/access"
	"gatehouse/appliance/act"
	"gatehouse/appliance/problem"
	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// The cluster's authority is rotated in steps, so that at no time two nodes refuse
// each other: every node trusts the next one before it certifies anybody, and has a
// certificate of it before the earlier one is dropped. Where it stands is in the
// state; whoever leads takes it on.

// Phase of the authority's rotation.
type Phase string

// The phases.
const (
	// Settled: there is one authority.
	Settled Phase = "settled"
	// Introducing: another one is trusted as well, and certifies nobody until every
	// member knows it.
	Introducing Phase = "introducing"
	// Renewing: that one certifies, and the earlier one is trusted until every
	// member has a certificate of the new one.
	Renewing Phase = "renewing"
)

// Rotation of the authority, as this node sees it.
type Rotation struct {
	Authority string // SHA-256 of the certificate of the one in force, hex
	Phase     Phase
	Waits     []Wait // what the next step waits for
}

// Wait for a member.
type Wait struct {
	Node string
	Away bool   // it does not answer
	Why  string // for people
}

// rotation of an authority among members. What a member has said counts although
// it is away now: it was on its disk.
func (s *Service) rotation(row *command.Authority, rows []*command.Member) *Rotation {
	r := &Rotation{Authority: nameOf(row.Certificate), Phase: Settled}
	var ready func(*Report) bool
	var why string
	switch {
	case len(row.NextCertificate) > 0:
		next := nameOf(row.NextCertificate)
		r.Phase, why = Introducing, "has not heard of the new authority yet"
		ready = func(told *Report) bool { return slices.Contains(told.Trusts, next) }
	case len(row.Earlier) > 0:
		r.Phase, why = Renewing, "has no certificate of the new authority yet"
		ready = func(told *Report) bool { return told.Certified == r.Authority }
	default:
		return r
	}
	leader := s.Raft.Status().Leader
	var sealed []Wait
	for _, m := range rows {
		if m.RemovedNs != 0 {
			continue
		}
		told, up := s.says(m.Id)
		switch {
		case ready(told):
		case !up:
			r.Waits = append(r.Waits, Wait{m.Id, true, "does not answer"})
		default:
			r.Waits = append(r.Waits, Wait{m.Id, false, why})
		}
		if m.Id == leader && told.Sealed {
			sealed = append(sealed, Wait{m.Id, false, "leads, and is sealed: it can certify nobody"})
		}
	}
	if r.Phase == Introducing || len(r.Waits) > 0 {
		r.Waits = append(sealed, r.Waits...)
	}
	return r
}

// says what a member has said last of whom it trusts, and whether it answers.
func (s *Service) says(node string) (*Report, bool) {
	if node == s.Node {
		return &Report{Sealed: s.Keys.Sealed(), Trusts: s.Directory.Trusts(), Certified: s.Identity.Certified()}, true
	}
	w := s.watch.of(node)
	return &w.report, w.missed < away
}

// Rotate begins to replace the authority by a fresh one. Where that is under way
// already, it goes on, and no other begins.
func (s *Service) Rotate(ctx context.Context, c access.Caller) error {
	if err := s.Raft.Read(ctx); err != nil {
		return err
	}
	row, err := s.authority()
	if err != nil || len(row.NextCertificate)+len(row.Earlier) > 0 {
		return err
	}
	next, err := s.fresh()
	if err != nil {
		return err
	}
	before := sha256.Sum256(row.Certificate)
	_, err = s.Propose(ctx, ofCluster(c), command.Type_CHANGE_AUTHORITY, &command.ChangeAuthority{Before: before[:], NextCertificate: next.Certificate, NextKey: next.Key}, nil,
		s.rotated(act.Event(c, audit.KeyRotate, "", ""), "trust", next.Certificate))
	if begunAlready(err) {
		return nil
	}
	return err
}

// begunAlready: somebody else has taken the step.
func begunAlready(err error) bool { return errors.Is(err, problem.New(problem.Busy, "")) }

// rotated is the event of a step, of the authority with this certificate.
func (s *Service) rotated(e *command.Event, step string, certificate []byte) *command.Event {
	sum := sha256.Sum256(certificate)
	e.ObjectType, e.ObjectId, e.ObjectSha256, e.Facts = "authority", s.Cluster, sum[:], map[string]string{"step": step}
	return e
}

// rotate takes the rotation one step on, where it has begun and waits for nobody.
// The leader calls it.
func (s *Service) rotate(ctx context.Context) error {
	if !s.joining.TryLock() { // who is let in now is certified, and told whom to trust, as of this step
		return nil
	}
	defer s.joining.Unlock()
	var row *command.Authority
	var rows []*command.Member
	err := s.view(func(v *state.View) (err error) {
		if row, err = v.Authority(); err == nil {
			rows, err = v.Members()
		}
		return err
	})
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r := s.rotation(row, rows)
	if r.Phase == Settled || len(r.Waits) > 0 {
		return nil
	}
	before := sha256.Sum256(row.Certificate)
	p, step, of := &command.ChangeAuthority{Before: before[:], Switch: true}, "switch", row.NextCertificate
	if r.Phase == Renewing {
		p, step, of = &command.ChangeAuthority{Before: before[:], Drop: true}, "drop", row.Earlier
	}
	e := s.rotated(&command.Event{Action: string(audit.KeyRotate), Result: string(audit.OK)}, step, of)
	if _, err := s.Propose(ctx, access.Caller{}, command.Type_CHANGE_AUTHORITY, p, nil, e); err != nil && !begunAlready(err) {
		return err
	}
	s.Log.Info("the rotation of the cluster's authority has gone on", "step", step, "authority", nameOf(of))
	return nil
}
