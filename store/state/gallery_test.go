package state_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"gatehouse/store/command"
	"gatehouse/store/state"
)

// decided is a session with a template; the index of its enrolment.
func (w *world) decided(session, subject, reference string) uint64 {
	w.t.Helper()
	w.ok(w.create(session, subject, reference))
	w.ok(w.evidence(session, "document_front", 1))
	w.ok(w.evidence(session, "selfie", 1))
	w.ok(w.submit(session))
	return w.ok(w.complete(session, 1, state.Approved)).Index
}

// listed are the enrolments of ten_a, read in pages.
func (w *world) listed(limit int) (all []state.Enrolled) {
	w.t.Helper()
	w.view(func(v *state.View) {
		for after := uint64(0); ; after = all[len(all)-1].Index {
			page, err := v.Enrolments("ten_a", after, limit)
			must(w.t, err)
			if len(page) > limit {
				w.t.Errorf("a page of %d, at most %d", len(page), limit)
			}
			if len(page) == 0 {
				return
			}
			all = append(all, page...)
		}
	})
	return all
}

// gone are the removals of ten_a, read in pages.
func (w *world) gone(limit int) (all []state.Removed) {
	w.t.Helper()
	w.view(func(v *state.View) {
		for after := uint64(0); ; after = all[len(all)-1].Index {
			page, err := v.Removals("ten_a", after, limit)
			must(w.t, err)
			if len(page) == 0 {
				return
			}
			all = append(all, page...)
		}
	})
	return all
}

func (w *world) newest() (enrolment, removal uint64) {
	w.view(func(v *state.View) { enrolment, removal = v.NewestEnrolment("ten_a"), v.NewestRemoval("ten_a") })
	return enrolment, removal
}

