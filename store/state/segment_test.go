package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
	"gatehouse/store/state"
)

func (w *world) cosign(log string, size uint64, witness string) *command.Command {
	return w.command(command.Type_COSIGN, log, &command.Cosign{Cosignature: &command.Cosignature{Size: size, Witness: witness, Line: "— " + witness + " AAAA"}})
}

func (w *world) seal(log string, until int) *command.Command {
	return w.command(command.Type_SEAL_SEGMENT, "", &command.SealSegment{Log: log, Until: uint64(until)})
}

// What takes long is to grow a log by a segment, so that is done once.
func TestSealing(t *testing.T) {
	w, all := grown(t)
	must(t, w.s.Close())
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *world, all [][]byte)
	}{
		{"leaves are read as before", readAsBefore},
		{"killed at each step", killedAtEachStep},
		{"killed by the system", killedByTheSystem},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, w.another(t), all) })
	}
}

// another world that begins as a closed one did.
func (w *world) another(t *testing.T) *world {
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Dir(w.path))))
	o := &world{t: t, path: filepath.Join(dir, filepath.Base(w.path)), now: w.now, log: slices.Clip(w.log)}
	var err error
	o.s, err = state.Open(o.path, false)
	must(t, err)
	t.Cleanup(func() { o.s.Close() })
	return o
}

// grown has a log of ten_a with a full segment and some more; and its leaves.
func grown(t *testing.T) (*world, [][]byte) {
	t.Helper()
	w := founded(t)
	for w.size("ten_a") < segment.Leaves+300 {
		c := w.command(command.Type_RECORD, "ten_a", nil)
		for i := range command.MaxEvents - 1 {
			c.Events = append(c.Events, &command.Event{Id: fmt.Sprintf("evt_%d_%d", len(w.log), i), Action: "access.result", Result: "ok", ObjectType: "session", ObjectId: fmt.Sprint("ses_", i)})
		}
		w.ok(c)
	}
	w.ok(w.tick(w.now + 1)) // anchored
	var all [][]byte
	must(t, w.s.Log("ten_a").Scan(t.Context(), 0, int64(w.size("ten_a")), func(_ int64, leaf []byte) error {
		all = append(all, bytes.Clone(leaf))
		return nil
	}))
	return w, all
}

// same compares what a log shows with what it held, and checks all.
func same(t *testing.T, s *state.State, all [][]byte) {
	t.Helper()
	shows(t, s, all)
	findings, err := s.Check(context.Background(), nil, nil)
	if err != nil || len(findings) > 0 {
		t.Errorf("check: %v, %v", findings, err)
	}
}

func shows(t *testing.T, s *state.State, all [][]byte) {
	t.Helper()
	log := s.Log("ten_a")
	n := int64(0)
	must(t, log.Scan(t.Context(), 0, int64(len(all)), func(seq int64, leaf []byte) error {
		if seq != n || !bytes.Equal(leaf, all[seq]) {
			return fmt.Errorf("leaf %d is another one", seq)
		}
		n++
		return nil
	}))
	if n != int64(len(all)) {
		t.Errorf("%d leaves of %d", n, len(all))
	}
	size := int64(len(all))
	root, err := audit.Root(size, log)
	must(t, err)
	for seq := int64(0); seq < size; seq += 4999 {
		leaf, err := log.Leaf(seq)
		must(t, err)
		path, err := audit.InclusionProof(size, seq, log)
		must(t, err)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(seq), uint64(size), leafHash(leaf), bytesOf(path), root[:]); err != nil {
			t.Fatalf("leaf %d: %v", seq, err)
		}
		if seq == 0 {
			continue
		}
		old, err := audit.Root(seq, log)
		must(t, err)
		path, err = audit.ConsistencyProof(seq, size, log)
		must(t, err)
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(seq), uint64(size), bytesOf(path), old[:], root[:]); err != nil {
			t.Fatalf("size %d: %v", seq, err)
		}
	}
	if _, err := log.Leaf(size); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a leaf beyond the end: %v", err)
	}
}

