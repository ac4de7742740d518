package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatehouse/appliance/api"
	"gatehouse/engine"
)

// describeSession prints a session as 'verify' prints its result.
func describeSession(s *api.Session) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Session %s: %s\n", s.Id, s.State)
	line(&w, "subject", s.Subject)
	line(&w, "created", clock(s.CreatedAt))
	switch {
	case s.FinishedAt != nil:
		line(&w, "finished", clock(*s.FinishedAt))
	case s.SubmittedAt != nil:
		line(&w, "submitted", clock(*s.SubmittedAt))
	default:
		line(&w, "expires", clock(s.ExpiresAt))
	}
	for _, e := range s.Evidence {
		text := fmt.Sprintf("%s, %s, %d bytes, try %d", e.Slot, e.MediaType, e.Bytes, e.Tries)
		if e.Refused != nil {
			text += "; REFUSED: " + *e.Refused
		}
		line(&w, "evidence", text)
	}
	if s.Failure != nil {
		line(&w, "failure", *s.Failure)
	}
	if s.Decision != nil {
		describeDecision(&w, s.Decision)
	} else if s.SubmittedAt != nil && s.FinishedAt == nil {
		fmt.Fprintf(&w, "\nNot decided yet: gatehouse session get %s --wait 30s\n", s.Id)
	}
	if s.Audit != nil {
		fmt.Fprintf(&w, "\nAudit: %s\n", oneLine(position(s.Audit)))
	}
	return w.String()
}

func describeDecision(w *strings.Builder, d *api.Decision) {
	fmt.Fprintf(w, "\nDecision: %s", strings.ToUpper(string(d.Outcome)))
	if d.Score != nil {
		fmt.Fprintf(w, ", score %.0f", *d.Score)
	}
	w.WriteString("\n")
	for _, r := range d.Reasons {
		fmt.Fprintf(w, "  %s: %s\n", r.Outcome, oneLine(r.Text))
	}
	w.WriteString("\nSignals:\n")
	for _, s := range d.Signals {
		e := measured(s)
		row(w, oneLine(e.Name), oneLine(value(e)), oneLine(string(e.Status)+about(e)))
	}
	w.WriteString("\nTime (ms):\n")
	for _, stage := range slices.Sorted(maps.Keys(d.TimingsMs)) {
		if stage != "total" {
			fmt.Fprintf(w, "  %-34s %8.1f\n", oneLine(stage), d.TimingsMs[stage])
		}
	}
	if total, ok := d.TimingsMs["total"]; ok {
		fmt.Fprintf(w, "  %-34s %8.1f\n", "total", total)
	}
	fmt.Fprintf(w, "\nRules: %s\n", oneLine(d.Rules))
}

// measured gives a signal of the contract as the engine has it.
func measured(s api.Signal) engine.Signal {
	return engine.Signal{Name: s.Name, Value: s.Value, Unit: or(s.Unit, ""), Threshold: s.Threshold, Status: engine.Status(s.Status),
		FMR: s.Fmr, Model: or(s.Model, ""), Note: or(s.Note, "")}
}
