package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

func (w *world) startEpoch(epoch uint64, beyond ...*command.Signed) *command.Command {
	return w.command(command.Type_START_EPOCH, "", &command.StartEpoch{Epoch: epoch, Reason: "quorum_lost", Beyond: beyond})
}

func (w *world) head(log string) (h state.LogHead) {
	w.t.Helper()
	w.view(func(v *state.View) {
		var err error
		h, err = v.Head(log)
		must(w.t, err)
	})
	return h
}

func (w *world) decoded(log string, seq uint64) *audit.Leaf {
	w.t.Helper()
	l, err := audit.DecodeLeaf(w.leaf(log, seq))
	must(w.t, err)
	return l
}

// After a new epoch each log goes on as another one, whose first event says where
// the closed one stood; that one is read as before, and nothing is added to it.
func TestANewEpoch(t *testing.T) {
	for _, version := range []uint32{1, 2, 3} { // there may be nobody to finalise with
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { newEpoch(t, foundedAt(t, version)) })
	}
}

func newEpoch(t *testing.T, w *world) {
	w.collected("ses_1")
	w.ok(w.command(command.Type_RECORD, "ten_b", nil))
	w.ok(w.tick(w.now + 1))
	w.ok(w.evidence("ses_1", "selfie", 2))
	type closed struct {
		head   state.LogHead
		root   string
		leaves [][]byte
	}
	read := func(log string) (c closed) {
		c.head = w.head(log)
		root, err := audit.Root(c.head.Size, w.s.Log(log))
		must(t, err)
		c.root = root.String()
		must(t, w.s.Log(log).Scan(t.Context(), 0, c.head.Size, func(_ int64, leaf []byte) error {
			c.leaves = append(c.leaves, bytes.Clone(leaf))
			return nil
		}))
		return c
	}
	before := map[string]closed{audit.System: read(audit.System), "ten_a": read("ten_a"), "ten_b": read("ten_b")}
	w.ok(w.startEpoch(2, &command.Signed{Log: "ten_b", Size: 99, Root: before["ten_a"].root}))

	for log, was := range before {
		l := w.decoded(log, 0)
		if l.Action != audit.LogEpochStart || l.Reason != "quorum_lost" || l.Log != "clu_a/"+log+"/e2" || l.Seq != 0 ||
			l.Data["origin"] != was.head.Origin || l.Data["size"] != fmt.Sprint(was.head.Size) || l.Data["root"] != was.root {
			t.Errorf("%s begins with %+v", log, l)
		}
		if signed := l.Data["signed_size"]; (log == "ten_b") != (signed == "99") {
			t.Errorf("%s: %v were signed", log, signed)
		}
	}
	if l := w.decoded(audit.System, 1); l.Action != audit.ClusterRecover {
		t.Errorf("the system's log goes on with %s", l.Action)
	}

	// Work goes on where it stood, and enters the new logs alone.
	w.ok(w.submit("ses_1"))
	w.ok(w.complete("ses_1", 1, state.Approved))
	w.ok(w.tick(w.now + 1))
	w.ok(w.cosign("ten_a", 1, "witness"))
	for log, was := range before {
		old := state.InEpoch(log, 1)
		if got := read(old); got.head != was.head || got.root != was.root || fmt.Sprint(got.leaves) != fmt.Sprint(was.leaves) {
			t.Errorf("%s has changed: %+v, was %+v", old, got.head, was.head)
		}
	}
	if h := w.head("ten_a"); h.Origin != "clu_a/ten_a/e2" || h.Size < 4 || h.Anchored != 3 {
		t.Errorf("%+v", h)
	}
	w.view(func(v *state.View) {
		every, err := v.EveryLog()
		want := "[system ten_a ten_b system/e1 ten_a/e1 ten_b/e1]"
		if now, _ := v.Logs(); err != nil || fmt.Sprint(every) != want || fmt.Sprint(now) != "[system ten_a ten_b]" || v.Epoch() != 2 || v.Version() != 3 {
			t.Errorf("logs %v, now %v, epoch %d, version %d: %v", every, now, v.Epoch(), v.Version(), err)
		}
		for _, log := range []string{"ten_a", "ten_a/e2"} {
			if all, err := v.Cosignatures(log, 1); err != nil || len(all) != 1 {
				t.Errorf("%s: %v, %v", log, all, err)
			}
		}
		if all, err := v.Cosignatures("ten_a/e1", 1); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
		_, opening := v.Openings("ten_a", "sub_ses_1", "ten_a/e1", before["ten_a"].head.Size-1)
		_, none := v.Openings("ten_a", "sub_ses_1", "ten_a", before["ten_a"].head.Size-1)
		if opening != nil || !errors.Is(none, state.ErrNotFound) {
			t.Errorf("openings of the closed log: %v, of the new one: %v", opening, none)
		}
	})
	w.clean()
	w.reopen()
	w.clean()

	w.ok(w.startEpoch(3))
	if l := w.decoded("ten_a", 0); l.Data["origin"] != "clu_a/ten_a/e2" {
		t.Errorf("the third begins with %+v", l)
	}
	w.ok(w.erase("sub_ses_1")) // its openings of all epochs go
	w.view(func(v *state.View) {
		for _, log := range []string{"ten_a/e1", "ten_a/e2", "ten_a"} {
			h, err := v.Head(log)
			must(t, err)
			for seq := range h.Size {
				if _, err := v.Openings("ten_a", "sub_ses_1", log, seq); !errors.Is(err, state.ErrNotFound) {
					t.Errorf("an erased person's opening %d of %s: %v", seq, log, err)
				}
			}
		}
	})
	w.clean()
}