func readAsBefore(t *testing.T, w *world, all [][]byte) {
	for _, bad := range []struct {
		log   string
		until int
	}{{"ten_a", 0}, {"ten_a", state.DropAtOnce + 1}, {"ten_a", segment.Leaves}, {"ten_b", 10}, {"ten_x", 10}, {"", 10}, {"system", 1}} {
		if a := w.do(w.seal(bad.log, bad.until)); a.Refusal != string(state.Malformed) {
			t.Errorf("%+v: %v", bad, a)
		}
	}
	of := w.seal("ten_a", 10)
	of.Tenant, of.Events = "ten_a", nil
	if a := w.do(of); a.Refusal != string(state.Malformed) {
		t.Errorf("by a tenant: %v", a)
	}
	all = all[:len(all):len(all)]
	_, used := w.s.Size()
	for until := state.DropAtOnce; until <= segment.Leaves; until += state.DropAtOnce {
		w.ok(w.seal("ten_a", until))
		if until == 3*state.DropAtOnce || until == segment.Leaves {
			log := w.s.Log("ten_a")
			h, err := log.Head()
			must(t, err)
			if h.Sealed != int64(until) {
				t.Fatalf("%+v", h)
			}
			for size := h.Size; int64(len(all)) < size; { // the refusal of the tenant's own
				leaf, err := log.Leaf(int64(len(all)))
				must(t, err)
				all = append(all, leaf)
			}
			same(t, w.s, all)
			w.reopen()
			same(t, w.s, all)
		}
	}
	must(t, w.s.Commit())
	if _, free := w.s.Size(); free < used+20<<20 { // 46 MB of leaves and their hashes
		t.Errorf("%d bytes are free, %d were", free, used)
	}
	l, err := audit.DecodeLeaf(w.leaf(audit.System, w.size(audit.System)-1))
	must(t, err)
	if l.Action != audit.LogSegmentSeal || l.Object.ID != "ten_a" || l.Data["segment"] != "0" {
		t.Errorf("the system's log ends with %+v", l)
	}
	if a := w.do(w.seal("ten_a", segment.Leaves+10)); a.Refusal != string(state.Malformed) {
		t.Errorf("a segment that is not full: %v", a)
	}
	// The log goes on.
	w.ok(w.command(command.Type_RECORD, "ten_a", nil))
	w.ok(w.tick(w.now + 1))
	all = append(all, w.leaf("ten_a", uint64(len(all))))
	same(t, w.s, all)
	damagedSegment(t, w, all)
}

// damagedSegment: Check finds it, and the rest of the log is checked still.
func damagedSegment(t *testing.T, w *world, all [][]byte) {
	must(t, w.s.Close())
	var file string
	must(t, filepath.WalkDir(filepath.Join(filepath.Dir(w.path), "audit"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			file = path
		}
		return err
	}))
	b, err := os.ReadFile(file)
	must(t, err)
	whole := bytes.Clone(b)
	b[len(b)/3] ^= 1
	must(t, os.WriteFile(file, b, 0o600))
	if w.s, err = state.Open(w.path, false); err != nil {
		t.Fatal(err)
	}
	findings, err := w.s.Check(context.Background(), nil, nil)
	must(t, err)
	if len(findings) == 0 || findings[0].Kind != "log" || !strings.Contains(findings[0].Where, "ten_a, segment 0") {
		t.Errorf("a damaged segment: %v", findings)
	}
	for _, f := range findings {
		if strings.Contains(f.What, "does not follow from the leaves") || strings.Contains(f.What, "another root") {
			t.Errorf("the rest of the log is not checked: %v", f)
		}
	}
	must(t, w.s.Close())
	must(t, os.WriteFile(file, whole, 0o600))
	if w.s, err = state.Open(w.path, false); err != nil {
		t.Fatal(err)
	}
	same(t, w.s, all)
}