// Two sessions of one new face are decided at once: both have found nobody, and
// the second must look again.
func TestTheSecondOfTwoMustSearchAgain(t *testing.T) {
	w := founded(t)
	for _, id := range []string{"ses_1", "ses_2", "ses_3"} {
		w.collected(id)
		w.ok(w.submit(id))
	}
	searched, _ := w.newest()
	first := w.ok(w.completeAt("ses_1", 1, state.Approved, searched))
	late := w.completeAt("ses_2", 1, state.Approved, searched)
	refusedWith(t, w, late, state.SearchAgain, "ten_a")
	if s := w.session("ses_2"); s.State != state.Submitted || s.Attempt != 1 {
		t.Fatalf("%v", s)
	}
	// What is not enrolled cannot be missed by anybody.
	none := w.completeAt("ses_3", 1, state.Rejected, 0)
	w.ok(w.with(none, &command.Complete{Session: "ses_3", Attempt: 1, Outcome: state.Rejected, Result: &command.Result{Session: "ses_3"}}, "ses_3", "sub_ses_3"))
	w.view(func(v *state.View) {
		if _, err := v.Template("ten_a", "ses_3"); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
	// The worker searches the rest and proposes the same attempt again.
	if n, _ := w.newest(); n != first.Index {
		t.Errorf("the newest enrolment is %d, want %d", n, first.Index)
	}
	second := w.ok(w.completeAt("ses_2", 1, state.Approved, first.Index))
	if n, _ := w.newest(); n != second.Index {
		t.Errorf("the newest enrolment is %d, want %d", n, second.Index)
	}
	w.clean()
}

// A tenant's faces are its own: another's enrolment is no reason to search.
func TestAnotherTenantsEnrolmentDoesNotCount(t *testing.T) {
	w := founded(t)
	p := blocking("blk_1", "", w.now)
	p.Blocked.Tenant, p.Subject.Tenant = "ten_b", "ten_b"
	c := w.blockWith(p)
	c.Tenant = "ten_b"
	other := w.ok(c).Index
	w.collected("ses_1")
	w.ok(w.submit("ses_1"))
	own := w.ok(w.completeAt("ses_1", 1, state.Approved, 0)).Index
	w.view(func(v *state.View) {
		if a, b := v.NewestEnrolment("ten_a"), v.NewestEnrolment("ten_b"); a != own || b != other {
			t.Errorf("newest %d and %d, want %d and %d", a, b, own, other)
		}
		// Names of which one begins the other, and of nobody.
		for _, name := range []string{"ten_", "ten_aa", "ten", "zzz", ""} {
			if a, b := v.NewestEnrolment(name), v.NewestRemoval(name); a != 0 || b != 0 {
				t.Errorf("%q: %d, %d", name, a, b)
			}
		}
		if _, err := v.Enrolment("ten_b", own); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if all, err := v.Enrolments("ten_b", 0, 10); err != nil || len(all) != 1 || all[0].Id != "blk_1" {
			t.Errorf("%v, %v", all, err)
		}
	})
	w.clean()
}

func TestWhatAnEntryEnrolled(t *testing.T) {
	w := founded(t)
	w.collected("ses_1")
	w.ok(w.submit("ses_1"))
	c := w.completeAt("ses_1", 1, state.Approved, 0)
	p := &command.Complete{}
	must(t, proto.Unmarshal(c.Payload, p))
	p.Template.Enrolled = 1 << 40 // not for its proposer to say
	index := w.ok(w.with(c, p, "ses_1", "sub_ses_1")).Index
	want := &command.Enrolment{List: state.InSubjects, Id: "ses_1", Subject: "sub_ses_1", Model: "arc"}
	w.view(func(v *state.View) {
		if e, err := v.Enrolment("ten_a", index); err != nil || !proto.Equal(e, want) {
			t.Errorf("%v, %v", e, err)
		}
		r, err := v.Template("ten_a", "ses_1")
		if err != nil || !proto.Equal(r, &command.Template{Session: "ses_1", Model: "arc", Sealed: []byte("sealed"), Enrolled: index}) {
			t.Errorf("%v, %v", r, err)
		}
		if all, err := v.Enrolments("ten_a", 0, 10); err != nil || len(all) != 1 || all[0].Index != index || !proto.Equal(all[0].Enrolment, want) {
			t.Errorf("%v, %v", all, err)
		}
		for _, after := range []uint64{index, 1<<64 - 1} {
			if all, err := v.Enrolments("ten_a", after, 10); err != nil || len(all) != 0 {
				t.Errorf("after %d: %v, %v", after, all, err)
			}
		}
	})
}

// One erasure removes every face of the person, and no page cuts it in two.
func TestAnErasureIsNeverCut(t *testing.T) {
	w := founded(t)
	var theirs []uint64
	for i := range 5 {
		theirs = append(theirs, w.decided(fmt.Sprint("ses_", i), fmt.Sprint("sub_", i), "customer 7"))
	}
	other := w.decided("ses_x", "sub_x", "customer 8")
	blocked := w.ok(w.block("blk_1", "")).Index
	end := w.ok(w.unblock("blk_1")).Index
	all := w.ok(w.erase("sub_0")).Index
	want := []state.Removed{{Index: end, Enrolled: blocked, List: state.InBlocklist, ID: "blk_1", Model: "arc"}}
	for i, index := range theirs {
		want = append(want, state.Removed{Index: all, Enrolled: index, List: state.InSubjects, ID: fmt.Sprint("ses_", i), Model: "arc"})
	}
	for limit := 1; limit < 8; limit++ {
		if got := w.gone(limit); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	w.view(func(v *state.View) {
		if got, err := v.Removals("ten_a", 0, 1); err != nil || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := v.Removals("ten_a", 0, 2); err != nil || len(got) != 6 {
			t.Errorf("%v, %v", got, err)
		}
	})
	if e, r := w.newest(); e != other || r != all {
		t.Errorf("newest %d, %d; want %d, %d", e, r, other, all)
	}
	w.clean()
}

// The newest enrolment must not depend on when the file was committed: pages
// that were emptied since are still there.
func TestTheNewestAmongEmptiedPages(t *testing.T) {
	w := founded(t)
	const n = 1500 // rows of some 60 bytes in pages of 4 KiB
	for i := range n {
		w.ok(w.block(fmt.Sprintf("blk_%04d", i), ""))
	}
	last := w.listed(n)
	p := blocking("blk_x", "", w.now) // rows that follow
	p.Blocked.Tenant, p.Subject.Tenant = "ten_b", "ten_b"
	c := w.blockWith(p)
	c.Tenant = "ten_b"
	w.ok(c)
	must(t, w.s.Commit())
	for i := n - 1; i >= 0; i-- {
		if got, _ := w.newest(); got != last[i].Index {
			t.Fatalf("with %d left the newest is %d, want %d", i+1, got, last[i].Index)
		}
		w.ok(w.unblock(fmt.Sprintf("blk_%04d", i)))
	}
	if got, removal := w.newest(); got != 0 || removal != uint64(len(w.log)) {
		t.Errorf("newest %d, %d", got, removal)
	}
	w.clean()
}
