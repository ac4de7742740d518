package api

import (
	"gatehouse/appliance/access"
	"gatehouse/appliance/session"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// shown is a session in the contract's form.
func shown(x *session.Session) Session {
	out := Session{
		Id: x.Id, Subject: x.Subject, Kind: x.Kind, State: SessionState(x.State), Priority: SessionPriorityInteractive,
		CreatedAt: at(x.CreatedNs), ExpiresAt: at(x.ExpiresNs), SubmittedAt: someTime(x.SubmittedNs), FinishedAt: someTime(x.FinishedNs),
		Evidence: []Evidence{}, Attempt: some(int(x.Attempt)), Failure: some(x.Failure),
	}
	if x.Batch {
		out.Priority = SessionPriorityBatch
	}
	if x.Processing {
		out.State = SessionStateProcessing
	}
	if x.State == state.Erased {
		out.Attempt = nil
	}
	for _, e := range x.Evidence {
		out.Evidence = append(out.Evidence, evidence(e))
	}
	if x.Decision != nil {
		out.Decision = decision(x.Decision)
	}
	return out
}

// placed adds where the tenant's audit log stands.
func (s *server) placed(c access.Caller, x Session) Session {
	if head, err := s.head(c.Tenant); err == nil {
		x.Audit = &head
	}
	return x
}

func evidence(e *command.Evidence) Evidence {
	return Evidence{Id: e.Id, Slot: Slot(e.Slot), MediaType: e.Class, Bytes: e.Size, Tries: int(e.Tries), AddedAt: at(e.AddedNs), Refused: some(e.Refused)}
}

func decision(d *session.Decision) *Decision {
	out := &Decision{Outcome: DecisionOutcome(d.Outcome), Score: d.Score, Reasons: []Reason{}, Signals: []Signal{}, Rules: d.Rules, Models: []Model{}, TimingsMs: d.TimingsMS}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, Reason{Rule: r.Rule, Signal: r.Signal, Outcome: ReasonOutcome(r.Outcome), Text: r.Text})
	}
	for _, g := range d.Signals {
		out.Signals = append(out.Signals, Signal{Name: g.Name, Value: g.Value, Unit: some(g.Unit), Threshold: g.Threshold, Status: SignalStatus(g.Status),
			Fmr: g.FMR, Model: some(g.Model), Ms: some(g.Milliseconds), Note: some(g.Note)})
	}
	for _, m := range d.Models {
		out.Models = append(out.Models, Model{Name: m.Name, Sha256: m.SHA256})
	}
	return out
}