// A kill at each step: before the file is there, before a leaf was dropped, in
// between, and after the last. What was not committed comes again from the log.
func killedAtEachStep(t *testing.T, w *world, all [][]byte) {
	before := len(w.log)
	dir := filepath.Dir(w.path)
	killed := func(t *testing.T, what string) {
		t.Helper()
		left := t.TempDir()
		must(t, os.CopyFS(left, os.DirFS(dir))) // as the disk has it: nothing was closed
		s, err := state.Open(filepath.Join(left, "state.db"), false)
		must(t, err)
		defer s.Close()
		index, _ := s.Applied()
		if _, err := s.Apply(w.log[index:]); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got, want := markOf(t, s), markOf(t, w.s); got != want {
			t.Errorf("%s: the state differs", what)
		}
		shows(t, s, all)
	}
	killed(t, "before anything")
	must(t, w.s.Log("ten_a").WriteSegment(t.Context(), 0))
	killed(t, "the file is there")
	for n, until := 0, state.DropAtOnce; until <= segment.Leaves; n, until = n+1, until+state.DropAtOnce {
		w.ok(w.seal("ten_a", until))
		if n == 1 {
			killed(t, "dropped and not committed")
		}
		if n == 4 {
			must(t, w.s.Commit())
		}
		if n == 6 {
			killed(t, "dropped in part")
		}
	}
	must(t, w.s.Commit())
	killed(t, "all dropped")
	// A node that has no file yet makes it from its own rows.
	other := filepath.Join(t.TempDir(), "state.db")
	s, err := state.Open(other, true)
	must(t, err)
	defer s.Close()
	if _, err := s.Apply(w.log[:before]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(w.log[before:]); err != nil {
		t.Fatal(err)
	}
	if markOf(t, s) != markOf(t, w.s) {
		t.Error("two nodes differ")
	}
	same(t, s, all)
}

func TestCosignatures(t *testing.T) {
	w := founded(t)
	w.ok(w.command(command.Type_RECORD, "ten_a", nil))
	w.ok(w.cosign("ten_a", 1, "witness+1"))
	for _, bad := range []struct {
		c    *command.Command
		want state.Refusal
	}{
		{w.cosign("ten_a", 1, "witness+1"), state.Exists}, {w.cosign("ten_a", 0, "w"), state.Malformed}, {w.cosign("ten_a", 1000, "w"), state.Malformed},
		{w.cosign("ten_a", 1, ""), state.Malformed}, {w.command(command.Type_COSIGN, "ten_a", nil), state.Malformed},
	} {
		if a := w.do(bad.c); a.Refusal != string(bad.want) {
			t.Errorf("%v, want %s", a, bad.want)
		}
	}
	w.ok(w.cosign("ten_a", 1, "another"))
	long := strings.Repeat("w", 300)
	for i := range 30 {
		w.ok(w.cosign("ten_a", 2, fmt.Sprint(long, i)))
	}
	w.ok(w.cosign("ten_a", 2, "one"))
	w.ok(w.cosign("ten_a", 2, "two"))
	if a := w.do(w.cosign("ten_a", 2, "three")); a.Refusal != string(state.Cosigned) {
		t.Errorf("more than a note has: %v", a)
	}
	w.reopen()
	w.view(func(v *state.View) {
		got, err := v.Cosignatures("ten_a", 1)
		witness := func(i int) string { return got[i].Witness + got[i].Line }
		if err != nil || len(got) != 2 || !slices.Contains([]string{witness(0), witness(1)}, "witness+1— witness+1 AAAA") {
			t.Errorf("%v, %v", got, err)
		}
		for _, none := range []struct {
			log  string
			size int64
		}{{"ten_a", 3}, {"ten_b", 1}, {"system", 1}} {
			if got, err := v.Cosignatures(none.log, none.size); err != nil || len(got) > 0 {
				t.Errorf("%+v: %v, %v", none, got, err)
			}
		}
	})
	findings, err := w.s.Check(context.Background(), nil, nil)
	if err != nil || len(findings) > 0 {
		t.Errorf("check: %v, %v", findings, err)
	}
}
