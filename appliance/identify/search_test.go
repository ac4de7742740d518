package identify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"gatehouse/appliance/identify"
	"gatehouse/appliance/verify"
	"gatehouse/engine/face"
	"gatehouse/engine/gallery"
	"gatehouse/engine/pack"
	"gatehouse/store/command"
)

// Whoever was enrolled, erased, blocked or unblocked is, or is not, in the
// search that begins next, without anybody being told.
func TestNextSearchKnows(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 20)
	k := w.loaded()
	const p, q = 100, 200
	found := func(person uint64) (bool, bool) {
		t.Helper()
		s, b := k.find(t, home, probe(person, 1), identify.Query{})
		return slices.Contains(s, session(person)), slices.Contains(b, blocked(person))
	}
	if s, b := found(p); s || b {
		t.Fatal("found before")
	}
	w.enrol(home, session(p), subject(p), probe(p, 0))
	w.block(home, blocked(q), probe(q, 0))
	w.flush()
	if s, b := found(p); !s || b {
		t.Errorf("enrolled: %v %v", s, b)
	}
	if s, b := found(q); s || !b {
		t.Errorf("blocked: %v %v", s, b)
	}
	if s, b := k.find(t, other, probe(p, 1), identify.Query{}); len(s)+len(b) > 0 {
		t.Errorf("another tenant finds %v %v", s, b)
	}
	w.erase(home, subject(p))
	w.unblock(home, blocked(q))
	if s, _ := found(p); s {
		t.Error("found after the erasure")
	}
	if _, b := found(q); b {
		t.Error("found after it was unblocked")
	}
	k.whole(t, home, 20, 0)
	// Nor by one who has searched before, and looks again.
	w.enrol(home, session(p+1), subject(p+1), probe(p, 0))
	w.flush()
	was, err := k.Identify(t.Context(), home, "sub_x", probe(p, 1))
	if err != nil || len(was.Subjects.Candidates) != 1 {
		t.Fatalf("%+v, %v", was, err)
	}
	w.erase(home, subject(p+1))
	if is, err := k.Again(t.Context(), home, "sub_x", probe(p, 1), was); err != nil || len(is.Subjects.Candidates) != 0 {
		t.Errorf("%+v, %v", is, err)
	}
}

// A person with several faces is erased with all of them.
func TestErasureTakesAllFaces(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	for i := range uint64(5) {
		w.enrol(home, fmt.Sprintf("ses_own_%d", i), subject(7), probe(7, 10+i))
	}
	w.flush()
	w.saved()
	k := w.loaded()
	k.whole(t, home, 305, 0)
	w.erase(home, subject(7))
	if got, _ := k.find(t, home, probe(7, 10), identify.Query{K: 100, FPIR: 0.99}); slices.ContainsFunc(got, func(id string) bool { return id == session(7) || id[:7] == "ses_own" }) {
		t.Errorf("found %v", got)
	}
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
		t.Errorf("the search left %v on the disk, %v", left, err)
	}
	k.whole(t, home, 299, 0)
}

// Templates that cannot be compared are counted, in their list.
func TestOthers(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 4)
	strange := face.Template{Model: "other", Vector: faces.Template(50, 0)}
	w.enrol(home, session(50), subject(50), strange)
	w.enrol(home, session(51), subject(51), strange)
	w.block(home, blocked(52), strange)
	w.flush()
	k := w.loaded()
	f, err := k.Identify(t.Context(), home, "sub_x", probe(50, 0))
	if err != nil || f.Subjects.Others != 2 || f.Blocklist.Others != 1 || f.Subjects.Compared != 4 || f.Blocklist.Compared != 0 || len(f.Subjects.Candidates) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	w.erase(home, subject(50))
	w.unblock(home, blocked(52))
	if f, err = k.Identify(t.Context(), home, "sub_x", probe(50, 0)); err != nil || f.Subjects.Others != 1 || f.Blocklist.Others != 0 {
		t.Errorf("after a removal: %+v, %v", f, err)
	}
	w.block(home, blocked(53), strange) // while the galleries are in memory
	w.flush()
	if f, err = k.Identify(t.Context(), home, "sub_x", probe(50, 0)); err != nil || f.Subjects.Others != 1 || f.Blocklist.Others != 1 {
		t.Errorf("after another: %+v, %v", f, err)
	}
	k.whole(t, home, 4, 0)
}

