package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"gatehouse/engine/pack"
	"gatehouse/engine/specimen"
)

// somePictures are those of 30 people with three and of 61 with one.
func somePictures() (names []string) {
	for who := range 91 {
		for k := range yesInt(who < 30, 3, 1) {
			names = append(names, fmt.Sprintf("%02d/%d.jpg", who, k))
		}
	}
	return names
}

func yesInt(holds bool, then, otherwise int) int {
	if holds {
		return then
	}
	return otherwise
}

func TestSplit(t *testing.T) {
	names := somePictures()
	d := divide(names, 1)
	if len(d.people) != 30 || len(d.fillers) != 30 || len(d.loners) != 31 {
		t.Fatalf("%d people, %d fillers, %d loners", len(d.people), len(d.fillers), len(d.loners))
	}
	s := d.split(1, 0)
	if len(s.enrolled) != 15+30 || len(s.mated) != 15 || len(s.strangers) != 15+31 {
		t.Fatalf("%d enrolled, %d mated, %d strangers", len(s.enrolled), len(s.mated), len(s.strangers))
	}
	who := func(picture int) string { return names[picture][:2] }
	seen := map[string]bool{}
	for i, p := range s.enrolled {
		if seen[who(p)] {
			t.Errorf("%s is enrolled twice", who(p))
		}
		seen[who(p)] = true
		if i < len(s.mated) && (who(s.mated[i]) != who(p) || s.mated[i] == p) {
			t.Errorf("%s is searched for with %s", names[p], names[s.mated[i]])
		}
	}
	for _, p := range s.strangers {
		if seen[who(p)] {
			t.Errorf("%s is enrolled, or searched for twice as a stranger", who(p))
		}
		seen[who(p)] = true
	}
	if len(seen) != 91 {
		t.Errorf("%d of 91 people have a part", len(seen))
	}
	if again := divide(names, 1).split(1, 0); !slices.Equal(again.enrolled, s.enrolled) || !slices.Equal(again.mated, s.mated) || !slices.Equal(again.strangers, s.strangers) {
		t.Error("the same seed splits otherwise")
	}
	if other := d.split(1, 1); slices.Equal(other.enrolled[:15], s.enrolled[:15]) {
		t.Error("another split is the same")
	}
}

func TestOpenSetRates(t *testing.T) {
	mated := []attempt{{0.9, true}, {0.5, true}, {0.8, false}, {0.7, true}}
	for threshold, want := range map[float64]float64{0.5: 0.25, 0.51: 0.5, 0.9: 0.75, 0.91: 1} {
		if got := missed(mated, threshold); got != want {
			t.Errorf("missed at %g: %g, want %g", threshold, got, want)
		}
	}
	var strangers []attempt
	for i := range 200 {
		strangers = append(strangers, attempt{score: float64(i*77%200) / 200})
	}
	for share, want := range map[float64]float64{0: 0, 0.001: 0, 0.01: 0.01, 0.013: 0.01, 0.1: 0.1} {
		at := keeping(strangers, share)
		if got := named(strangers, at); got != want {
			t.Errorf("FPIR %g where %g is to be kept", got, share)
		}
		if got := named(strangers, math.Nextafter(at, 0)); got <= share {
			t.Errorf("a lower threshold than %g keeps %g too", at, share)
		}
	}
	if a := (attempt{0.6, true}).among(0.7); a != (attempt{0.7, false}) {
		t.Errorf("a face more alike: %v", a)
	}
	if a := (attempt{0.6, true}).among(0.6); a != (attempt{0.6, true}) {
		t.Errorf("a face as alike, enrolled later: %v", a)
	}
}

// inventedPeople have templates of two parts, as those of two recognisers.
func inventedPeople(names []string, parts []int) *templates {
	t := &templates{Names: names, Dim: parts[0] + parts[1]}
	from := []*specimen.Templates{specimen.NewTemplates(1, parts[0]), specimen.NewTemplates(2, parts[1])}
	for _, n := range names {
		var who, picture uint64
		fmt.Sscanf(n, "%d/%d.jpg", &who, &picture)
		for _, f := range from {
			for _, x := range f.Template(who, picture) {
				t.Vectors = append(t.Vectors, x/math.Sqrt2)
			}
		}
	}
	return t
}

func TestCrowd(t *testing.T) {
	parts := []int{96, 32}
	var names []string
	for i := range 600 {
		names = append(names, fmt.Sprintf("%d/0.jpg", i))
	}
	people := inventedPeople(names, parts)
	for i := range names { // a mean that is not 0: all have something in common
		lean(people.of(i)[:parts[0]])
		lean(people.of(i)[parts[0]:])
	}
	var faces, others [][]float32
	for i := range 300 {
		faces, others = append(faces, people.of(i)), append(others, people.of(300+i))
	}
	for _, sight := range []int{40, len(faces)} {
		c := newCrowd(3, faces, sight, parts)
		rows := newRows(1001, people.Dim)
		c.invent(0, rows)
		for _, v := range rows {
			rest := v
			for _, d := range parts {
				var squares float64
				for _, x := range rest[:d] {
					squares += float64(x) * float64(x)
				}
				if math.Abs(squares-0.5) > 1e-4 {
					t.Fatalf("a part of %d has length %g", d, math.Sqrt(squares))
				}
				rest = rest[d:]
			}
		}
		later := newRows(7, people.Dim)
		c.invent(500, later)
		for i, v := range later {
			if !slices.Equal(v, rows[500+i]) {
				t.Fatalf("face %d is another when it is invented alone", 500+i)
			}
		}
		if slices.Equal(rows[0], rows[1]) {
			t.Error("two faces are one")
		}
		real, made := likeness(others, faces), likeness(others, rows)
		for _, share := range []float64{0.5, 0.1, 0.01} {
			// Here 0.017 apart at most; without the mean or with another spread far more.
			if a, b := real.threshold(share), made.threshold(share); math.Abs(a-b) > 0.025 {
				t.Errorf("%d in sight: %g of the pairs are above %.3f, of real ones above %.3f", sight, share, b, a)
			}
		}
	}
}

