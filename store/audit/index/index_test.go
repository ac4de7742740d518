package index_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/store/audit"
	"gatehouse/store/audit/index"
)

const (
	origin = "clu_a/ten_a/e1"
	epoch  = audit.Time(1795341600000000000)
)

// leaf seq of a log in which six events follow each other in a session.
func leaf(seq int64) *audit.Leaf {
	session := fmt.Sprintf("ses_%024d", seq/6)
	ts := epoch + audit.Time(seq/3*40e6) // three at a time
	l := &audit.Leaf{
		V: 1, Seq: seq, Log: origin, ID: fmt.Sprintf("evt_%d", seq), TS: ts, TSMono: ts, Node: "nod_1",
		Actor: audit.Actor{Type: "client", ID: fmt.Sprintf("cli_%d", seq%7)}, SubjectRef: fmt.Sprintf("sub_%024d", seq/6), Result: audit.OK,
	}
	switch seq % 6 {
	case 0:
		l.Action, l.Object = audit.SessionCreate, audit.Object{Type: "session", ID: session}
	case 1, 2:
		l.Action, l.Object = audit.SessionEvidenceAdd, audit.Object{Type: "evidence", ID: fmt.Sprintf("evd_%024d", seq)}
		l.Data = map[string]any{"session": session}
	case 3:
		l.Action, l.Object = audit.DocumentProcess, audit.Object{Type: "session", ID: session}
	case 4:
		l.Action, l.Object = audit.FaceProcess, audit.Object{Type: "session", ID: session}
	case 5:
		l.Action, l.Object = audit.DecisionMake, audit.Object{Type: "session", ID: session}
	}
	return l
}

func build(t testing.TB, first int64, count int) *index.Builder {
	t.Helper()
	b := index.NewBuilder(origin, first)
	for i := range int64(count) {
		if err := b.Add(first+i, leaf(first+i)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func write(t testing.TB, b *index.Builder) (path string, x *index.Index) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "00000000.idx")
	if err := index.WriteFile(path, b); err != nil {
		t.Fatal(err)
	}
	first, _ := b.Index().Range()
	x, err := index.ReadFile(path, origin, first)
	if err != nil {
		t.Fatal(err)
	}
	return path, x
}

// both are an index in memory and the same in a file.
func both(t testing.TB, first int64, count int) map[string]*index.Index {
	b := build(t, first, count)
	_, x := write(t, b)
	return map[string]*index.Index{"memory": b.Index(), "file": x}
}

func has(l *audit.Leaf, terms []index.Term) bool {
	own := index.Terms(l)
	for _, t := range terms {
		if !slices.Contains(own, t) {
			return false
		}
	}
	return true
}

func TestFind(t *testing.T) {
	t.Parallel()
	const first, count = 1 << 16, 3000
	r := rand.New(rand.NewPCG(1, 2))
	for kind, x := range both(t, first, count) {
		if from, to := x.Range(); from != first || to != first+count {
			t.Errorf("%s: it is of %d to %d", kind, from, to)
		}
		found := 0
		for range 600 {
			all := index.Terms(leaf(first + r.Int64N(count)))
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			terms := all[:r.IntN(4)]
			if r.IntN(10) == 0 {
				terms = append(terms, index.Of(index.Object, "nothing"))
			}
			from := first - 100 + r.Int64N(count+200)
			to := from + r.Int64N(count)
			var want []int64
			for seq := max(from, first); seq < min(to, first+count); seq++ {
				if has(leaf(seq), terms) {
					want = append(want, seq)
				}
			}
			got, err := x.Find(terms, from, to)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: %x from %d to %d gives %d leaves instead of %d, %v", kind, terms, from, to, len(got), len(want), err)
			}
			found += len(got)
		}
		if found < 10_000 {
			t.Errorf("%s: only %d leaves were found", kind, found)
		}
		for _, r := range [][2]int64{{math.MinInt64, math.MaxInt64}, {first + 5, first + 4}, {0, first}, {first + count, math.MaxInt64}} {
			got, err := x.Find([]index.Term{index.Of(index.Action, string(audit.DecisionMake))}, r[0], r[1])
			if want := count / 6; err != nil || len(got) != 0 && (r[0] >= 0 || len(got) != want) {
				t.Errorf("%s: %v gives %d leaves, %v", kind, r, len(got), err)
			}
		}
	}
}

