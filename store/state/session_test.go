package state_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

// begin puts ses_1 into a state.
func begin(t *testing.T, in string) *world {
	w := founded(t)
	switch in {
	case state.Created:
		w.ok(w.create("ses_1", "sub_ses_1", ""))
		return w
	case state.Expired:
		w.collected("ses_1")
		w.ok(w.tick(w.now + int64(ttl)))
		return w
	}
	w.collected("ses_1")
	if in == state.Collect {
		return w
	}
	w.ok(w.submit("ses_1"))
	switch in {
	case state.Approved, state.Rejected, state.InReview:
		w.ok(w.complete("ses_1", 1, in))
	case state.Failed:
		w.ok(w.fail("ses_1", 1))
	case state.Erased:
		w.ok(w.erase("sub_ses_1"))
	}
	return w
}

func TestStatesOfASession(t *testing.T) {
	commands := []struct {
		name string
		make func(w *world) *command.Command
	}{
		{"evidence", func(w *world) *command.Command { return w.evidence("ses_1", "selfie", 9) }},
		{"same evidence", func(w *world) *command.Command { return w.evidence("ses_1", "selfie", 1) }},
		{"submit", func(w *world) *command.Command { return w.submit("ses_1") }},
		{"retry", func(w *world) *command.Command { return w.retry("ses_1", 1) }},
		{"complete", func(w *world) *command.Command { return w.complete("ses_1", 1, state.Approved) }},
		{"return", func(w *world) *command.Command { return w.back("ses_1", 1, "selfie") }},
		{"fail", func(w *world) *command.Command { return w.fail("ses_1", 1) }},
		{"tick", func(w *world) *command.Command { return w.tick(w.now + int64(ttl)) }},
		{"erase", func(w *world) *command.Command { return w.erase("sub_ses_1") }},
	}
	const closed, stale, late, missing, erased = "-session_closed", "-stale_attempt", "-session_expired", "-evidence_missing", "-subject_erased"
	for _, row := range []struct {
		in   string
		want [9]string // in the order of the commands; - and a refusal
	}{
		{state.Created, [9]string{state.Collect, state.Collect, missing, stale, stale, stale, stale, state.Expired, state.Erased}},
		{state.Collect, [9]string{state.Collect, state.Collect, state.Submitted, stale, stale, stale, stale, state.Expired, state.Erased}},
		{state.Submitted, [9]string{closed, state.Submitted, closed, state.Submitted, state.Approved, state.Collect, state.Failed, state.Submitted, state.Erased}},
		{state.Approved, [9]string{closed, state.Approved, closed, stale, stale, stale, stale, state.Approved, state.Erased}},
		{state.Rejected, [9]string{closed, state.Rejected, closed, stale, stale, stale, stale, state.Rejected, state.Erased}},
		{state.InReview, [9]string{closed, state.InReview, closed, stale, stale, stale, stale, state.InReview, state.Erased}},
		{state.Failed, [9]string{closed, state.Failed, closed, stale, stale, stale, stale, state.Failed, state.Erased}},
		{state.Expired, [9]string{late, late, late, late, late, late, late, state.Expired, state.Erased}},
		{state.Erased, [9]string{closed, closed, closed, stale, stale, stale, stale, state.Erased, erased}},
	} {
		for i, c := range commands {
			t.Run(row.in+" "+c.name, func(t *testing.T) {
				t.Parallel()
				w := begin(t, row.in)
				before := w.session("ses_1")
				if before.State != row.in {
					t.Fatalf("it begins as %s", before.State)
				}
				a := w.do(c.make(w))
				got := w.session("ses_1").State
				if a.Refusal != "" {
					if got != row.in {
						t.Errorf("refused, and it became %s", got)
					}
					got = "-" + a.Refusal
				}
				if got != row.want[i] {
					t.Errorf("%s, want %s", got, row.want[i])
				}
				w.clean()
			})
		}
	}
}

// clean checks the whole state.
func (w *world) clean() {
	w.t.Helper()
	findings, err := w.s.Check(w.t.Context(), nil, nil)
	if err != nil || len(findings) > 0 {
		w.t.Errorf("check: %v, %v", findings, err)
	}
}

