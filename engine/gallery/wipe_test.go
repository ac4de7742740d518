package gallery

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func newFilled(t *testing.T, dimension, rows int) *Gallery {
	t.Helper()
	g, err := New(Config{Name: "a", Model: "m", Dimension: dimension})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range rows {
		if err := g.Enrol(uint64(i+1), Template{"m", randomUnit(r, dimension)}); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// randomUnit has no value that is 0.
func randomUnit(r *rand.Rand, dimension int) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(r.NormFloat64())
		if v[i] == 0 {
			v[i] = 1
		}
	}
	f := float32(1 / math.Sqrt(dot(v, v)))
	for i := range v {
		v[i] *= f
	}
	return v
}

// codeBytes are the places of row i's codes: in the sketch, in what it leaves and,
// where a graph walks, row by row.
func (s *segment) codeBytes(i int) []byte {
	var b []byte
	for _, blocks := range [][]byte{s.sketch, s.rest} {
		block := blocks[i/lanes*s.block():][:s.block()]
		for g := range s.groups {
			b = append(b, block[g*lineSize+i%lanes*4:][:4]...)
		}
	}
	if s.walking != nil {
		b = append(b, s.codes[i*s.stride:][:s.stride]...)
	}
	return b
}

// TestRemoveWipes removes rows at all places of a block, and looks at all bytes
// that were theirs and at those of their neighbours.
func TestRemoveWipes(t *testing.T) {
	for _, dimension := range []int{1, 9, 64, 100, 704} {
		for _, walking := range []bool{false, true} {
			g := newFilled(t, dimension, firstSegment+100) // the second segment is not full
			for _, s := range g.view.Load().segments {
				if walking {
					if err := s.walk(); err != nil {
						t.Fatal(err)
					}
				}
				for i := s.len() - 1; i >= 0; i -= 7 {
					wipeOne(t, g, s, i)
				}
			}
		}
	}
}

func wipeOne(t *testing.T, g *Gallery, s *segment, i int) {
	t.Helper()
	neighbours := []int{}
	before := [][]byte{}
	for _, n := range []int{i - 1, i + 1} {
		if n >= 0 && n < s.len() {
			neighbours, before = append(neighbours, n), append(before, s.codeBytes(n))
		}
	}
	if b := s.codeBytes(i); bytes.Count(b, []byte{0}) == len(b) || s.scales[i] == 0 || s.rough[i] == 0 || s.fine[i] == 0 {
		t.Fatal("the row was empty before: nothing is shown")
	}
	if err := g.Remove(s.numbers[i]); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(s.row(i), func(x float32) bool { return math.Float32bits(x) != 0 }) {
		t.Fatalf("dimension %d, row %d: values are left", s.dimension, i)
	}
	if b := s.codeBytes(i); bytes.Count(b, []byte{0}) != len(b) {
		t.Fatalf("dimension %d, row %d: codes are left", s.dimension, i)
	}
	if s.scales[i] != 0 || s.rough[i] != 0 || s.fine[i] != 0 {
		t.Fatalf("dimension %d, row %d: scale or errors are left", s.dimension, i)
	}
	for j, n := range neighbours {
		if !bytes.Equal(s.codeBytes(n), before[j]) {
			t.Fatalf("dimension %d: removal of row %d changed row %d", s.dimension, i, n)
		}
	}
}

// TestCompactGivesBack: the segment that was replaced is no longer in memory.
func TestCompactGivesBack(t *testing.T) {
	g := newFilled(t, 16, 100)
	was := g.view.Load().segments[0]
	at := was.memory.bytes
	for i := range 300 { // more than a quarter of the capacity
		if err := g.Enrol(uint64(101+i), Template{"m", randomUnit(rand.New(rand.NewPCG(1, uint64(i))), 16)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 350 {
		if err := g.Remove(uint64(i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	v := g.enter()
	if err := g.Compact(); err != nil {
		t.Fatal(err)
	}
	if was.memory.bytes == nil {
		t.Fatal("the segment was taken away under a reader")
	}
	g.leave(v)
	if was.memory.bytes != nil || mapped(t, at) {
		t.Fatal("the segment is still there when its last reader has left")
	}
	if g.Len() != 50 || g.Stats().Removed != 0 {
		t.Fatalf("%d templates, %d removed; want 50, 0", g.Len(), g.Stats().Removed)
	}
}

// TestCloseGivesBack at once where nobody reads, else with the last reader, even
// when another call holds the gallery's lock at that moment.
func TestCloseGivesBack(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(g *Gallery)
	}{
		{"nobody reads", func(g *Gallery) { g.Close() }},
		{"a reader", func(g *Gallery) {
			v := g.enter()
			g.Close()
			g.leave(v)
		}},
		{"a reader and another call", func(g *Gallery) {
			v := g.enter()
			g.Close()
			g.mu.Lock() // as Newest does
			var group sync.WaitGroup
			group.Go(func() { g.leave(v) })
			time.Sleep(10 * time.Millisecond)
			g.mu.Unlock()
			group.Wait()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newFilled(t, 64, firstSegment+1)
			segments := g.view.Load().segments
			var at [][]byte
			for _, s := range segments {
				at = append(at, s.memory.bytes)
			}
			test.do(g)
			for i, s := range segments {
				if s.memory.bytes != nil {
					t.Errorf("segment %d was not given back", i)
				} else if mapped(t, at[i]) {
					t.Errorf("segment %d is still mapped", i)
				}
			}
		})
	}
}

// TestMemoryIsKeptFromDumpsSwapAndChildren asks Linux for the flags of the pages
// (proc(5): dd, lo and dc).
func TestMemoryIsKeptFromDumpsSwapAndChildren(t *testing.T) {
	for _, rows := range []int{1, firstSegment + 1} {
		g := newFilled(t, 64, rows)
		for i, s := range g.view.Load().segments {
			flags := mappedAt(t, s.memory.bytes)
			if len(flags) == 0 {
				t.Fatalf("segment %d is in no mapping", i)
			}
			for _, f := range flags {
				if !strings.Contains(f, " dd") || !strings.Contains(f, " dc") {
					t.Errorf("segment %d has flags %q: it can be dumped or inherited", i, f)
				}
				if locked := strings.Contains(f, " lo"); locked != s.memory.locked {
					t.Errorf("segment %d has flags %q, but says locked: %v", i, f, s.memory.locked)
				}
			}
		}
	}
	// One that is above the limit says so.
	g := newFilled(t, MaxDimension, 1)
	s := g.view.Load().segments[0]
	if locked := strings.Contains(strings.Join(mappedAt(t, s.memory.bytes), ""), " lo"); locked != g.Stats().Locked {
		t.Errorf("locked: %v, the statistics say %v", locked, g.Stats().Locked)
	}
}

// mapped says whether a segment is still at b. (Others may have got the addresses,
// but theirs are no segments: they may be dumped.)
func mapped(t *testing.T, b []byte) bool {
	t.Helper()
	return strings.Contains(strings.Join(mappedAt(t, b), ""), " dd")
}

// mappedAt gives the flags of the mappings that b touches.
func mappedAt(t *testing.T, b []byte) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skipf("this system does not show its mappings: %v", err)
	}
	defer func() { _ = f.Close() }()
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	to := from + uintptr(len(b))
	var flags []string
	inside := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var lo, hi uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &lo, &hi); n == 2 {
			inside = lo < to && from < hi
		}
		if rest, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			flags = append(flags, rest)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return flags
}
