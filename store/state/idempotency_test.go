package state_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

func (w *world) replay(key string) (r *command.Replay) {
	w.view(func(v *state.View) {
		var err error
		if r, err = v.Replay("cli_admin", [32]byte(hash(key))); err != nil && !errors.Is(err, state.ErrNotFound) {
			w.t.Fatal(err)
		}
	})
	return r
}

func TestReplayHasNoSecondEffect(t *testing.T) {
	w := founded(t)
	first := w.ok(keyed(w.create("ses_1", "sub_1", ""), "k", "request"))
	want := &command.Replay{Request: hash("request"), Id: "ses_1", Answer: []byte("sealed answer"), AtNs: w.now, Type: command.Type_CREATE_SESSION, Index: first.Index}
	if first.Replay != nil || !proto.Equal(w.replay("k"), want) {
		t.Fatalf("answer %v, kept %v", first, w.replay("k"))
	}
	before := rows(t, w)
	// As a client that heard nothing proposes it: the same request, other ids.
	again := w.do(keyed(w.create("ses_2", "sub_2", ""), "k", "request"))
	if again.Refusal != "" || again.Id != "ses_1" || !proto.Equal(again.Replay, want) {
		t.Errorf("answer %v", again)
	}
	for name, after := range rows(t, w) {
		if after != before[name] {
			t.Errorf("table %s was changed", name)
		}
	}
	// Another principal's key is another key.
	c := keyed(w.create("ses_3", "sub_3", ""), "k", "another request")
	c.Idempotency.Principal = "cli_other"
	if a := w.ok(c); a.Replay != nil || a.Id != "ses_3" {
		t.Errorf("answer %v", a)
	}
	if a := w.do(keyed(w.create("ses_4", "sub_4", ""), "k", "another request")); a.Refusal != string(state.KeyReused) {
		t.Errorf("answer %v", a)
	}
	// What was refused is not remembered: it may be tried again.
	if a := w.do(keyed(w.submit("ses_1"), "s", "submit")); a.Refusal != string(state.EvidenceMissing) {
		t.Errorf("answer %v", a)
	}
	w.ok(w.evidence("ses_1", "document_front", 1))
	w.ok(w.evidence("ses_1", "selfie", 1))
	if a := w.ok(keyed(w.submit("ses_1"), "s", "submit")); a.Replay != nil {
		t.Errorf("answer %v", a)
	}
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	w := founded(t)
	w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "r"))
	at := w.now
	w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "later", "r"))
	later := w.now
	// Time passes by ticks, not by other commands.
	w.now = at + int64(48*time.Hour)
	w.ok(w.command(command.Type_RECORD, "ten_a", nil))
	w.ok(w.tick(at + int64(state.ReplayFor) - 1))
	if w.replay("k") == nil {
		t.Fatal("forgotten too early")
	}
	w.ok(w.tick(at + int64(state.ReplayFor)))
	if w.replay("k") != nil || w.replay("later") == nil {
		t.Fatal("not forgotten, or the wrong one")
	}
	w.ok(w.tick(later + int64(state.ReplayFor)))
	if after := rows(t, w); after["replays"] != "" || after["replays_by_time"] != "" {
		t.Errorf("left: %s%s", after["replays"], after["replays_by_time"])
	}
	if a := w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "another")); a.Replay != nil {
		t.Errorf("answer %v", a)
	}
}

func TestATickIsBounded(t *testing.T) {
	w := founded(t)
	for i := range 600 {
		c := w.command(command.Type_RECORD, "ten_a", nil)
		w.ok(keyed(c, c.Id, c.Id))
		if i < 300 {
			w.ok(w.create("ses_"+c.Id, "sub_"+c.Id, ""))
		}
	}
	open := func() (n int) {
		w.view(func(v *state.View) {
			all, err := v.Sessions("ten_a", "", 1000)
			must(t, err)
			for _, s := range all {
				if s.State == state.Created {
					n++
				}
			}
		})
		return n
	}
	end := w.now + int64(48*time.Hour)
	for _, want := range []int{300 - 256, 0} {
		w.ok(w.tick(end))
		if got := open(); got != want {
			t.Errorf("%d sessions are left, want %d", got, want)
		}
	}
	w.ok(w.tick(end))
	if after := rows(t, w); after["replays"] != "" {
		t.Error("keys are left")
	}
}

// What one tick leaves is due at once, not a minute later.
func TestDueUntilAllHasPassed(t *testing.T) {
	w := founded(t)
	for range 300 {
		c := w.command(command.Type_RECORD, "ten_a", nil)
		w.ok(w.create("ses_"+c.Id, "sub_"+c.Id, ""))
	}
	due := func(at int64, want bool) {
		t.Helper()
		w.view(func(v *state.View) {
			if v.Due(at) != want {
				t.Errorf("due is %v", !want)
			}
		})
	}
	due(w.now, false)
	end := w.now + int64(time.Hour)
	for range 2 {
		due(end, true)
		w.ok(w.tick(end))
	}
	due(end, false)
	purged := end + int64(state.EvidenceAfterExpiry)
	due(purged-1, false)
	for range 2 {
		due(purged, true)
		w.ok(w.tick(purged))
	}
	due(purged, false)
	// Keys to forget are something due, too.
	w.ok(keyed(w.command(command.Type_RECORD, "ten_a", nil), "k", "r"))
	at := w.now + int64(state.ReplayFor)
	due(at-1, false)
	due(at, true)
	w.ok(w.tick(at))
	due(at, false)
}
