package state_test

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

func TestEraseLeavesNothingOfThePerson(t *testing.T) {
	w := founded(t)
	// One session in each state, and another person, who stays.
	w.ok(w.create("ses_decided", "sub_1", "customer 7"))
	for _, slot := range []string{"document_front", "selfie"} {
		c := w.evidence("ses_decided", slot, 1)
		c.Events[0].Subject = "sub_1"
		w.ok(c)
	}
	w.ok(w.submit("ses_decided"))
	w.ok(w.complete("ses_decided", 1, state.Approved))
	w.ok(w.create("ses_created", "sub_x", "customer 7"))
	w.ok(w.create("ses_working", "sub_x", "customer 7"))
	w.ok(w.evidence("ses_working", "document_front", 1))
	w.ok(w.evidence("ses_working", "selfie", 1))
	w.ok(w.submit("ses_working"))
	w.ok(w.create("ses_other", "sub_10", "customer 8")) // sub_1 is a prefix of its name
	c := w.evidence("ses_other", "selfie", 1)
	c.Events[0].Subject = "sub_10"
	w.ok(c)
	w.ok(w.tick(w.now + 1))
	if before := rows(t, w); strings.Count(before["openings"], "sealed opening") != 3 {
		t.Fatalf("openings %s", before["openings"])
	}

	c = w.erase("sub_1")
	c.Events[0].Openings = []byte("sealed opening of the erasure")
	w.ok(c)
	after := rows(t, w)
	for name, text := range after {
		if name == "leaves" || name == "sessions" || name == "subjects" || name == "by_subject" {
			continue
		}
		if name == "removals" { // the sessions stay, and so do their ids; not whose they were
			text = strings.ReplaceAll(text, "ses_decided", "")
		}
		if strings.Contains(text, `sub_1\x00`) || strings.Contains(text, "ses_decided") || strings.Contains(text, "ses_created") || strings.Contains(text, "ses_working") {
			t.Errorf("table %s still has\n%s", name, text)
		}
	}
	if strings.Count(after["openings"], "\n") != 1 {
		t.Errorf("openings: %s", after["openings"])
	}
	if strings.Contains(after["subjects"], "wrapped sub_1\"") || strings.Contains(after["sessions"], "evd_ses_decided") {
		t.Error("a key or evidence is left")
	}
	w.view(func(v *state.View) {
		u, err := v.Subject("ten_a", "sub_1")
		if err != nil || u.ErasedNs == 0 || len(u.Key)+len(u.Reference)+len(u.Sealed) != 0 {
			t.Errorf("%v, %v", u, err)
		}
		if _, err := v.SubjectByReference("ten_a", hash("customer 7")); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("the reference: %v", err)
		}
		if _, err := v.Result("ten_a", "ses_decided"); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("the result: %v", err)
		}
		if all, err := v.Jobs(); err != nil || len(all) != 0 {
			t.Errorf("jobs %v, %v", all, err)
		}
		other, err := v.Session("ten_a", "ses_other")
		if err != nil || other.State != state.Collect || !v.Named(other.Evidence[0].Blob) {
			t.Errorf("the other person: %v, %v", other, err)
		}
	})
	// The worker that had it in hand comes too late.
	for _, c := range []*command.Command{w.complete("ses_working", 1, state.Approved), w.complete("ses_working", 2, state.Approved), w.fail("ses_working", 1), w.retry("ses_working", 1)} {
		if a := w.do(c); a.Refusal != string(state.StaleAttempt) {
			t.Errorf("%v: %v", c.Type, a)
		}
	}
	// A late access to an erased person leaves its leaf, and no opening.
	c = w.command(command.Type_RECORD, "ten_a", nil)
	c.Events[0].Subject, c.Events[0].Openings = "sub_1", []byte("sealed opening of an access")
	w.ok(c)
	if late := rows(t, w)["openings"]; strings.Count(late, "\n") != 1 {
		t.Errorf("openings: %s", late)
	}
	// The reference is free for somebody new.
	w.ok(w.create("ses_new", "sub_2", "customer 7"))
	if s := w.session("ses_new"); s.Subject != "sub_2" {
		t.Errorf("%v", s)
	}
	w.ok(w.tick(w.now + int64(3*ttl)))
	w.clean()
	verifyLogs(t, w.s)
}
