package state_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// What a blocklist entry must have, one at a time.
func TestAMalformedBlockIsRefused(t *testing.T) {
	for name, change := range map[string]func(*command.Block){
		"no entry":                      func(p *command.Block) { p.Blocked = nil },
		"no subject":                    func(p *command.Block) { p.Subject = nil },
		"no template":                   func(p *command.Block) { p.Template = nil },
		"no id":                         func(p *command.Block) { p.Blocked.Id = "" },
		"an id that ends a key":         func(p *command.Block) { p.Blocked.Id = "blk\x00" },
		"another tenant's entry":        func(p *command.Block) { p.Blocked.Tenant = "ten_b" },
		"another tenant's subject":      func(p *command.Block) { p.Subject.Tenant = "ten_b" },
		"a subject without a name":      func(p *command.Block) { p.Blocked.Subject, p.Subject.Id = "", "" },
		"another subject":               func(p *command.Block) { p.Subject.Id = "sub_x" },
		"a subject without a key":       func(p *command.Block) { p.Subject.Key = nil },
		"a subject with a reference":    func(p *command.Block) { p.Subject.Reference = hash("customer 7") },
		"a subject with sealed text":    func(p *command.Block) { p.Subject.Sealed = []byte("sealed") },
		"a subject that was erased":     func(p *command.Block) { p.Subject.ErasedNs = 1 },
		"a template of something else":  func(p *command.Block) { p.Template.Session = "ses_1" },
		"a template without a model":    func(p *command.Block) { p.Template.Model = "" },
		"a template that holds nothing": func(p *command.Block) { p.Template.Sealed = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := founded(t)
			w.ok(w.blockWith(blocking("blk_0", "", w.now))) // unchanged it is taken
			p := blocking("blk_1", "", w.now)
			change(p)
			refusedWith(t, w, w.blockWith(p), state.Malformed, "ten_a")
		})
	}
}

func TestTheBlocklist(t *testing.T) {
	w := founded(t)
	w.decided("ses_1", "sub_ses_1", "customer 7")
	p := blocking("blk_1", "ses_1", w.now)
	p.Subject.Blocked = "blk_x" // not for its proposer to say
	first := w.ok(w.blockWith(p))
	second := w.ok(w.block("blk_2", ""))
	if first.Id != "blk_1" || second.Id != "blk_2" {
		t.Errorf("answers %v, %v", first, second)
	}
	w.view(func(v *state.View) {
		if b, err := v.Blocked("ten_a", "blk_1"); err != nil || !proto.Equal(b, p.Blocked) {
			t.Errorf("%v, %v", b, err)
		}
		if u, err := v.Subject("ten_a", "sub_blk_1"); err != nil || u.Blocked != "blk_1" {
			t.Errorf("%v, %v", u, err)
		}
		if e, err := v.Enrolment("ten_a", first.Index); err != nil || !proto.Equal(e, &command.Enrolment{List: state.InBlocklist, Id: "blk_1", Subject: "sub_blk_1", Model: "arc"}) {
			t.Errorf("%v, %v", e, err)
		}
		if page, err := v.Blocklist("ten_a", "", 1); err != nil || len(page) != 1 || page[0].Id != "blk_1" {
			t.Errorf("%v, %v", page, err)
		}
		if page, err := v.Blocklist("ten_a", "blk_1", 10); err != nil || len(page) != 1 || page[0].Id != "blk_2" {
			t.Errorf("%v, %v", page, err)
		}
	})
	// The person goes; the blocked face is nobody's to erase.
	w.ok(w.erase("sub_ses_1"))
	if all := w.listed(10); len(all) != 2 || all[0].Id != "blk_1" || all[1].Id != "blk_2" {
		t.Errorf("%v", all)
	}
	before := rows(t, w)["openings"]
	c := w.unblock("blk_1")
	c.Events[0].Openings = []byte("sealed opening of the end")
	if a := w.ok(c); a.Id != "blk_1" || len(a.Sessions) != 0 {
		t.Errorf("answer %v", a)
	}
	after := rows(t, w)
	for _, name := range []string{"blocked", "templates", "enrolments", "openings"} {
		if strings.Contains(after[name], "blk_1") {
			t.Errorf("table %s still has\n%s", name, after[name])
		}
	}
	if !strings.Contains(before, "sub_blk_1") || !strings.Contains(after["openings"], "sub_blk_2") {
		t.Errorf("openings %s, then %s", before, after["openings"])
	}
	w.view(func(v *state.View) {
		u, err := v.Subject("ten_a", "sub_blk_1")
		if err != nil || u.ErasedNs == 0 || len(u.Key) != 0 {
			t.Errorf("%v, %v", u, err)
		}
		if _, err := v.Blocked("ten_a", "blk_1"); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := v.Enrolment("ten_a", first.Index); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
	if got, want := w.gone(10), (state.Removed{Index: uint64(len(w.log)), Enrolled: first.Index, List: state.InBlocklist, ID: "blk_1", Model: "arc"}); len(got) != 2 || got[1] != want {
		t.Errorf("removals %v, the last of them %v", got, want)
	}
	w.ok(w.tick(w.now + 1))
	verifyLogs(t, w.s)
	w.clean()
}
