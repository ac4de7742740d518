package decide

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"

	"gatehouse/engine"
)

// otherwise is what the score bands are called among the rules.
const otherwise = "otherwise"

// Decide gives the worst outcome of all rules that hold, with their reasons;
// where none holds, the score's band decides. A rule that cannot be judged,
// because it looks at a value that was not measured, is a reason for review.
// Errors: ErrCost and ctx's; there is no decision then.
func (r *Rules) Decide(ctx context.Context, signals []engine.Signal) (Decision, error) {
	f := measured(signals)
	d := Decision{Outcome: Accepted, Reasons: []Reason{}, RuleSet: r.id}
	d.Score, d.Weights = f.score()
	held, err := r.held(ctx, f.variables(signals, d.Score))
	if err != nil {
		return Decision{}, err
	}
	if len(held) == 0 {
		held = r.band(d.Score)
	}
	for _, level := range []Outcome{Rejected, Review} {
		for _, reason := range held {
			if reason.Outcome == level {
				d.Reasons = append(d.Reasons, reason)
			}
		}
	}
	if len(d.Reasons) > 0 {
		d.Outcome = d.Reasons[0].Outcome
	}
	return d, nil
}

// held gives the reasons of the rules that hold, in the set's order.
func (r *Rules) held(ctx context.Context, variables map[string]any) ([]Reason, error) {
	var reasons []Reason
	spent := uint64(0)
	for _, c := range r.rules {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		result, details, err := c.program.ContextEval(ctx, variables)
		if n := details.ActualCost(); n != nil {
			spent = add(spent, *n)
		}
		var stopped interpreter.EvalCancelledError
		switch {
		case errors.As(err, &stopped) && stopped.Cause == interpreter.CostLimitExceeded, spent > costLimit:
			return nil, fmt.Errorf("rule %q: %w: with the rules before it more than %d units with the signals of this decision", c.ID, ErrCost, costLimit)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			reasons = append(reasons, Reason{c.ID, "unjudged", c.signal, Review, "this rule could not be judged: " + err.Error(), c.Escalate})
		case result == types.True:
			reasons = append(reasons, Reason{c.ID, c.Reason, c.signal, c.Outcome, c.Text, c.Escalate})
		}
	}
	return reasons, nil
}

// band gives the reason of the score's band; none where that is accepted.
func (r *Rules) band(score *float64) []Reason {
	if score == nil {
		return []Reason{{otherwise, "score.unavailable", "", Review, "nothing was measured that a score could be made of", false}}
	}
	for _, b := range r.otherwise {
		if *score >= b.From {
			if b.Outcome == Accepted {
				return nil
			}
			return []Reason{{otherwise, b.Reason, "", b.Outcome, b.Text, b.Escalate}}
		}
	}
	return []Reason{{otherwise, "score.unavailable", "", Review, "the score is in no band", false}}
}

// variables of the conditions; score is left out where there is none.
func (f facts) variables(signals []engine.Signal, score *float64) map[string]any {
	passed, failed, values := map[string]bool{}, map[string]bool{}, map[string]float64{}
	available := make([]string, 0, len(f))
	for _, s := range signals { // in the order in which they were given
		if got, ok := f[s.Name]; ok && !passed[s.Name] && !failed[s.Name] {
			available = append(available, s.Name)
			if got.Status == engine.Passed {
				passed[s.Name] = true
			} else {
				failed[s.Name] = true
			}
			if got.Value != nil {
				values[s.Name] = *got.Value
			}
		}
	}
	to := types.DefaultTypeAdapter.NativeToValue
	v := map[string]any{varAvailable: to(available), varPassed: to(passed), varFailed: to(failed), varValues: to(values)}
	if score != nil {
		v[varScore] = *score
	}
	return v
}
