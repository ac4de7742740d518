package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/appliance/access"
	"gatehouse/appliance/ledger"
	"gatehouse/appliance/problem"
	"gatehouse/engine/enginetest"
	"gatehouse/store/audit"
	"gatehouse/store/audit/segment"
	"gatehouse/store/command"
)

// reader of the bank's log.
func reader() access.Caller {
	return access.Caller{Tenant: bank, Client: "cli_auditor", Authn: access.ByKey, Request: "req_1", Roles: []access.Role{access.Auditor}}
}

// fits says, the simple way, whether a leaf is sought.
func fits(q ledger.Query, l *audit.Leaf) bool {
	session := l.Object.ID
	if l.Object.Type != "session" {
		session, _ = l.Data["session"].(string)
	}
	for _, is := range [][2]string{{q.Session, session}, {q.Subject, l.SubjectRef}, {q.Actor, l.Actor.ID}, {q.Action, string(l.Action)}, {q.Object, l.Object.ID}} {
		if is[0] != "" && is[0] != is[1] {
			return false
		}
	}
	at := time.Unix(0, int64(l.TSMono))
	return (q.Reference == "" || q.Reference == reference && l.SubjectRef == "sub_1") && (q.After.IsZero() || !at.Before(q.After)) && (q.Before.IsZero() || at.Before(q.Before)) && l.Seq < q.Below
}

// queries below a size, many of them around the end of the first segment.
func queries(below int64, all []*audit.Leaf) []ledger.Query {
	edge := func(d int) time.Time { return time.Unix(0, int64(all[segment.Leaves+d].TSMono)) }
	qs := []ledger.Query{
		{Limit: 50}, {Session: "ses_7"}, {Subject: "sub_3", Action: "decision.make"}, {Actor: "cli_2", Object: "ses_5"}, {Reference: reference}, {Reference: reference, Action: "session.create", Actor: "cli_1"},
		{Reference: "nobody"}, {Action: "tenant.create"}, {Action: "backup.create"}, {Object: "evd_9"}, {After: edge(-3), Before: edge(40)}, {Session: "ses_9", After: edge(-20000)},
		{Action: "access.result", Before: edge(0), After: edge(-300)}, {Actor: "cli_4", After: edge(64)}, {Before: time.Unix(0, int64(all[1].TSMono))}, {After: edge(0), Before: edge(0)},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		of := all[r.IntN(len(all))]
		q := ledger.Query{Actor: of.Actor.ID}
		if r.IntN(2) == 0 {
			q.Subject = of.SubjectRef
		}
		if r.IntN(2) == 0 {
			q.Object = of.Object.ID
		}
		if r.IntN(3) == 0 {
			q.After = time.Unix(0, int64(of.TSMono)-int64(r.IntN(3)-1))
		}
		qs = append(qs, q)
	}
	for i := range qs {
		if qs[i].Below = below; qs[i].Limit == 0 {
			qs[i].Limit = 25
		}
	}
	return qs
}

// story is what a log has below a size, for comparison.
type story struct {
	all     []*audit.Leaf
	raw     [][]byte
	queries []ledger.Query
	answers [][]int64 // what each query must find
}

// tell the story of the bank's log by reading all of it.
func (w *world) tell(t *testing.T) *story {
	t.Helper()
	s := &story{}
	s.all, s.raw = w.leaves(t)
	s.queries = queries(int64(len(s.all)), s.all)
	for _, q := range s.queries {
		var want []int64
		for _, leaf := range slices.Backward(s.all) {
			if fits(q, leaf) {
				want = append(want, leaf.Seq)
			}
		}
		s.answers = append(s.answers, want)
	}
	return s
}

// shownMost of what one query finds; each is verified against the tree.
const shownMost = 40