// They are counted from a snapshot too.
func TestOthersFromASnapshot(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 300)
	w.enrol(home, session(500), subject(500), face.Template{Model: "other", Vector: faces.Template(500, 0)})
	w.block(home, blocked(501), face.Template{Model: "other", Vector: faces.Template(501, 0)})
	w.flush()
	w.saved()
	k := w.loaded()
	if s, err := k.Stats(home); err != nil || s.Subjects.Others != 1 || s.Blocklist.Others != 1 || s.Subjects.Templates != 300 || s.Snapshot == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	w.unblock(home, blocked(501))
	if f, err := k.Identify(t.Context(), home, "sub_x", probe(1, 1)); err != nil || f.Subjects.Others != 1 || f.Blocklist.Others != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestProbeOfAnotherModel(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 2)
	k := w.loaded()
	for name, c := range map[string]struct {
		probe face.Template
		want  error
	}{
		"model":     {face.Template{Model: "other", Vector: faces.Template(0, 0)}, face.ErrSpace},
		"dimension": {face.Template{Model: model, Vector: faces.Template(0, 0)[:64]}, gallery.ErrDimension},
		"length":    {face.Template{Model: model, Vector: make([]float32, dimension)}, gallery.ErrNotUnit},
	} {
		if f, err := k.Identify(t.Context(), home, "sub_x", c.probe); !errors.Is(err, c.want) || f != nil {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := k.Search(t.Context(), home, probe(0, 0), identify.Query{K: 1, Engine: gallery.Graph}); !errors.Is(err, gallery.ErrNoGraph) {
		t.Errorf("without a graph: %v", err)
	}
	if _, err := k.Search(t.Context(), home, probe(0, 0), identify.Query{K: 0}); !errors.Is(err, gallery.ErrQuery) {
		t.Errorf("no candidates wanted: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Identify(ctx, home, "sub_x", probe(0, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := k.Identify(t.Context(), "ten_x", "sub_x", probe(0, 0)); err == nil {
		t.Error("a tenant that is not there has a gallery")
	}
}

// A person's own faces are no candidates, and hide nobody, however many they
// are.
func TestOwnFaces(t *testing.T) {
	for _, own := range []int{1, 60, 1100} { // 10 candidates are asked for first, gallery.MaxK is the most
		t.Run(fmt.Sprint(own), func(t *testing.T) {
			w := founded(t)
			const p = 7
			for i := range own { // nearest to the probe
				w.enrol(home, fmt.Sprintf("ses_own_%d", i), subject(p), probe(p, 1))
			}
			w.enrol(home, "ses_same", "sub_same", probe(p, 2))
			w.many(home, 100, 120)
			w.flush()
			k := w.loaded()
			f, err := k.Identify(t.Context(), home, subject(p), probe(p, 1))
			if err != nil {
				t.Fatal(err)
			}
			if c := f.Subjects.Candidates; len(c) != 1 || c[0].ID != "ses_same" || c[0].Subject != "sub_same" {
				t.Errorf("own faces %d: candidates %+v", own, c)
			}
			if f.Subjects.Compared != own+21 {
				t.Errorf("compared with %d", f.Subjects.Compared)
			}
			// To everybody else all are.
			all, _ := k.find(t, home, probe(p, 1), identify.Query{K: 5})
			if len(all) != 5 || all[0] != "ses_own_0" || all[4] != "ses_own_"+fmt.Sprint(min(own-1, 4)) && own >= 5 {
				if own > 1 {
					t.Errorf("to others %v", all)
				}
			}
		})
	}
}

// The threshold keeps the rate of false names in a list of its size: it rises
// with the list. Each candidate says how often a stranger would be named so.
func TestThreshold(t *testing.T) {
	w := founded(t)
	c := calibration()
	var last float64
	for _, to := range []uint64{1, 30, 300, 1200} {
		w.many(home, w.count(home), to)
		k := w.loaded()
		f, err := k.Identify(t.Context(), home, "sub_x", probe(0, 1))
		if err != nil {
			t.Fatal(err)
		}
		s := f.Subjects
		want, beyond := c.Threshold(pack.DefaultFPIR, int(to))
		if s.Threshold != want || s.Beyond != beyond || s.Threshold <= last || s.FPIR != pack.DefaultFPIR || s.Compared != int(to) || s.Engine != "exact" {
			t.Errorf("%d: %+v", to, s)
		}
		if got := pack.FPIR(s.ThresholdFMR, int(to)); math.Abs(got-pack.DefaultFPIR) > 1e-6 {
			t.Errorf("%d: the threshold's FMR %g makes an FPIR of %g", to, s.ThresholdFMR, got)
		}
		if f.Blocklist.Compared != 0 || f.Blocklist.Threshold > s.Threshold {
			t.Errorf("%d: the blocklist has a threshold of its own: %+v", to, f.Blocklist)
		}
		if len(s.Candidates) == 0 || s.Candidates[0].ID != session(0) {
			t.Fatalf("%d: %+v", to, s.Candidates)
		}
		for _, one := range s.Candidates {
			fmr, _ := c.OpenSet(one.Similarity)
			if one.Similarity < s.Threshold || one.FMR != fmr || one.FPIR != pack.FPIR(fmr, int(to)) || one.FPIR > pack.DefaultFPIR+1e-6 {
				t.Errorf("%d: %+v", to, one)
			}
		}
		last = s.Threshold
	}
	// Asked for more of the doubtful, more are named: as many as wanted, the
	// most similar first.
	k := w.loaded()
	for _, fpir := range []float64{1e-6, 0.01, 0.5, 0.999999} {
		for _, n := range []int{1, 3, 1000} {
			f, err := k.Search(t.Context(), home, probe(0, 1), identify.Query{K: n, FPIR: fpir})
			if err != nil {
				t.Fatal(err)
			}
			s := f.Subjects
			want, _ := c.Threshold(fpir, 1200)
			if s.Threshold != want || s.FPIR != fpir || len(s.Candidates) > n || !slices.IsSortedFunc(s.Candidates, falling) {
				t.Errorf("FPIR %g, %d: %+v", fpir, n, s)
			}
			if s.Candidates[0].ID != session(0) || len(s.Candidates) != min(n, k.above(t, s.Threshold)) {
				t.Errorf("FPIR %g, %d: %d candidates of %d above %.3f", fpir, n, len(s.Candidates), k.above(t, s.Threshold), s.Threshold)
			}
		}
	}
}

func falling(a, b verify.Candidate) int { return cmp.Compare(b.Similarity, a.Similarity) }

// above counts, one by one, who is at least so like the probe of TestThreshold.
func (k *keeper) above(t *testing.T, threshold float64) (n int) {
	t.Helper()
	a := faces.Template(0, 1)
	for p := range uint64(1200) {
		var dot float64
		for i, x := range faces.Template(p, 0) {
			dot += float64(x) * float64(a[i])
		}
		if dot >= threshold {
			n++
		}
	}
	return n
}

// count of what was enrolled in the subjects.
func (w *world) count(tenant string) (n uint64) {
	for _, c := range w.log {
		if c.Tenant == tenant && c.Type == command.Type_COMPLETE {
			n++
		}
	}
	return n
}

// Two verifications of one new face, of which neither knows the other: the state
// sends the later back, and it finds the earlier.
func TestTwoAtOnce(t *testing.T) {
	w := founded(t)
	w.many(home, 0, 50)
	one, two := w.loaded(), w.loaded() // two nodes, or none in the lane
	for round := range uint64(20) {
		p := 1000 + round
		first, second := fmt.Sprintf("first_%d", p), fmt.Sprintf("second_%d", p)
		w.submitted(home, "ses_"+first, "sub_"+first)
		w.submitted(home, "ses_"+second, "sub_"+second)
		w.flush()
		a, errA := one.Identify(t.Context(), home, "sub_"+first, probe(p, 0))
		b, errB := two.Identify(t.Context(), home, "sub_"+second, probe(p, 1))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if len(a.Subjects.Candidates)+len(b.Subjects.Candidates) > 0 {
			continue // like somebody else: that is another test
		}
		w.decided(home, "ses_"+first, "sub_"+first, probe(p, 0), a.Searched)
		if got := w.try(); got != "" {
			t.Fatalf("the first: %s", got)
		}
		w.decided(home, "ses_"+second, "sub_"+second, probe(p, 1), b.Searched)
		if got := w.try(); got != "search_again" {
			t.Fatalf("the second: %q", got)
		}
		c, err := two.Again(t.Context(), home, "sub_"+second, probe(p, 1), b)
		if err != nil || len(c.Subjects.Candidates) != 1 || c.Subjects.Candidates[0].ID != "ses_"+first || c.Searched <= b.Searched || c.Subjects.Compared != a.Subjects.Compared+1 {
			t.Fatalf("%+v, %v", c, err)
		}
		w.decided(home, "ses_"+second, "sub_"+second, probe(p, 1), c.Searched)
		if got := w.try(); got != "" {
			t.Fatalf("the second, again: %s", got)
		}
	}
}

// Again gives what a search anew would, without searching all again: what was
// enrolled and removed since counts, and the list's size now.
func TestAgainIsAsASearchAnew(t *testing.T) {
	const p, before = 9, 200
	between := func() uint64 { // a person whose likeness is above a small list's threshold alone
		c := calibration()
		low, _ := c.Threshold(pack.DefaultFPIR, 20)
		high, _ := c.Threshold(pack.DefaultFPIR, before)
		a := faces.Template(p, 0)
		for q := uint64(10_000); ; q++ {
			var dot float64
			for i, x := range faces.Template(q, 0) {
				dot += float64(x) * float64(a[i])
			}
			if dot > low+0.01 && dot < high-0.01 {
				return q
			}
		}
	}()
	for name, since := range map[string]func(w *world){
		"nothing": func(*world) {},
		"one more": func(w *world) {
			w.enrol(home, "ses_after", "sub_after", probe(p, 0))
			w.block(home, "blk_after", probe(p, 2))
		},
		"one less": func(w *world) { w.erase(home, "sub_before") },
		"many more": func(w *world) {
			w.many(home, 1000, 1600)
		},
		"many less": func(w *world) {
			for q := range uint64(before - 20) {
				w.add(command.Type_ERASE_SUBJECT, home, "subject.erase.restrict", &command.EraseSubject{Subject: subject(100 + q), Reason: "withdrawn"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := founded(t)
			w.enrol(home, "ses_before", "sub_before", probe(p, 1))
			w.enrol(home, "ses_between", "sub_between", probe(between, 0))
			w.many(home, 100, 100+before-2)
			k := w.loaded()
			was, err := k.Identify(t.Context(), home, "sub_x", probe(p, 0))
			if err != nil || len(was.Subjects.Candidates) == 0 {
				t.Fatalf("%+v, %v", was, err)
			}
			since(w)
			w.flush()
			is, err := k.Again(t.Context(), home, "sub_x", probe(p, 0), was)
			if err != nil {
				t.Fatal(err)
			}
			now, err := k.Identify(t.Context(), home, "sub_x", probe(p, 0))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%+v", is), fmt.Sprintf("%+v", now); got != want {
				t.Errorf("again %s\nanew  %s", got, want)
			}
		})
	}
}