func TestEpochsThatAreRefused(t *testing.T) {
	w := foundedAt(t, 3)
	root := strings.Repeat("A", 43) + "="
	for what, c := range map[string]*command.Command{
		"the one that is there": w.startEpoch(1),
		"one is left out":       w.startEpoch(3),
		"of a tenant":           w.command(command.Type_START_EPOCH, "ten_a", &command.StartEpoch{Epoch: 2, Reason: "r"}),
		"without a reason":      w.command(command.Type_START_EPOCH, "", &command.StartEpoch{Epoch: 2}),
		"no root":               w.startEpoch(2, &command.Signed{Log: "ten_a", Size: 1, Root: "x"}),
		"a log twice":           w.startEpoch(2, &command.Signed{Log: "ten_a", Size: 1, Root: root}, &command.Signed{Log: "ten_a", Size: 1, Root: root}),
	} {
		if a := w.do(c); a.Refusal != string(state.Malformed) {
			t.Errorf("%s: %v", what, a)
		}
	}
	if a := w.do(w.command(command.Type_START_EPOCH, "", &command.StartEpoch{Epoch: 2, Reason: "free text"})); a.Refusal != string(state.LeafRefused) {
		t.Errorf("a reason that is no code: %v", a)
	}
	w.view(func(v *state.View) {
		if v.Epoch() != 1 {
			t.Errorf("epoch %d", v.Epoch())
		}
	})
	w.clean()
}

// What a segment's file holds of a closed log is sealed, read and checked as that
// of any other.
func TestSealingAClosedLog(t *testing.T) {
	w, all := grown(t)
	w.ok(w.startEpoch(2))
	n := 0
	for end := len(all) &^ (1<<16 - 1); n < end; { // in parts, as always
		n = min(n+state.DropAtOnce, end)
		w.ok(w.seal("ten_a/e1", n))
	}
	h := w.head("ten_a/e1")
	if h.Sealed != int64(n) || n == 0 {
		t.Fatalf("%+v", h)
	}
	must(t, w.s.Log("ten_a/e1").Whole())
	seq := int64(0)
	must(t, w.s.Log("ten_a/e1").Scan(t.Context(), 0, h.Size, func(_ int64, leaf []byte) error {
		if !bytes.Equal(leaf, all[seq]) {
			return fmt.Errorf("leaf %d is another one", seq)
		}
		seq++
		return nil
	}))
	w.clean()
}