// told holds what a ledger shows against what the log had.
func (s *story) told(t *testing.T, w *world, l *ledger.Ledger) {
	t.Helper()
	size := int64(len(s.all))
	for i, q := range s.queries {
		want := s.answers[i]
		asked, n := q, 0
		for page := 0; n < shownMost; page++ {
			found, err := l.Search(t.Context(), reader(), bank, q)
			if err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			for _, leaf := range found.Leaves {
				if n == len(want) || !bytes.Equal(leaf, s.raw[want[n]]) {
					t.Fatalf("%+v: %d is found, it is not what is sought: %.200s", asked, n, leaf)
				}
				n++
			}
			if inexact := !q.After.IsZero() || !q.Before.IsZero(); page == 0 && (found.Total < int64(len(want)) || found.Total > int64(len(want)) && !inexact || found.Total > int64(len(want))+512) {
				t.Errorf("%+v: a total of %d, want %d", asked, found.Total, len(want))
			}
			if found.Next == 0 {
				if n != len(want) {
					t.Errorf("%+v: %d found, want %d", asked, n, len(want))
				}
				break
			}
			q.Below = found.Next
		}
	}
	page, err := l.Events(t.Context(), reader(), bank, segment.Leaves-100, 200)
	must(t, err)
	if !slices.EqualFunc(page.Leaves, s.raw[segment.Leaves-100:][:200], bytes.Equal) {
		t.Error("the events around the end of the segment are others")
	}
	v := w.verifier(t)
	for _, seq := range []int64{0, 1, segment.Leaves - 1, segment.Leaves, segment.Leaves + 1, size - 1} {
		leaf, p, err := l.Proof(t.Context(), reader(), bank, seq)
		must(t, err)
		parsed, err := audit.ParseProof(p)
		must(t, err)
		if _, err := parsed.Verify(leaf, v.Name(), note.VerifierList(v)); err != nil || !bytes.Equal(leaf, s.raw[seq]) {
			t.Errorf("event %d: %v", seq, err)
		}
	}
}

// A log is searched, shown, proved and exported as before once a segment of it
// was put away, whatever befalls the index.
func TestSealedLog(t *testing.T) {
	notRaced(t)
	w := shared.world(t)
	l := w.ledger(t)
	s := w.tell(t)
	size := int64(len(s.all))
	s.told(t, w, l)
	before := bundles(t, l, size)
	whole := exported(t, l, 0, size)
	must(t, l.Seal(t.Context()))
	if got := w.sealed(t); got != segment.Leaves {
		t.Fatalf("%d leaves are sealed", got)
	}
	must(t, l.Seal(t.Context())) // again is no harm
	check := func(what string, l *ledger.Ledger) {
		t.Helper()
		s.told(t, w, l)
		if t.Failed() {
			t.Fatal(what)
		}
	}
	check("sealed", l)
	if !slices.EqualFunc(bundles(t, l, size), before, same) || !same(exported(t, l, 0, size), whole) {
		t.Error("bundles of what was sealed differ from those before")
	}

	files, err := filepath.Glob(filepath.Join(w.dir, "audit", bank, "e1", "*.index"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("indexes: %v", files)
	}
	file := files[0]
	good, err := os.ReadFile(file)
	must(t, err)
	flipped := func(from, step int) func() error {
		return func() error {
			b := bytes.Clone(good)
			for i := from; i < len(b); i += step {
				b[i] ^= 0x40
			}
			return os.WriteFile(file, b, 0o600)
		}
	}
	warm := w.ledger(t) // has the head of the file in memory
	check("after a start", warm)
	for _, d := range []struct {
		what   string
		by     *ledger.Ledger
		damage func() error
	}{
		{"removed", w.ledger(t), func() error { return os.Remove(file) }},
		{"cut by a byte", w.ledger(t), func() error { return os.Truncate(file, int64(len(good)-1)) }},
		{"wrong in its head", w.ledger(t), flipped(100, len(good))},
		{"removed meanwhile", warm, func() error { return os.Remove(file) }},
		{"wrong in every bucket", warm, flipped(len(good)/20, 97)},
	} {
		must(t, d.damage())
		check("with an index that is "+d.what, d.by)
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, good) {
			t.Errorf("an index that is %s is not made anew: %d bytes of %d, %v", d.what, len(now), len(good), err)
		}
	}
	damagedSegment(t, w, s)
}

// notRaced: what happens one after another takes the race detector a minute, and
// shows it nothing.
func notRaced(t *testing.T) {
	t.Helper()
	if enginetest.RaceDetector {
		t.Skip("TestAllAtOnce is for the race detector")
	}
}

