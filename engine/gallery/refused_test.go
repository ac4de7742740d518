package gallery_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gatehouse/engine/gallery"
)

func TestConfigIsRefused(t *testing.T) {
	good := gallery.Config{Model: model, Dimension: 8}
	for name, change := range map[string]func(c *gallery.Config){
		"no dimension":       func(c *gallery.Config) { c.Dimension = 0 },
		"negative dimension": func(c *gallery.Config) { c.Dimension = -1 },
		"too many":           func(c *gallery.Config) { c.Dimension = gallery.MaxDimension + 1 },
		"no model":           func(c *gallery.Config) { c.Model = "" },
		"unknown kernel":     func(c *gallery.Config) { c.Kernel = "abacus" },
	} {
		c := good
		change(&c)
		g, err := gallery.New(c)
		if !errors.Is(err, gallery.ErrConfig) || g != nil {
			t.Errorf("%s: %v, %v; want ErrConfig", name, g, err)
		}
		if c.Kernel != "" {
			for _, k := range gallery.Kernels() {
				if !strings.Contains(err.Error(), k) {
					t.Errorf("%q does not say that there is %q", err, k)
				}
			}
		}
	}
	if all := gallery.Kernels(); len(all) == 0 || all[len(all)-1] != gallery.Portable {
		t.Errorf("kernels are %q: the last must be %q", all, gallery.Portable)
	}
}

// TestTemplateIsRefused by Enrol and by Search, and leaves nothing behind.
func TestTemplateIsRefused(t *testing.T) {
	const dimension = 16
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, dimension)[1].make
	g := open(t, gallery.Config{Dimension: dimension})
	enrol(t, g, 10, draw(r))
	with := func(i int, x float32) []float32 {
		v := draw(r)
		v[i] = x
		return v
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, test := range map[string]struct {
		template gallery.Template
		want     error
	}{
		"NaN":            {template(with(3, nan)), gallery.ErrNotUnit},
		"NaN at the end": {template(with(dimension-1, nan)), gallery.ErrNotUnit},
		"infinite":       {template(with(0, inf)), gallery.ErrNotUnit},
		"minus infinite": {template(with(0, -inf)), gallery.ErrNotUnit},
		"largest":        {template(with(0, math.MaxFloat32)), gallery.ErrNotUnit},
		"zero":           {template(make([]float32, dimension)), gallery.ErrNotUnit},
		"too short":      {template(scaled(draw(r), 0.99)), gallery.ErrNotUnit},
		"too long":       {template(scaled(draw(r), 1.01)), gallery.ErrNotUnit},
		"other model":    {gallery.Template{Model: "another", Vector: draw(r)}, gallery.ErrModel},
		"no model":       {gallery.Template{Vector: draw(r)}, gallery.ErrModel},
		"no vector":      {template(nil), gallery.ErrDimension},
		"a dimension less": {template(unit([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})),
			gallery.ErrDimension},
		"a dimension more": {template(append(draw(r), 0)), gallery.ErrDimension},
	} {
		if err := g.Enrol(11, test.template); !errors.Is(err, test.want) {
			t.Errorf("%s: enrol says %v, want %v", name, err, test.want)
		}
		found, err := g.SearchBatch(t.Context(), []gallery.Template{template(draw(r)), test.template}, gallery.Query{K: 1})
		if !errors.Is(err, test.want) || found != nil {
			t.Errorf("%s: search says %v, %v, want %v", name, found, err, test.want)
		}
	}
	if g.Len() != 1 || g.Newest() != 10 {
		t.Errorf("%d templates, newest %d, after nothing but refusals", g.Len(), g.Newest())
	}
	for _, length := range []float64{0.9991, 1.0009} { // within what float32 and a model's rounding make
		if err := g.Enrol(g.Newest()+1, template(scaled(draw(r), length))); err != nil {
			t.Errorf("length %g: %v", length, err)
		}
	}
}

func TestNumberIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, 8)[1].make
	g := open(t, gallery.Config{Dimension: 8})
	if err := g.Enrol(0, template(draw(r))); !errors.Is(err, gallery.ErrOrder) {
		t.Errorf("number 0: %v", err)
	}
	if err := g.Remove(1); !errors.Is(err, gallery.ErrUnknown) {
		t.Errorf("removal from an empty gallery: %v", err)
	}
	enrol(t, g, 5, draw(r))
	enrol(t, g, 9, draw(r))
	for _, n := range []uint64{0, 4, 6, 10, math.MaxUint64} {
		if err := g.Remove(n); !errors.Is(err, gallery.ErrUnknown) {
			t.Errorf("removal of %d: %v", n, err)
		}
	}
	if err := g.Remove(9); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(9); !errors.Is(err, gallery.ErrUnknown) {
		t.Errorf("second removal: %v", err)
	}
	for _, n := range []uint64{1, 5, 8, 9} { // a number that was removed does not come again
		if err := g.Enrol(n, template(draw(r))); !errors.Is(err, gallery.ErrOrder) {
			t.Errorf("number %d after 9: %v", n, err)
		}
	}
	enrol(t, g, math.MaxUint64, draw(r))
	if got := search(t, g, draw(r), gallery.Query{K: 9, Min: -1, Since: math.MaxUint64}); len(got) != 0 {
		t.Errorf("since the last number: %v", got)
	}
	if g.Len() != 2 {
		t.Errorf("%d templates, want 2", g.Len())
	}
}

func TestQueryIsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	draw := kinds(1, 8)[1].make
	g := open(t, gallery.Config{Dimension: 8})
	enrol(t, g, 1, draw(r))
	for name, q := range map[string]gallery.Query{
		"k 0":            {K: 0},
		"k negative":     {K: -1},
		"k too large":    {K: gallery.MaxK + 1},
		"min NaN":        {K: 1, Min: math.NaN()},
		"min above":      {K: 1, Min: 1.01},
		"min below":      {K: 1, Min: -1.01},
		"min infinite":   {K: 1, Min: math.Inf(-1)},
		"unknown engine": {K: 1, Engine: "oracle"},
	} {
		if found, err := g.Search(t.Context(), template(draw(r)), q); !errors.Is(err, gallery.ErrQuery) || found != nil {
			t.Errorf("%s: %v, %v; want ErrQuery", name, found, err)
		}
	}
	if _, err := g.Search(t.Context(), template(draw(r)), gallery.Query{K: 1, Engine: gallery.Graph}); !errors.Is(err, gallery.ErrNoGraph) {
		t.Errorf("a graph that was not built: %v", err)
	}
	if found, err := g.SearchBatch(t.Context(), nil, gallery.Query{K: 1}); err != nil || len(found) != 0 {
		t.Errorf("no probes: %v, %v", found, err)
	}
}

// TestLeastSimilarity: -1 is below everything, and rounding does not change that.
func TestLeastSimilarity(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	g := open(t, gallery.Config{Dimension: 32})
	v := scaled(kinds(1, 32)[1].make(r), 1.0009)
	opposite := make([]float32, len(v))
	for i := range v {
		opposite[i] = -v[i]
	}
	enrol(t, g, 1, opposite)
	got := search(t, g, v, gallery.Query{K: 1, Min: -1})
	if d := differ(got, []gallery.Candidate{{Number: 1, Similarity: -1}}); d != "" {
		t.Error(d)
	}
}

// TestBeyondOneAllAreAlike: lengths that are not quite 1 carry similarities beyond
// 1 and -1. They count as 1 and -1, and so as ties.
func TestBeyondOneAllAreAlike(t *testing.T) {
	for _, sign := range []float32{1, -1} {
		for _, dimension := range []int{1, 16} {
			g := open(t, gallery.Config{Dimension: dimension})
			v := make([]float32, dimension)
			v[dimension-1] = 1.0009
			want := []gallery.Candidate{}
			for n := range uint64(40) {
				w := make([]float32, dimension)
				w[dimension-1] = sign * (1 + float32((n*7)%10)*0.0001)
				enrol(t, g, n+1, w)
				want = append(want, gallery.Candidate{Number: n + 1, Similarity: float64(sign)})
			}
			for _, k := range []int{1, 3, 39, 40} {
				if d := differ(search(t, g, v, gallery.Query{K: k, Min: -1}), want[:k]); d != "" {
					t.Errorf("dimension %d, k %d, about %g: %s", dimension, k, sign, d)
				}
			}
		}
	}
}

// TestClosedGalleryRefuses everything: a snapshot of nobody would be believed.
func TestClosedGalleryRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	v := kinds(1, 8)[1].make(r)
	g := open(t, gallery.Config{Dimension: 8})
	enrol(t, g, 1, v)
	g.Close()
	g.Close() // again does nothing
	_, searched := g.Search(t.Context(), template(v), gallery.Query{K: 1})
	for name, err := range map[string]error{
		"enrol":    g.Enrol(2, template(v)),
		"remove":   g.Remove(1),
		"search":   searched,
		"snapshot": g.WriteSnapshot(t.Context(), io.Discard, 1),
	} {
		if !errors.Is(err, gallery.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	if g.Len() != 0 || g.Stats().Bytes != 0 {
		t.Errorf("%d templates, %d bytes after Close", g.Len(), g.Stats().Bytes)
	}
}

// TestNamesThatAreTooLong cannot be written, as they could not be read.
func TestNamesThatAreTooLong(t *testing.T) {
	g, err := gallery.New(gallery.Config{Name: strings.Repeat("n", 513), Model: model, Dimension: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var b bytes.Buffer
	if err := g.WriteSnapshot(t.Context(), &b, 1); !errors.Is(err, gallery.ErrConfig) || b.Len() > 0 {
		t.Errorf("%d bytes, %v; want ErrConfig and none", b.Len(), err)
	}
}