// A session is found by its own events and by those of its evidence.
func TestTerms(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		leaf audit.Leaf
		want []index.Term
	}{
		"nothing": {leaf: audit.Leaf{}},
		"session": {audit.Leaf{Object: audit.Object{Type: "session", ID: "s"}}, []index.Term{index.Of(index.Session, "s"), index.Of(index.Object, "s")}},
		"of a session": {audit.Leaf{Object: audit.Object{Type: "evidence", ID: "e"}, Data: map[string]any{"session": "s"}},
			[]index.Term{index.Of(index.Session, "s"), index.Of(index.Object, "e")}},
		"a number": {audit.Leaf{Data: map[string]any{"session": int64(1)}}, nil},
		"all": {audit.Leaf{SubjectRef: "p", Actor: audit.Actor{ID: "a"}, Action: audit.NodeStart},
			[]index.Term{index.Of(index.Subject, "p"), index.Of(index.Actor, "a"), index.Of(index.Action, string(audit.NodeStart))}},
	} {
		if got := index.Terms(&c.leaf); !slices.Equal(got, c.want) {
			t.Errorf("%s: %x", what, got)
		}
	}
	if index.Of(index.Session, "x") == index.Of(index.Object, "x") {
		t.Error("two fields have the same term")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, count := range []int{0, 1, 255, 256, 257, 2000} {
		for kind, x := range both(t, 500, count) {
			check := func(a, b audit.Time) {
				t.Helper()
				from, to := x.Bounds(a, b)
				early, late := 0, 0
				for seq := int64(500); seq < 500+int64(count); seq++ {
					ts := leaf(seq).TSMono
					if in := from <= seq && seq < to; !in && a <= ts && ts <= b {
						t.Fatalf("%s of %d: leaf %d is not in %d to %d", kind, count, seq, from, to)
					} else if in && ts < a {
						early++
					} else if in && ts > b {
						late++
					}
				}
				if from > to || from < 500 || to > 500+int64(count) || early >= 256 || late >= 256 {
					t.Fatalf("%s of %d: %d to %d, %d too early, %d too late", kind, count, from, to, early, late)
				}
			}
			begin, end := leaf(500).TSMono, leaf(500+int64(count)).TSMono
			for range 300 {
				a := begin - 1e9 + audit.Time(r.Int64N(int64(end-begin)+2e9))
				check(a, a+audit.Time(r.Int64N(int64(end-begin)+1)))
			}
			at := leaf(500 + int64(count)/2).TSMono
			check(at, at)
			check(at, at-1)
			check(math.MinInt64, math.MaxInt64)
			check(begin, begin)
			check(math.MinInt64, begin-1)
			check(end+1, math.MaxInt64)
			if from, to := x.Bounds(end+1, math.MaxInt64); from != to { // old segments cost nothing
				t.Errorf("%s of %d: %d to %d is after all", kind, count, from, to)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	b := build(t, 10, 5)
	other := leaf(15)
	other.Log = "clu_a/ten_b/e1"
	for what, err := range map[string]error{
		"again": b.Add(14, leaf(14)), "a gap": b.Add(16, leaf(16)), "another log": b.Add(15, other),
	} {
		if !errors.Is(err, index.ErrOrder) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := b.Add(15, leaf(15)); err != nil {
		t.Error(err)
	}
	full := build(t, 0, index.MaxLeaves)
	if err := full.Add(index.MaxLeaves, leaf(index.MaxLeaves)); !errors.Is(err, index.ErrOrder) {
		t.Errorf("one too many: %v", err)
	}
	if _, x := write(t, full); x == nil {
		t.Error("no file")
	} else if got, err := x.Find(index.Terms(leaf(index.MaxLeaves-1)), 0, index.MaxLeaves); err != nil || !slices.Equal(got, []int64{index.MaxLeaves - 1}) {
		t.Errorf("the last leaf: %v, %v", got, err)
	}
}

// Readers see a growing index whole.
func TestGrowsWhileRead(t *testing.T) {
	t.Parallel()
	b := index.NewBuilder(origin, 0)
	x := b.Index()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				_, to := x.Range()
				got, err := x.Find([]index.Term{index.Of(index.Action, string(audit.SessionCreate))}, 0, to)
				if err != nil || len(got) != int(to+5)/6 {
					t.Errorf("%d of %d leaves, %v", len(got), to, err)
					return
				}
				x.Bounds(epoch, epoch+1e9)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for seq := range int64(5000) {
		if err := b.Add(seq, leaf(seq)); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

// Whichever byte of a file changes, it is an error or finds what it should.
func TestDamage(t *testing.T) {
	t.Parallel()
	const count = 20
	path, _ := write(t, build(t, 0, count))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	terms := map[index.Term][]int64{}
	for seq := range int64(count) {
		for _, term := range index.Terms(leaf(seq)) {
			terms[term] = append(terms[term], seq)
		}
	}
	// search says whether each term is found as it should be, or is an error.
	search := func(t *testing.T, b []byte) (damaged bool) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := index.ReadFile(path, origin, 0)
		if err != nil {
			if !errors.Is(err, index.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Fatal(err)
			}
			return true
		}
		for term, want := range terms {
			got, err := x.Find([]index.Term{term}, 0, count)
			if errors.Is(err, index.ErrDamaged) && strings.Contains(err.Error(), path) {
				damaged = true
			} else if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%v instead of %v, %v", got, want, err)
			}
		}
		return damaged
	}
	if search(t, whole) {
		t.Fatal("a whole file is damaged")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 1 << r.IntN(8)
		if !search(t, b) {
			t.Errorf("byte %d of %d", i, len(whole))
		}
	}
	for n := 0; n < len(whole); n += 1 + n/20 {
		if !search(t, whole[:n]) {
			t.Errorf("%d of %d bytes", n, len(whole))
		}
	}
	if !search(t, append(slices.Clone(whole), 0)) {
		t.Error("a byte more")
	}
	// Sizes that would be large are refused, whatever else holds.
	for at, value := range map[int]uint32{14: index.MaxLeaves + 1, 14 + 4 - 8: 1} {
		b := slices.Clone(whole)
		binary.BigEndian.PutUint32(b[at:], value)
		if !search(t, b) {
			t.Errorf("%d at byte %d", value, at)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, is := range []struct {
		origin string
		first  int64
	}{{"clu_a/ten_b/e1", 0}, {origin, 1 << 16}} {
		if x, err := index.ReadFile(path, is.origin, is.first); x != nil || !errors.Is(err, index.ErrDamaged) {
			t.Errorf("of %v: %v", is, err)
		}
	}

	// One that is cut short or goes away while it is in use.
	x, err := index.ReadFile(path, origin, 0)
	if err != nil {
		t.Fatal(err)
	}
	find := func() error {
		_, err := x.Find(index.Terms(leaf(3)), 0, count)
		return err
	}
	if err := os.Truncate(path, int64(len(whole)/2)); err != nil {
		t.Fatal(err)
	}
	if err := find(); !errors.Is(err, index.ErrDamaged) {
		t.Errorf("cut short: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := find(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	if _, err := index.ReadFile(path, origin, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
}