// damagedSegment: nothing of it is shown, what is beside it is.
func damagedSegment(t *testing.T, w *world, s *story) {
	files, err := filepath.Glob(filepath.Join(w.dir, "audit", bank, "e1", "*.seg"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("segments: %v", files)
	}
	b, err := os.ReadFile(files[0])
	must(t, err)
	for i := 0; i < len(b)-4096; i += 512 { // every leaf's frame
		b[i] ^= 1
	}
	must(t, w.s.Close())
	must(t, os.WriteFile(files[0], b, 0o600))
	w.open(t)
	damaged := func(what string, err error) {
		t.Helper()
		var p *problem.Problem
		if !errors.As(err, &p) || p.Kind != problem.Damaged {
			t.Errorf("%s: %v", what, err)
		}
	}
	l := w.ledger(t)
	before := w.size(t, bank)
	found, err := l.Search(t.Context(), reader(), bank, ledger.Query{Session: "ses_7", Limit: 200})
	damaged("a search", err)
	if found != nil {
		t.Errorf("shown all the same: %+v", found)
	}
	page, err := l.Events(t.Context(), reader(), bank, 100, 10)
	damaged("events", err)
	if page != nil {
		t.Error("events are shown all the same")
	}
	from, to := int64(1), int64(100)
	if _, err = l.Export(t.Context(), reader(), bank, ledger.Range{From: &from, To: &to}); !errors.Is(err, segment.ErrDamaged) {
		t.Errorf("an export: %v", err)
	}
	if now := w.size(t, bank); now != before {
		t.Errorf("%d events say that something was shown", now-before)
	}
	if page, err = l.Events(t.Context(), reader(), bank, segment.Leaves, 10); err != nil || len(page.Leaves) != 10 || !bytes.Equal(page.Leaves[0], s.raw[segment.Leaves]) {
		t.Errorf("beside it: %v", err)
	}
}

// Seal is interrupted at each step, the process killed or not: the log shows the
// same throughout, and the next one ends it.
func TestInterruptedSeal(t *testing.T) {
	notRaced(t)
	w := shared.world(t)
	s := w.tell(t)
	l := w.ledger(t)
	before := bundles(t, l, int64(len(s.all)))
	for _, parts := range []int{0, 5} { // of the sixteen
		w.failing, w.failFrom = command.Type_SEAL_SEGMENT, parts
		had := w.sealed(t)
		if err := l.Seal(t.Context()); !errors.Is(err, errNoQuorum) {
			t.Fatal(err)
		}
		w.failing = command.Type_NONE
		if got := w.sealed(t) - had; got != int64(parts)*4096 {
			t.Errorf("%d leaves went with %d parts", got, parts)
		}
		s.told(t, w, l)
		left := w.killed(t)
		again := left.ledger(t)
		s.told(t, left, again)
		if !slices.EqualFunc(bundles(t, again, int64(len(s.all))), before, same) {
			t.Error("bundles differ")
		}
		if parts == 0 {
			continue
		}
		must(t, again.Seal(t.Context()))
		if got := left.sealed(t); got != segment.Leaves {
			t.Errorf("%d leaves are sealed", got)
		}
		s.told(t, left, again)
		seals := 0
		must(t, left.s.Log(audit.System).Scan(t.Context(), 0, left.size(t, audit.System), func(_ int64, b []byte) error {
			leaf, err := audit.DecodeLeaf(b)
			if err == nil && leaf.Action == audit.LogSegmentSeal {
				seals++
			}
			return err
		}))
		if seals != 1 {
			t.Errorf("the segment is sealed %d times in the log", seals)
		}
	}
	must(t, l.Seal(t.Context()))
	s.told(t, w, l)
}

// More logs than the ledger keeps indexes of are searched in turn, while they
// grow.
func TestManyLogs(t *testing.T) {
	w := found(t, t.TempDir())
	t.Cleanup(func() { w.s.Close() })
	const many = 20 // it keeps 16
	for i := range many {
		w.enrol(t, fmt.Sprint("ten_", i))
	}
	l := w.ledger(t)
	for round := range 3 {
		for i := range many {
			tenant := fmt.Sprint("ten_", i)
			c := reader()
			c.Tenant = tenant
			must(t, w.some(tenant, 10))
			found, err := l.Search(t.Context(), c, tenant, ledger.Query{Action: string(audit.DecisionMake), Limit: 200})
			if want := 2 * (round + 1); err != nil || len(found.Leaves) != want || found.Total != int64(want) {
				t.Errorf("%s, round %d: %+v, %v", tenant, round, found, err)
			}
		}
	}
}
