package gallery

import (
	"context"
	"testing"

	"gatehouse/engine/specimen"
)

// TestGraphIsTheSame: one worker links the same rows in the same way, and every
// link leads to a row.
func TestGraphIsTheSame(t *testing.T) {
	const nodes = 1000
	g, err := New(Config{Model: "face", Dimension: 100, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	people := specimen.NewTemplates(5, 100)
	for i := range uint64(nodes) {
		if err := g.Enrol(i+1, Template{"face", people.Template(i, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	var before []uint32
	for round := range 2 {
		if err := g.BuildGraph(context.Background(), GraphConfig{M: 6}); err != nil {
			t.Fatal(err)
		}
		gr := g.graph.Load()
		var links []uint32
		for i := range gr.ground {
			links = append(links, gr.ground[i].Load())
		}
		for i := range gr.tall {
			links = append(links, gr.tall[i].Load())
		}
		linked := 0
		for i, n := range links {
			if n > nodes {
				t.Fatalf("link %d leads to node %d of %d", i, n-1, nodes)
			}
			if n > 0 {
				linked++
			}
			if round > 0 && n != before[i] {
				t.Fatalf("link %d led to %d and leads to %d", i, before[i], n)
			}
		}
		if linked < 6*nodes {
			t.Fatalf("%d links for %d nodes", linked, nodes)
		}
		before = links
	}
	if n := g.graph.Load().holders.Load(); n != 1 {
		t.Errorf("%d hold the graph", n)
	}
}