func TestTriesOfASlot(t *testing.T) {
	for slot, most := range map[string]int{"document_front": 3, "document_back": 3, "selfie": 3, "liveness_frame_1": 2, "liveness_frame_5": 2} {
		w := founded(t)
		w.ok(w.create("ses_1", "sub_ses_1", ""))
		for n := 1; n <= most; n++ {
			made := w.ok(w.evidence("ses_1", slot, n))
			leaves := w.size("ten_a")
			// The same bytes again: the first answer, no new try, no event.
			c := w.evidence("ses_1", slot, n)
			c.Events[0].ObjectId = "evd_other"
			if a := w.ok(c); a.Id != made.Id {
				t.Errorf("%s: answer %v, want %s", slot, a, made.Id)
			}
			if got := w.size("ten_a"); got != leaves {
				t.Errorf("%s: an event of what did not happen", slot)
			}
			s := w.session("ses_1")
			if len(s.Evidence) != 1 || s.Evidence[0].Tries != uint32(n) {
				t.Errorf("%s: %v", slot, s.Evidence)
			}
			w.view(func(v *state.View) {
				for k := 1; k <= n; k++ {
					if name := fmt.Sprintf("%x", hash(fmt.Sprintf("ses_1 %s %d", slot, k))); v.Named(name) != (k == n) {
						t.Errorf("%s: capture %d of %d is named: %v", slot, k, n, v.Named(name))
					}
				}
			})
		}
		if a := w.do(w.evidence("ses_1", slot, most+1)); a.Refusal != string(state.TriesUsedUp) {
			t.Errorf("%s: answer %v", slot, a)
		}
		w.clean()
	}
}

func TestASessionExpires(t *testing.T) {
	w := founded(t)
	w.collected("ses_1")
	w.ok(w.create("ses_2", "sub_2", "")) // nothing was uploaded
	end := w.session("ses_1").ExpiresNs
	blob := w.session("ses_1").Evidence[0].Blob
	w.ok(w.tick(end - 1))
	if s := w.session("ses_1"); s.State != state.Collect {
		t.Fatalf("%s before its time", s.State)
	}
	// After its time nothing is taken, though no tick has come.
	w.now = end
	if a := w.do(w.submit("ses_1")); a.Refusal != string(state.SessionExpired) {
		t.Errorf("answer %v", a)
	}
	if s := w.session("ses_1"); s.State != state.Collect {
		t.Errorf("%s without a tick", s.State)
	}
	w.ok(w.tick(end))
	s := w.session("ses_1")
	if s.State != state.Expired || s.FinishedNs != end || len(s.Evidence) != 2 {
		t.Errorf("%v", s)
	}
	w.ok(w.tick(end + int64(time.Minute))) // ses_2, a little later
	leaf, err := audit.DecodeLeaf(w.leaf("ten_a", w.size("ten_a")-2))
	if err != nil || leaf.Action != audit.SessionExpire || leaf.Object.ID != "ses_1" || leaf.SubjectRef != "sub_ses_1" {
		t.Errorf("%+v, %v", leaf, err)
	}
	w.clean()

	purged := end + int64(state.EvidenceAfterExpiry)
	w.ok(w.tick(purged - 1))
	if s := w.session("ses_1"); len(s.Evidence) != 2 {
		t.Fatal("the evidence went too early")
	}
	w.ok(w.tick(purged))
	w.view(func(v *state.View) {
		if len(sessionIn(t, v, "ses_1").Evidence) != 0 || v.Named(blob) {
			t.Error("the evidence is still there")
		}
	})
	leaf, err = audit.DecodeLeaf(w.leaf("ten_a", w.size("ten_a")-1))
	if err != nil || leaf.Action != audit.RetentionDelete || leaf.Data["evidence"] != "2" {
		t.Errorf("%+v, %v", leaf, err)
	}
	n := w.size("ten_a")
	w.ok(w.tick(purged + int64(time.Hour))) // ses_2 had none: nothing is said
	if got := w.size("ten_a"); got != n {
		t.Errorf("%d leaves more", got-n)
	}
	w.clean()
}

func sessionIn(t *testing.T, v *state.View, id string) *command.Session {
	s, err := v.Session("ten_a", id)
	must(t, err)
	return s
}

func TestThreeDeathsFail(t *testing.T) {
	w := begin(t, state.Submitted)
	for n := uint32(1); n <= state.MaxAttempts; n++ {
		s := w.session("ses_1")
		if s.State != state.Submitted || s.Attempt != n || s.Deaths != n-1 {
			t.Fatalf("attempt %d: %v", n, s)
		}
		w.view(func(v *state.View) {
			all, err := v.Jobs()
			if err != nil || len(all) != 1 || all[0].Attempt != n {
				t.Errorf("jobs %v, %v", all, err)
			}
		})
		w.ok(w.retry("ses_1", n))
		if a := w.do(w.complete("ses_1", n, state.Approved)); a.Refusal != string(state.StaleAttempt) {
			t.Errorf("answer %v", a)
		}
	}
	s := w.session("ses_1")
	if s.State != state.Failed || s.Failure != "worker_lost" || s.FinishedNs == 0 {
		t.Errorf("%v", s)
	}
	w.clean()
}