// lean a part of a template to one side, and bring it to its length again.
func lean(v []float32) {
	for k := range v {
		v[k] += float32(0.6 / math.Sqrt(float64(len(v))))
	}
	scale := float32(math.Sqrt(0.5 / similarity(v, v)))
	for k := range v {
		v[k] *= scale
	}
}

func TestLikenessCountsEachPair(t *testing.T) {
	people := inventedPeople([]string{"0/0.jpg", "1/0.jpg", "2/0.jpg"}, []int{32, 32})
	var some, others [][]float32
	want := newHistogram()
	for i := range 67 {
		some = append(some, people.of(i%3))
	}
	for i := range 6 {
		others = append(others, people.of((i+1)%3))
	}
	for _, a := range some {
		for _, b := range others {
			want.add(dot4(a, b, b, b, b)[0])
		}
	}
	if got := likeness(some, others); got.total != want.total || !slices.Equal(got.bins, want.bins) {
		t.Errorf("%d pairs, want %d, or others", got.total, want.total)
	}
}

// What is put together of two searches is what one gallery with both gives.
func TestOpenSetSearch(t *testing.T) {
	ctx, parts := context.Background(), []int{96, 32}
	names := somePictures()
	o := &openSet{report: &report{out: io.Discard, progress: io.Discard}, pictures: inventedPeople(names, parts), division: divide(names, 1),
		match: &pack.MatchCalibration{EmbeddingID: "test", SafetyFactor: 1, FMR: []pack.RatePoint{{Score: 0.2, Rate: 0.1}, {Score: 0.8, Rate: 1e-6}}}}
	for n := range 2 {
		s, err := o.search(ctx, o.division.split(1, uint64(n)))
		if err != nil {
			t.Fatal(err)
		}
		o.splits = append(o.splits, s)
	}
	o.crowd = newCrowd(1, o.vectors(o.division.fillers), sight, parts)
	for _, s := range o.splits {
		for i, p := range s.probes() {
			best, at := -2.0, 0
			for k, e := range s.enrolled {
				if like := similarity(o.pictures.of(p), o.pictures.of(e)); like > best {
					best, at = like, k
				}
			}
			if got := s.exact[i]; math.Abs(got.score-best) > 1e-6 || got.right != (i < s.mates() && at == i) || s.found[i] != uint64(at+1) {
				t.Fatalf("probe %d: %v, number %d, want %.6f, number %d", i, got, s.found[i], best, at+1)
			}
		}
	}
	const invented = 300
	var z *size
	if err := o.searchCrowd(ctx, []int{100, invented}, func(n int, tops []float64) { z = o.sized(n, tops) }); err != nil {
		t.Fatal(err)
	}
	w, err := o.walkCrowd(ctx, invented)
	if err != nil {
		t.Fatal(err)
	}
	if w.enrolled != z.enrolled() {
		t.Fatalf("%d in one gallery, %d in two", w.enrolled, z.enrolled())
	}
	for _, k := range append(z.others, z.promise) {
		if want := rated(w.exact[:w.mates], w.exact[w.mates:], k.threshold); k.rates[0] != want {
			t.Errorf("at an FPIR of %g: %v, want %v", k.target, k.rates[0], want)
		}
	}
	if fnir := z.rates[0].fnir; fnir == 0 || fnir == 1 {
		t.Errorf("an FNIR of %g tells nothing", fnir)
	}
}

func similarity(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

func TestOpenSetWithoutData(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, errOut bytes.Buffer
	if code := run(context.Background(), []string{"accuracy", "--data", "absent", "--only", "faces"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	for _, f := range openSetFigures() {
		f.status, f.because = skipped, noData
		if !strings.Contains(out.String(), f.String()+"\n") {
			t.Errorf("%q is not in %s", f.String(), out.String())
		}
	}
}

func TestAlike(t *testing.T) {
	o := &openSet{division: &division{person: []int{0, 1, 2, 3, 3}}}
	one := &split{enrolled: []int{3, 0}, mated: []int{4}, strangers: []int{1, 2}}
	two := &split{enrolled: []int{3, 1}, mated: []int{4}, strangers: []int{0, 2}}
	o.splits = []*searched{
		{split: one, exact: []attempt{{0.7, true}, {0.6, false}, {0.3, false}}, found: []uint64{1, 2, 1}},
		{split: two, exact: []attempt{{0.7, true}, {0.8, false}, {0.5, false}}, found: []uint64{1, 2, 2}},
	}
	// 0 and 1 twice, once as like as a person is to himself; 1 and 2 less so.
	if pairs, twins := o.alike(0.4); pairs != 2 || twins != 1 {
		t.Errorf("%d pairs, %d twins, want 2 and 1", pairs, twins)
	}
	if pairs, twins := o.alike(0.9); pairs != 0 || twins != 0 {
		t.Errorf("%d pairs, %d twins above all", pairs, twins)
	}
}
