package gallery_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/engine/gallery"
	"gatehouse/engine/specimen"
)

var graphQuery = gallery.Query{K: 10, Min: -1, Engine: gallery.Graph}

// graphCrowd enrols persons 1 to n under their numbers.
func graphCrowd(t *testing.T, n, dimension, workers int) (*gallery.Gallery, *specimen.Templates) {
	t.Helper()
	g, err := gallery.New(gallery.Config{Model: "face", Dimension: dimension, Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	people := specimen.NewTemplates(3, dimension)
	for i := range n {
		enrolPerson(t, g, people, uint64(i+1))
	}
	return g, people
}

func enrolPerson(t *testing.T, g *gallery.Gallery, people *specimen.Templates, person uint64) {
	t.Helper()
	if err := g.Enrol(person, personPicture(people, person, 0)); err != nil {
		t.Fatal(err)
	}
}

func personPicture(people *specimen.Templates, person, number uint64) gallery.Template {
	return gallery.Template{Model: "face", Vector: people.Template(person, number)}
}

func buildGraph(t *testing.T, g *gallery.Gallery, c gallery.GraphConfig) {
	t.Helper()
	if err := g.BuildGraph(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// graphRecall of the graph against the exact engine, with other pictures of the first
// n persons and with n strangers.
func graphRecall(t *testing.T, g *gallery.Gallery, people *specimen.Templates, n int) (at1, at10 float64) {
	t.Helper()
	var probes []gallery.Template
	for i := range n {
		probes = append(probes, personPicture(people, uint64(i+1), 1), personPicture(people, uint64(1_000_000+i), 1))
	}
	graph, err := g.SearchBatch(context.Background(), probes, graphQuery)
	if err != nil {
		t.Fatal(err)
	}
	exact, err := g.SearchBatch(context.Background(), probes, gallery.Query{K: 10, Min: -1})
	if err != nil {
		t.Fatal(err)
	}
	var first, found, all int
	for i, want := range exact {
		if len(graph[i]) != len(want) {
			t.Fatalf("probe %d: the graph gives %d candidates, the exact engine %d", i, len(graph[i]), len(want))
		}
		if graph[i][0] == want[0] { // the similarity too, bit for bit
			first++
		}
		for _, c := range want {
			all++
			if slices.Contains(graph[i], c) {
				found++
			}
		}
	}
	return float64(first) / float64(len(exact)), float64(found) / float64(all)
}

func TestGraphRecall(t *testing.T) {
	g, people := graphCrowd(t, 5000, 704, 2)
	if _, _, ok := g.GraphRecall(); ok {
		t.Fatal("a recall without a graph")
	}
	var told []int
	buildGraph(t, g, gallery.GraphConfig{Progress: func(done, total int) {
		if total != 5000 {
			t.Errorf("progress of %d", total)
		}
		told = append(told, done)
	}})
	if !slices.IsSorted(told) || told[len(told)-1] != 5000 {
		t.Errorf("progress %v", told)
	}
	at1, at10 := graphRecall(t, g, people, 200)
	if at1 < 0.99 || at10 < 0.98 {
		t.Errorf("recall@1 %.4f, recall@10 %.4f", at1, at10)
	}
	m1, m10, ok := g.GraphRecall()
	if !ok || m1 < 0.99 || m1 > 1 || m10 < 0.98 || m10 > 1 {
		t.Errorf("it measured recall@1 %.4f, recall@10 %.4f, %v", m1, m10, ok)
	}
	if s := g.Stats(); s.Graph != 5000 || s.GraphSize < 5000*2*gallery.DefaultM*4 {
		t.Errorf("%d nodes in %d bytes", s.Graph, s.GraphSize)
	}
}

// TestGraphMeasuresMisses: a graph too thin to find everything must say so.
func TestGraphMeasuresMisses(t *testing.T) {
	g, people := graphCrowd(t, 4000, 128, 1)
	buildGraph(t, g, gallery.GraphConfig{M: 4, Construction: 4})
	_, at10 := graphRecall(t, g, people, 100)
	_, m10, ok := g.GraphRecall()
	if !ok || m10 > 0.95 || m10 < at10-0.2 || m10 > at10+0.2 {
		t.Errorf("it measured a recall@10 of %.3f where it is %.3f", m10, at10)
	}
}

func TestGraphFindsLaterEnrolments(t *testing.T) {
	g, people := graphCrowd(t, 1500, 128, 2)
	buildGraph(t, g, gallery.GraphConfig{})
	for i := uint64(1501); i <= 2500; i++ { // into a segment of its own
		enrolPerson(t, g, people, i)
	}
	for _, person := range []uint64{1, 1500, 1501, 2500} {
		got, err := g.Search(context.Background(), personPicture(people, person, 0), graphQuery)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 10 || got[0].Number != person {
			t.Errorf("person %d: %v", person, got)
		}
	}
	if at1, at10 := graphRecall(t, g, people, 100); at1 < 0.99 || at10 < 0.98 {
		t.Errorf("recall@1 %.4f, recall@10 %.4f", at1, at10)
	}
	q := graphQuery
	q.Min = 0.99
	if got, err := g.Search(context.Background(), personPicture(people, 2500, 0), q); err != nil || len(got) != 1 {
		t.Errorf("above 0.99: %v, %v", got, err)
	}
}

func TestGraphNeverReturnsRemoved(t *testing.T) {
	const n = 2000
	g, people := graphCrowd(t, n, 128, 2)
	buildGraph(t, g, gallery.GraphConfig{M: 16})
	for step, keep := range []uint64{4, 2, 50, n} { // every fourth is gone, then half, then all but every fiftieth, then nearly all
		for i := uint64(1); i <= n; i++ {
			if (step == 0 && i%keep == 0) || (step > 0 && i%keep != 1) {
				if err := g.Remove(i); err != nil && !errors.Is(err, gallery.ErrUnknown) {
					t.Fatal(err)
				}
			}
		}
		left := map[uint64]bool{}
		g.Numbers(func(number uint64) bool { left[number] = true; return true })
		for i := range uint64(60) {
			got, err := g.Search(context.Background(), personPicture(people, i+1, 0), graphQuery)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != min(10, len(left)) {
				t.Fatalf("%d of %d candidates, %d are left", len(got), 10, len(left))
			}
			for _, c := range got {
				if !left[c.Number] {
					t.Fatalf("%d was removed and is found", c.Number)
				}
			}
		}
		if at1, at10 := graphRecall(t, g, people, 100); at1 < 0.98 || at10 < 0.97 {
			t.Errorf("%d left: recall@1 %.4f, recall@10 %.4f", len(left), at1, at10)
		}
	}
	buildGraph(t, g, gallery.GraphConfig{})
	if s := g.Stats(); s.Graph != s.Templates {
		t.Errorf("%d of %d templates are in the new graph", s.Graph, s.Templates)
	}
	if err := g.Compact(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Search(context.Background(), personPicture(people, 1, 0), graphQuery); !errors.Is(err, gallery.ErrNoGraph) {
		t.Errorf("after the rows were moved: %v", err)
	}
}

// TestGraphOfTwins: more equal templates than a node has links must not cut the
// others off.
func TestGraphOfTwins(t *testing.T) {
	g, people := graphCrowd(t, 300, 64, 1)
	for i := range uint64(300) {
		if err := g.Enrol(1000+i, personPicture(people, 7, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(300) {
		if err := g.Enrol(2000+i, personPicture(people, 2000+i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	buildGraph(t, g, gallery.GraphConfig{M: 8})
	for _, person := range []uint64{1, 300, 2000, 2299} {
		got, err := g.Search(context.Background(), personPicture(people, person, 1), gallery.Query{K: 1, Min: -1, Engine: gallery.Graph})
		if err != nil || len(got) != 1 || got[0].Number != person {
			t.Errorf("person %d: %v, %v", person, got, err)
		}
	}
}

func TestGraphOfFew(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{0, 1, 2, 65} {
		g, people := graphCrowd(t, n, 16, 2)
		buildGraph(t, g, gallery.GraphConfig{})
		got, err := g.Search(ctx, personPicture(people, 1, 0), gallery.Query{K: 100, Min: -1, Engine: gallery.Graph})
		if err != nil || len(got) != n || n > 0 && got[0].Number != 1 {
			t.Errorf("of %d: %v, %v", n, got, err)
		}
		if got, err := g.SearchBatch(ctx, nil, graphQuery); err != nil || len(got) != 0 {
			t.Errorf("for nobody: %v, %v", got, err)
		}
	}
}

func TestGraphErrors(t *testing.T) {
	ctx := context.Background()
	g, people := graphCrowd(t, 100, 64, 2)
	me := personPicture(people, 1, 0)
	if _, err := g.Search(ctx, me, graphQuery); !errors.Is(err, gallery.ErrNoGraph) {
		t.Errorf("without a graph: %v", err)
	}
	for _, c := range []gallery.GraphConfig{{M: 1}, {M: 65}, {M: -1}, {M: 16, Construction: 15}, {Construction: 4097}, {Construction: -1}} {
		if err := g.BuildGraph(ctx, c); !errors.Is(err, gallery.ErrConfig) {
			t.Errorf("%d links, %d candidates: %v", c.M, c.Construction, err)
		}
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := g.BuildGraph(stopped, gallery.GraphConfig{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if s := g.Stats(); s.Graph != 0 {
		t.Errorf("a stopped build left a graph of %d", s.Graph)
	}
	buildGraph(t, g, gallery.GraphConfig{M: 64, Construction: 4096})
	for _, q := range []gallery.Query{
		{K: 10, Engine: gallery.Graph, Since: 5},
		{K: 10, Engine: gallery.Graph, Effort: 9},
		{K: 10, Engine: gallery.Graph, Effort: 4097},
		{K: 10, Engine: gallery.Graph, Effort: -1},
	} {
		if _, err := g.Search(ctx, me, q); !errors.Is(err, gallery.ErrQuery) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if got, err := g.Search(ctx, me, gallery.Query{K: 1000, Min: -1, Engine: gallery.Graph}); err != nil || len(got) != 100 {
		t.Errorf("a k above the default effort: %d, %v", len(got), err)
	}
	if _, err := g.Search(stopped, me, graphQuery); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped search: %v", err)
	}
	g.Close()
	if _, err := g.Search(ctx, me, graphQuery); !errors.Is(err, gallery.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := g.BuildGraph(ctx, gallery.GraphConfig{}); !errors.Is(err, gallery.ErrClosed) {
		t.Errorf("build in a closed gallery: %v", err)
	}
}

// TestGraphStops: a build that is under way ends soon when it is told to, or
// when the gallery is closed.
func TestGraphStops(t *testing.T) {
	g, _ := graphCrowd(t, 2000, 128, 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := g.BuildGraph(ctx, gallery.GraphConfig{Progress: func(done, _ int) {
		if done > 500 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	var once sync.Once
	var last int
	err = g.BuildGraph(context.Background(), gallery.GraphConfig{Progress: func(done, _ int) {
		last = done
		if done > 500 {
			once.Do(g.Close)
		}
	}})
	if !errors.Is(err, gallery.ErrClosed) || last > 1000 {
		t.Errorf("closed at 500: %v, at %d", err, last)
	}
}

// TestGraphAllAtOnce: nothing that happens to a gallery disturbs a search.
func TestGraphAllAtOnce(t *testing.T) {
	g, people := graphCrowd(t, 1500, 64, 2)
	buildGraph(t, g, gallery.GraphConfig{M: 8, Construction: 40})
	var group sync.WaitGroup
	var over atomic.Bool
	var newest, removed atomic.Uint64
	newest.Store(1500)
	errs := []error{gallery.ErrClosed, gallery.ErrNoGraph}
	expected := func(err error) bool {
		return err == nil || slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
	}
	var found atomic.Int64
	for w := range uint64(2) {
		group.Go(func() {
			for i := w; !over.Load(); i++ {
				gone, there := removed.Load(), newest.Load()
				person := gone + 200 + i%(there-gone-200)
				got, err := g.Search(context.Background(), personPicture(people, person, 0), graphQuery)
				if !expected(err) {
					t.Error(err)
					return
				}
				for _, c := range got {
					if c.Number <= gone {
						t.Errorf("%d was removed before the search and is found", c.Number)
						return
					}
				}
				if len(got) > 0 && got[0].Number == person {
					found.Add(1)
				}
			}
		})
	}
	group.Go(func() {
		for i := uint64(1501); !over.Load(); i++ {
			if err := g.Enrol(i, personPicture(people, i, 0)); !expected(err) {
				t.Error(err)
			}
			newest.Store(i)
			if i%2 == 0 {
				if err := g.Remove(i - 1500); !expected(err) && !errors.Is(err, gallery.ErrUnknown) {
					t.Error(err)
				}
				if i-1500 == removed.Load()+2 && g.Remove(i-1501) == nil {
					removed.Store(i - 1500)
				}
			}
		}
	})
	group.Go(func() {
		for !over.Load() {
			if err := g.BuildGraph(context.Background(), gallery.GraphConfig{M: 8, Construction: 40}); !expected(err) {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for !over.Load() {
			time.Sleep(200 * time.Millisecond)
			if err := g.Compact(); err != nil {
				t.Error(err)
			}
			g.Stats()
			g.GraphRecall()
		}
	})
	time.Sleep(2 * time.Second)
	if found.Load() == 0 {
		t.Error("no search found anybody")
	}
	g.Close()
	time.Sleep(100 * time.Millisecond)
	over.Store(true)
	group.Wait()
}