func TestReturnAsksForEvidenceAgain(t *testing.T) {
	w := begin(t, state.Submitted)
	submitted := w.now
	w.now += int64(25 * time.Minute)
	w.ok(w.back("ses_1", 1, "selfie"))
	s := w.session("ses_1")
	if s.State != state.Collect || s.Failure != "blurred" || s.ExpiresNs != w.now+int64(ttl) || s.Evidence[1].Refused != "blurred" {
		t.Fatalf("%v (submitted at %d)", s, submitted)
	}
	if a := w.do(w.submit("ses_1")); a.Refusal != string(state.EvidenceMissing) {
		t.Errorf("answer %v", a)
	}
	// The same unusable bytes are a try like another.
	w.ok(w.with(w.evidence("ses_1", "selfie", 1), &command.AddEvidence{Session: "ses_1", Evidence: &command.Evidence{
		Id: "evd_again", Slot: "selfie", Blob: "again", Request: s.Evidence[1].Request}}, "ses_1", "sub_ses_1"))
	if e := w.session("ses_1").Evidence[1]; e.Tries != 2 || e.Refused != "" {
		t.Errorf("%v", e)
	}
	w.clean()
}

func TestReturnedThriceFails(t *testing.T) {
	w := begin(t, state.Submitted)
	for n := uint32(1); n <= 2; n++ {
		w.ok(w.back("ses_1", n, "selfie"))
		w.ok(w.evidence("ses_1", "selfie", int(n)+1))
		w.ok(w.submit("ses_1"))
		if s := w.session("ses_1"); s.Failure != "" || s.Attempt != n+1 {
			t.Errorf("%v", s)
		}
	}
	w.ok(w.back("ses_1", 3, "selfie"))
	if s := w.session("ses_1"); s.State != state.Failed || s.Failure != "blurred" {
		t.Errorf("%v", s)
	}
	w.clean()
}

// What a proposer fills in of a session's later life does not count.
func TestASessionStartsFresh(t *testing.T) {
	w := founded(t)
	c := w.with(w.create("ses_1", "sub_1", ""), &command.CreateSession{Subject: &command.Subject{Id: "sub_1", Tenant: "ten_a", Key: []byte("k")},
		Session: &command.Session{Id: "ses_1", Tenant: "ten_a", ExpiresNs: w.now + int64(ttl), TtlNs: int64(ttl), State: state.Approved, Outcome: "approved", Attempt: 5,
			Evidence: []*command.Evidence{{Id: "evd_x", Slot: "selfie", Blob: "x"}}}}, "ses_1", "sub_1")
	w.ok(c)
	if s := w.session("ses_1"); s.State != state.Created || s.Attempt != 0 || s.Outcome != "" || len(s.Evidence) != 0 || s.Revision != uint64(len(w.log)) {
		t.Errorf("%v", s)
	}
	w.clean()
}

func TestAReferenceFindsItsSubject(t *testing.T) {
	w := founded(t)
	w.ok(w.create("ses_1", "sub_1", "customer 7"))
	w.ok(w.create("ses_2", "sub_2", "customer 7"))
	if s := w.session("ses_2"); s.Subject != "sub_1" {
		t.Errorf("%v", s)
	}
	w.view(func(v *state.View) {
		if u, err := v.SubjectByReference("ten_a", hash("customer 7")); err != nil || u.Id != "sub_1" {
			t.Errorf("%v, %v", u, err)
		}
		if _, err := v.SubjectByReference("ten_b", hash("customer 7")); err == nil {
			t.Error("another tenant finds it")
		}
		if _, err := v.Subject("ten_a", "sub_2"); err == nil {
			t.Error("a second subject was made")
		}
		if got := v.SessionsOf("ten_a", "sub_1", 10); len(got) != 2 {
			t.Errorf("%v", got)
		}
	})
	leaf, err := audit.DecodeLeaf(w.leaf("ten_a", w.size("ten_a")-1))
	if err != nil || leaf.SubjectRef != "sub_1" {
		t.Errorf("%+v, %v", leaf, err)
	}
	w.clean()
}

func TestRevoke(t *testing.T) {
	w := founded(t)
	w.ok(w.command(command.Type_CREATE_CLIENT, "ten_a", &command.CreateClient{Client: admin("ten_a", "cli_2")}))
	find := func(want bool) {
		t.Helper()
		w.view(func(v *state.View) {
			_, byKey := v.ClientByKey([32]byte(hash("key of ten_acli_2")))
			_, byCert := v.ClientByCertificate([32]byte(hash("cert of ten_acli_2")))
			if (byKey == nil) != want || (byCert == nil) != want {
				t.Errorf("found: %v, %v; want %v", byKey, byCert, want)
			}
		})
	}
	find(true)
	w.ok(w.command(command.Type_REVOKE_CLIENT, "ten_a", &command.RevokeClient{Client: "cli_2"}))
	find(false)
	n := w.size("ten_a")
	if a := w.ok(w.command(command.Type_REVOKE_CLIENT, "ten_a", &command.RevokeClient{Client: "cli_2"})); a.Id != "cli_2" || w.size("ten_a") != n {
		t.Errorf("again: %v", a)
	}
	w.clean()
}
