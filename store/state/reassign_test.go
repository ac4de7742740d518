package state_test

import (
	"testing"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// A job that another node was given is not completed by the one that had it,
// and to be given away is not to have died.
func TestReassignMakesTheAttemptStale(t *testing.T) {
	w := clustered(t)
	w.collected("ses_1")
	w.ok(w.submit("ses_1"))
	attempt := uint32(1)
	for _, node := range []string{"nod_b", "nod_a", "nod_b", "nod_a", "nod_b"} { // oftener than a job may die
		a := w.ok(w.reassign("ses_1", attempt, node))
		attempt++
		s := w.session("ses_1")
		if s.State != state.Submitted || s.Attempt != attempt || s.Node != node || s.Deaths != 0 || s.Revision != a.Index || a.Id != "ses_1" || a.Log != "ten_a" {
			t.Fatalf("%v, %v", s, a)
		}
	}
	for _, c := range []*command.Command{w.complete("ses_1", attempt-1, state.Approved), w.retry("ses_1", attempt-1), w.back("ses_1", attempt-1, "selfie"),
		w.fail("ses_1", attempt-1), w.reassign("ses_1", attempt-1, "nod_a")} {
		if a := w.do(c); a.Refusal != string(state.StaleAttempt) {
			t.Errorf("%v of an old attempt: %v", c.Type, a)
		}
	}
	w.view(func(v *state.View) {
		if jobs, err := v.Jobs(); err != nil || len(jobs) != 1 || jobs[0].Node != "nod_b" {
			t.Errorf("%v, %v", jobs, err)
		}
	})
	w.ok(w.retry("ses_1", attempt)) // deaths count as ever
	if s := w.session("ses_1"); s.Deaths != 1 {
		t.Errorf("%v", s)
	}
	w.ok(w.complete("ses_1", attempt+1, state.Approved))
	if a := w.do(w.reassign("ses_1", attempt+1, "nod_a")); a.Refusal != string(state.StaleAttempt) {
		t.Errorf("a job that is done: %v", a)
	}
	w.clean()
}
